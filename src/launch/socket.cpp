#include "launch/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.hpp"

namespace alder {
namespace {

// The kernel's types for addresses overlay each other; these are the two we use.
const sockaddr_in& as_ipv4(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr_in&>(address);
}
const sockaddr_in6& as_ipv6(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr_in6&>(address);
}

socklen_t length_of(const sockaddr_storage& address) {
  return address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

// Link-local addresses need an interface of the other side's, which it alone knows.
bool usable(const sockaddr* address) {
  if (address == nullptr) return false;
  if (address->sa_family == AF_INET) return true;
  return address->sa_family == AF_INET6 &&
         !IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

std::string address_text(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    ::inet_ntop(AF_INET, &as_ipv4(address).sin_addr, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), ntohs(as_ipv4(address).sin_port));
  }
  if (address.ss_family != AF_INET6) return "an unknown address";
  const in6_addr& ip = as_ipv6(address).sin6_addr;
  const uint16_t port = ntohs(as_ipv6(address).sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&ip)) {  // an IPv4 peer of a listener for both
    ::inet_ntop(AF_INET, ip.s6_addr + 12, text.data(), text.size());
    return fmt::format("{}:{}", text.data(), port);
  }
  ::inet_ntop(AF_INET6, &ip, text.data(), text.size());
  return fmt::format("[{}]:{}", text.data(), port);
}

std::vector<InterfaceAddress> own_addresses(std::string_view only) {
  ifaddrs* head = nullptr;
  if (::getifaddrs(&head) != 0) fail("getifaddrs: {}", std::strerror(errno));
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(head, ::freeifaddrs);
  std::vector<InterfaceAddress> found;
  std::vector<std::string> names;
  for (const ifaddrs* one = head; one != nullptr; one = one->ifa_next) {
    if (std::ranges::find(names, one->ifa_name) == names.end()) names.emplace_back(one->ifa_name);
    if ((one->ifa_flags & IFF_UP) == 0 || !usable(one->ifa_addr)) continue;
    if (!only.empty() && only != one->ifa_name) continue;
    InterfaceAddress& address = found.emplace_back();
    address.interface = one->ifa_name;
    address.loopback = (one->ifa_flags & IFF_LOOPBACK) != 0;
    std::memcpy(&address.address, one->ifa_addr,
                one->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  }
  if (!only.empty() && found.empty()) {
    usage_error("--control-interface {}: no such interface that is up and has an address; there are {}", only,
                fmt::join(names, ", "));
  }
  std::ranges::stable_sort(
      found, {}, [](const InterfaceAddress& one) { return one.address.ss_family == AF_INET ? 0 : 1; });
  return found;
}

Listener listen_anywhere() {
  // One socket for both families where there is IPv6 at all.
  for (const int family : {AF_INET6, AF_INET}) {
    Socket socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) continue;
    sockaddr_storage any{};
    any.ss_family = static_cast<sa_family_t>(family);  // all zeros: any address, any port
    const int off = 0;
    if (family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), length_of(any)) != 0) continue;
    if (::listen(socket.get(), SOMAXCONN) != 0) fail("listen: {}", std::strerror(errno));
    socklen_t length = sizeof any;
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&any), &length) != 0)
      fail("getsockname: {}", std::strerror(errno));
    const uint16_t port = ntohs(family == AF_INET ? as_ipv4(any).sin_port : as_ipv6(any).sin6_port);
    return {std::move(socket), port};
  }
  fail("cannot listen for the other ranks: {}", std::strerror(errno));
}

Socket connect_to(const sockaddr_storage& address, std::chrono::milliseconds deadline) {
  Socket socket(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail("socket: {}", std::strerror(errno));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length_of(address)) == 0)
    return socket;
  if (errno != EINPROGRESS) fail("{}: {}", address_text(address), std::strerror(errno));
  pollfd ready{socket.get(), POLLOUT, 0};
  const int count = ::poll(&ready, 1, static_cast<int>(std::max<int64_t>(0, deadline.count())));
  if (count == 0) {
    fail("{}: no answer in {} s", address_text(address), static_cast<double>(deadline.count()) / 1000);
  }
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) fail("{}: {}", address_text(address), std::strerror(error));
  return socket;
}

Bytes pack_address(const sockaddr_storage& address) {
  const bool ipv4 = address.ss_family == AF_INET;
  const auto bytes = ipv4 ? std::as_bytes(std::span(&as_ipv4(address).sin_addr, 1))
                          : std::as_bytes(std::span(&as_ipv6(address).sin6_addr, 1));
  return {bytes.begin(), bytes.end()};
}

sockaddr_storage unpack_address(std::span<const std::byte> bytes, uint16_t port) {
  sockaddr_storage address{};
  if (bytes.size() == sizeof(in_addr)) {
    auto& ipv4 = reinterpret_cast<sockaddr_in&>(address);
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(port);
    std::memcpy(&ipv4.sin_addr, bytes.data(), bytes.size());
  } else if (bytes.size() == sizeof(in6_addr)) {
    auto& ipv6 = reinterpret_cast<sockaddr_in6&>(address);
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port);
    std::memcpy(&ipv6.sin6_addr, bytes.data(), bytes.size());
  } else {
    fail("an address of {} bytes; it has 4 or 16", bytes.size());
  }
  return address;
}

}  // namespace alder
