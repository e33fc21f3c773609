// A made-up root folder of a machine: files, links and sockets, gone when the test ends.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>

#include "base/sysfs.hpp"

namespace alder::test {

class FakeTree {
 public:
  FakeTree() {
    // In memory where there is such a place: a tree is hundreds of files. Not under the prefix that is looked
    // for.
    const std::filesystem::path memory = "/dev/shm";
    const bool usable = ::access(memory.c_str(), W_OK | X_OK) == 0;
    std::string pattern = (usable ? memory : std::filesystem::temp_directory_path()) / "tree-of-alder-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  FakeTree(const FakeTree&) = delete;
  FakeTree& operator=(const FakeTree&) = delete;
  ~FakeTree() { std::filesystem::remove_all(root_); }

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path at(std::string_view path) const { return root_ / path.substr(1); }

  void put(std::string_view path, std::string_view text) const {
    std::filesystem::create_directories(at(path).parent_path());
    std::ofstream(at(path), std::ios::binary) << text;
  }
  void folder(std::string_view path) const { std::filesystem::create_directories(at(path)); }
  void remove(std::string_view path) const { std::filesystem::remove_all(at(path)); }
  // Relative, as sysfs makes them, so that they stay below the root.
  void link(std::string_view path, std::string_view target) const {
    std::filesystem::create_directories(at(path).parent_path());
    const auto folder = std::filesystem::canonical(at(path).parent_path());
    std::filesystem::create_symlink(std::filesystem::relative(at(target), folder), at(path));
  }
  void socket(std::string_view path) const {
    std::filesystem::create_directories(at(path).parent_path());
    const int end = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un name{.sun_family = AF_UNIX};
    at(path).string().copy(name.sun_path, sizeof name.sun_path - 1);
    if (::bind(end, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) std::abort();
    ::close(end);
  }

 private:
  std::filesystem::path root_;
};

// A tree in which some paths answer with an errno value, as files kept for root do.
class RefusingSysfs : public Sysfs {
 public:
  using Sysfs::Sysfs;
  std::map<std::string, int, std::less<>> refused;

  Reading<std::vector<std::byte>> bytes(std::string_view path, std::size_t limit) const override {
    const auto found = refused.find(path);
    if (found != refused.end()) return {.error = found->second};
    return Sysfs::bytes(path, limit);
  }
  Reading<std::vector<std::string>> names(std::string_view path) const override {
    const auto found = refused.find(path);
    if (found != refused.end()) return {.error = found->second};
    return Sysfs::names(path);
  }
  int may_read_write(std::string_view path) const override {
    const auto found = refused.find(path);
    return found != refused.end() ? found->second : Sysfs::may_read_write(path);
  }
};

}  // namespace alder::test
