// A piece of POSIX shared memory: made by one process, opened by one other.
#pragma once

#include <cstddef>
#include <string>

namespace alder::rdma {

// Its name goes as soon as both have it mapped, so that nothing stays behind however they end. Whether its
// maker still lives can be asked at any time: a lock on the memory tells, which the kernel takes back with
// the process.
//
// Threads: one at a time.
class SharedSegment {
 public:
  SharedSegment() = default;
  // Zeroed memory, all of it really there (no later access can fail). `purpose` is part of the name
  // (base/leftovers.hpp). Throws Error with the remedy when /dev/shm is too small.
  static SharedSegment make(std::string_view purpose, std::size_t bytes);
  // Throws Error: not there, or of another size.
  static SharedSegment open(const std::string& name, std::size_t bytes);
  SharedSegment(SharedSegment&& other) noexcept;
  SharedSegment& operator=(SharedSegment&& other) noexcept;
  ~SharedSegment();

  const std::string& name() const { return name_; }
  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  void unlink();
  // Of one that was opened.
  bool maker_lives() const;

 private:
  SharedSegment(std::string name, int fd, std::byte* data, std::size_t bytes, bool made)
      : name_(std::move(name)), fd_(fd), data_(data), bytes_(bytes), linked_(made) {}

  std::string name_;
  int fd_ = -1;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  bool linked_ = false;  // ours to unlink
};

}  // namespace alder::rdma
