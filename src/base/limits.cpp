#include "base/limits.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "base/error.hpp"

namespace alder {
namespace {

constexpr int kIpcLock = 14;  // CAP_IPC_LOCK, linux/capability.h

// The first user namespace maps all user ids one to one.
bool in_first_user_namespace(const Sysfs& files) {
  const auto map = files.text("/proc/self/uid_map");
  return map && map.value.starts_with("0") && map.value.ends_with("4294967295");
}

uint64_t effective_capabilities(const Sysfs& files) {
  constexpr std::string_view kKey = "CapEff:";
  const std::string status = files.text("/proc/self/status").value;
  const auto key = status.find(kKey);
  if (key == std::string::npos) return 0;
  const auto digits = status.find_first_not_of(" \t", key + kKey.size());
  uint64_t capabilities = 0;
  if (digits != std::string::npos) {
    std::from_chars(status.data() + digits, status.data() + status.size(), capabilities, 16);
  }
  return capabilities;
}

}  // namespace

bool may_lock_any_amount(const Sysfs& files) {
  return (effective_capabilities(files) >> kIpcLock & 1U) != 0 && in_first_user_namespace(files);
}

MemlockLimit Limits::memlock() const {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) fail("getrlimit(RLIMIT_MEMLOCK): {}", errno_message(errno));
  const auto bytes = [](rlim_t value) { return value == RLIM_INFINITY ? kUnlimited : uint64_t{value}; };
  return {
      .soft = bytes(limit.rlim_cur), .hard = bytes(limit.rlim_max), .exempt = may_lock_any_amount(Sysfs())};
}

}  // namespace alder
