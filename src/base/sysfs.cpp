#include "base/sysfs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <system_error>

namespace alder {
namespace {

constexpr std::size_t kTextLimit = 64 << 10;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank(" \t\r\n\0", 5);
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

}  // namespace

std::string errno_message(int error) {
  return std::system_category().message(error);
}

bool means_absent(int error) {
  return error == ENOENT || error == ENOTDIR || error == ENODEV || error == ENXIO;
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

std::filesystem::path Sysfs::below_root(std::string_view path) const {
  while (path.starts_with('/')) path.remove_prefix(1);
  return root_ / path;
}

Reading<std::vector<std::byte>> Sysfs::bytes(std::string_view path, std::size_t limit) const {
  // O_NONBLOCK: a pipe that happens to stand there must not hold us up.
  const int file = ::open(below_root(path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return {.error = errno};
  Reading<std::vector<std::byte>> reading;
  reading.value.resize(limit);
  std::size_t done = 0;
  while (done < limit) {  // attributes have no honest size: read until the end
    const ssize_t got = ::read(file, reading.value.data() + done, limit - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) reading.error = errno;
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  ::close(file);
  reading.value.resize(reading ? done : 0);
  return reading;
}

Reading<std::string> Sysfs::text(std::string_view path) const {
  const auto content = bytes(path, kTextLimit);
  const std::string_view all(reinterpret_cast<const char*>(content.value.data()), content.value.size());
  return {.value = std::string(trimmed(all)), .error = content.error};
}

Reading<std::vector<std::string>> Sysfs::names(std::string_view path) const {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(below_root(path).c_str()));
  if (!folder) return {.error = errno};
  Reading<std::vector<std::string>> reading;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") reading.value.emplace_back(name);
  }
  reading.error = errno;
  std::ranges::sort(reading.value);
  return reading;
}

Reading<std::string> Sysfs::resolve(std::string_view path) const {
  std::error_code failed;
  const std::string root = std::filesystem::canonical(root_, failed).string();
  if (failed) return {.error = failed.value()};
  const std::string real = std::filesystem::canonical(below_root(path), failed).string();
  if (failed) return {.error = failed.value()};
  if (root == "/") return {.value = real};
  if (!real.starts_with(root + "/")) return {.error = ENOENT};
  return {.value = real.substr(root.size())};
}

int Sysfs::may_read_write(std::string_view path) const {
  // By the effective user, as open() would decide.
  return ::faccessat(AT_FDCWD, below_root(path).c_str(), R_OK | W_OK, AT_EACCESS) == 0 ? 0 : errno;
}

int Sysfs::may_execute(std::string_view path) const {
  return ::faccessat(AT_FDCWD, below_root(path).c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

Reading<Sysfs::Status> Sysfs::status(std::string_view path) const {
  struct stat found {};
  if (::stat(below_root(path).c_str(), &found) != 0) return {.error = errno};
  return {.value = {.bytes = found.st_size,
                    .modified_s = found.st_mtim.tv_sec,
                    .owner = found.st_uid,
                    .is_socket = S_ISSOCK(found.st_mode)}};
}

std::optional<int64_t> Sysfs::number(std::string_view path) const {
  const auto reading = text(path);
  std::string_view digits = reading.value;
  int base = 10;
  if (digits.starts_with("0x")) {
    digits.remove_prefix(2);
    base = 16;
  }
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (!reading || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace alder
