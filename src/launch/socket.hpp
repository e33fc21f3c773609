// TCP sockets: where a process can be reached, and reaching it.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launch/bytes.hpp"

namespace alder {

// Owns a file descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// "10.0.0.7:40112", "[fe80::1]:40112"
std::string address_text(const sockaddr_storage& address);

struct InterfaceAddress {
  std::string interface;  // "eth0"
  sockaddr_storage address{};
  bool loopback = false;
};
// Of all interfaces that are up, IPv4 before IPv6, no link-local ones; `only`: of this interface. Throws
// Error that lists the interfaces there are when `only` is none of them.
std::vector<InterfaceAddress> own_addresses(std::string_view only);

// Listens on all addresses at a port that the kernel chooses.
struct Listener {
  Socket socket;
  uint16_t port = 0;
};
Listener listen_anywhere();

// Connects, or throws Error with the reason and the seconds.
Socket connect_to(const sockaddr_storage& address, std::chrono::milliseconds deadline);

// An address as bytes and back; the port is set to `port`.
Bytes pack_address(const sockaddr_storage& address);
sockaddr_storage unpack_address(std::span<const std::byte> bytes, uint16_t port);

}  // namespace alder
