#include "base/leftovers.hpp"

#include <unistd.h>

#include <charconv>
#include <optional>

#include "base/error.hpp"

namespace alder {
namespace {

// Takes "4711-" off the front of `text`.
std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto used = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || used == text.size() || text[used] != '-') return std::nullopt;
  text.remove_prefix(used + 1);
  return value;
}

// Field 22 of /proc/PID/stat. Field 2, the command, may hold blanks and brackets: count after its last
// bracket.
std::optional<uint64_t> start_time(const Sysfs& files, uint64_t process) {
  const auto stat = files.text(fmt::format("/proc/{}/stat", process));
  std::string_view rest = stat.value;
  const auto bracket = rest.rfind(')');
  if (!stat || bracket == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(bracket + 1);
  for (int field = 3; field <= 22; ++field) {
    const auto next = rest.find(' ');
    if (next == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(next + 1);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

void judge(const Sysfs& files, std::string_view name, Leftover& found) {
  name.remove_prefix(kSharedPrefix.size());
  const auto process = take_number(name);
  if (!process) {
    found.why = "its name does not tell which process made it";
    return;
  }
  const auto started = take_number(name);
  const bool alive = files.exists(fmt::format("/proc/{}", *process));
  if (!alive) {
    found.leaked = true;
    found.why = fmt::format("process {} is gone", *process);
  } else if (started && start_time(files, *process) != started) {
    found.leaked = true;
    found.why = fmt::format("process {} is another one by now", *process);
  } else {
    found.why = fmt::format("in use by process {}", *process);
  }
}

}  // namespace

std::string shared_name(std::string_view purpose) {
  const auto process = static_cast<uint64_t>(::getpid());
  const auto started = start_time(Sysfs(), process);
  if (!started)
    fail("cannot read the start time of this process from /proc/{}/stat; is /proc mounted?", process);
  return fmt::format("{}{}-{}-{}", kSharedPrefix, process, *started, purpose);
}

std::vector<Leftover> find_leftovers(const Sysfs& files) {
  std::vector<Leftover> found;
  for (const std::string_view folder : {"/dev/shm", "/tmp"}) {
    for (const std::string& name : files.names(folder).value) {
      if (!name.starts_with(kSharedPrefix)) continue;
      Leftover leftover{.path = fmt::format("{}/{}", folder, name)};
      const auto status = files.status(leftover.path);
      if (!status) continue;                                      // gone since
      if (folder == "/tmp" && !status.value.is_socket) continue;  // files of other makers
      leftover.bytes = status.value.bytes;
      leftover.owner = status.value.owner;
      leftover.is_socket = status.value.is_socket;
      judge(files, name, leftover);
      found.push_back(std::move(leftover));
    }
  }
  return found;
}

}  // namespace alder
