#include "rdma/node/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/leftovers.hpp"

namespace alder::rdma {
namespace {

// Of the whole memory; of the open file, not of the process, so that it holds between threads too.
struct flock whole(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::byte* map(int fd, std::size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return data == MAP_FAILED ? nullptr : static_cast<std::byte*>(data);
}

[[noreturn]] void no_room(std::size_t bytes, int error) {
  struct statvfs room {};
  const uint64_t free = ::statvfs("/dev/shm", &room) == 0 ? uint64_t{room.f_bavail} * room.f_frsize : 0;
  fail(
      "cannot reserve {:.1f} MiB of shared memory: {}; /dev/shm has {:.1f} MiB left: enlarge it (mount -o "
      "remount,size=..., docker run --shm-size=...), or use --same-node verbs",
      static_cast<double>(bytes) / (1 << 20), std::strerror(error), static_cast<double>(free) / (1 << 20));
}

}  // namespace

SharedSegment SharedSegment::make(std::string_view purpose, std::size_t bytes) {
  const std::string name = "/" + shared_name(purpose);
  const int fd = ::shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600);
  if (fd < 0) fail("shm_open {}: {}", name, std::strerror(errno));
  SharedSegment segment(name, fd, nullptr, bytes, true);
  // Reserved now: a page that cannot be had later would be a bus error in the middle of a step.
  if (const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes)); error != 0)
    no_room(bytes, error);
  segment.data_ = map(fd, bytes);
  if (segment.data_ == nullptr) fail("mmap of {} bytes of {}: {}", bytes, name, std::strerror(errno));
  struct flock lock = whole(F_WRLCK);
  if (::fcntl(fd, F_OFD_SETLK, &lock) != 0) fail("lock on {}: {}", name, std::strerror(errno));
  return segment;
}

SharedSegment SharedSegment::open(const std::string& name, std::size_t bytes) {
  const int fd = ::shm_open(name.c_str(), O_RDWR, 0);
  if (fd < 0) {
    fail(
        "shm_open {}: {}; its maker says that it runs on this host: do the two share /dev/shm (containers "
        "may "
        "not) and the user? --same-node verbs does without",
        name, std::strerror(errno));
  }
  SharedSegment segment(name, fd, nullptr, bytes, false);
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size != static_cast<off_t>(bytes)) {
    fail("{} has {} bytes, not {}", name, status.st_size, bytes);
  }
  segment.data_ = map(fd, bytes);
  if (segment.data_ == nullptr) fail("mmap of {} bytes of {}: {}", bytes, name, std::strerror(errno));
  return segment;
}

SharedSegment::SharedSegment(SharedSegment&& other) noexcept
    : name_(std::move(other.name_)),
      fd_(std::exchange(other.fd_, -1)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(other.bytes_),
      linked_(std::exchange(other.linked_, false)) {}

SharedSegment& SharedSegment::operator=(SharedSegment&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(linked_, other.linked_);
  return *this;
}

SharedSegment::~SharedSegment() {
  unlink();
  if (data_ != nullptr) ::munmap(data_, bytes_);
  if (fd_ >= 0) ::close(fd_);
}

void SharedSegment::unlink() {
  if (std::exchange(linked_, false)) ::shm_unlink(name_.c_str());
}

bool SharedSegment::maker_lives() const {
  struct flock lock = whole(F_WRLCK);
  // Where the question cannot be asked, the heartbeat has to tell.
  return ::fcntl(fd_, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

}  // namespace alder::rdma
