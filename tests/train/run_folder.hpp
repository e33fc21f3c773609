// A temporary folder for runs, and the options of a run that takes a moment.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "train/options.hpp"

namespace alder::train {

class RunFolderTest : public testing::Test {
 protected:
  RunFolderTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "alder-test-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~RunFolderTest() override { std::filesystem::remove_all(folder_); }

  const std::filesystem::path& folder() const { return folder_; }

  // Four workers on a ring, two epochs of four steps of eight pictures each.
  TrainOptions small_options(const std::string& name) const {
    TrainOptions options;
    options.model = "tiny";
    options.workers = 4;
    options.graph = "ring";
    options.epochs = 2;
    options.batch = 8;
    options.learning_rate.base = 0.05;
    options.dataset.shapes_train = 128;
    options.dataset.shapes_test = 40;
    options.recalibration_pictures = 64;
    options.threads = 2;
    options.command = "test";
    options.out = folder_ / name;
    return options;
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace alder::train
