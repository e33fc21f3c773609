// The machine as its small files tell it: sysfs, procfs, device nodes, shared memory.
//
// All paths are absolute and looked up below a root, so that a test can put a made-up tree there. Whatever
// cannot be read comes back as an errno value, not as an exception: on a working machine many of these files
// are absent, kept for root, or answer EINVAL, and the caller knows which of these matter.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace alder {

// A value, or the errno value that came instead (0 when there is a value).
template <typename T>
struct Reading {
  T value{};
  int error = 0;

  explicit operator bool() const { return error == 0; }
  // Not there at all, as opposed to there and unreadable.
  bool absent() const;
  // "Permission denied"
  std::string reason() const;
};

class Sysfs {
 public:
  explicit Sysfs(std::filesystem::path root = "/") : root_(std::move(root)) {}
  virtual ~Sysfs() = default;

  // Content without the blanks and line ends around it; at most 64 KiB are read.
  virtual Reading<std::string> text(std::string_view path) const;
  // Content as it is, from the start, at most `limit` bytes.
  virtual Reading<std::vector<std::byte>> bytes(std::string_view path, std::size_t limit) const;
  // Names in a folder, sorted.
  virtual Reading<std::vector<std::string>> names(std::string_view path) const;
  // Where a path really is, links followed, as an absolute path below the root; ENOENT also for a link that
  // leads out of the root.
  virtual Reading<std::string> resolve(std::string_view path) const;
  // 0 when this process may read and write (or execute) what is there, else the errno value.
  virtual int may_read_write(std::string_view path) const;
  virtual int may_execute(std::string_view path) const;

  struct Status {
    int64_t bytes = 0;
    int64_t modified_s = 0;  // seconds since 1970
    uint32_t owner = 0;      // user id
    bool is_socket = false;
  };
  virtual Reading<Status> status(std::string_view path) const;

  // A decimal or 0x... number that makes up the whole text.
  std::optional<int64_t> number(std::string_view path) const;
  bool exists(std::string_view path) const { return static_cast<bool>(status(path)); }

 protected:
  std::filesystem::path below_root(std::string_view path) const;

 private:
  std::filesystem::path root_;
};

std::string errno_message(int error);

template <typename T>
std::string Reading<T>::reason() const {
  return errno_message(error);
}

// ENOENT and ENOTDIR, and what drivers answer for something that is not there.
bool means_absent(int error);

template <typename T>
bool Reading<T>::absent() const {
  return means_absent(error);
}

// The last part of a path: "mlx5_0" of "/sys/class/infiniband/mlx5_0".
std::string_view base_name(std::string_view path);

}  // namespace alder
