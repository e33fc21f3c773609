// A folder that is gone when the test ends, and the texts in it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/run.hpp"
#include "tests/report/fixture.hpp"

namespace alder::report::test {

class Folder : public ::testing::Test {
 protected:
  using Run = report::Run;  // Test::Run would hide it

  Folder() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = std::filesystem::temp_directory_path() /
            (std::string("alder-report-") + std::to_string(::getpid()) + "-" + info->name());
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  ~Folder() override { std::filesystem::remove_all(root_); }

  // Writes a fixture run into a folder of that name.
  std::filesystem::path make(const std::string& name, const Fixture& fixture = {}) const {
    FixtureWriter(root_ / name, fixture).write();
    return root_ / name;
  }

  static void put(const std::filesystem::path& path, std::string_view text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }

  // What() of the Error that `act` throws; "" when it throws none.
  static std::string complaint(const std::function<void()>& act) {
    try {
      act();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::filesystem::path root_;
};

}  // namespace alder::report::test
