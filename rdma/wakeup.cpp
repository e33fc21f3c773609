#include "rdma/wakeup.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/error.hpp"
#include "rdma/handles.hpp"

namespace alder::rdma {

Wakeup::Wakeup() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) fail("eventfd: {}", errno_text(-1));
}

Wakeup::~Wakeup() {
  close(fd_);
}

void Wakeup::finish() {
  asleep_.exchange(false);
  uint64_t count = 0;
  // Nothing there is the usual case, and no error.
  [[maybe_unused]] const ssize_t bytes = read(fd_, &count, sizeof count);
}

void Wakeup::wake() {
  if (!asleep_.exchange(false)) return;
  const uint64_t one = 1;
  // The counter cannot be full: it is read at every sleep.
  [[maybe_unused]] const ssize_t bytes = write(fd_, &one, sizeof one);
}

}  // namespace alder::rdma
