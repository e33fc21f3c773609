#include "launch/rank_claim.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/error.hpp"

namespace alder {
namespace {

// Process id of whoever listens there; 0 when it has gone meanwhile.
pid_t owner(const sockaddr_un& address, socklen_t length) {
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return 0;
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool connected = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), length) == 0 &&
                         ::getsockopt(probe, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  ::close(probe);
  return connected ? peer.pid : 0;
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

RankClaim::RankClaim(const std::string& job, Rank rank) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  // The first byte stays zero: the abstract name space.
  const std::string name = fmt::format("alder/{}/{}", job, rank).substr(0, sizeof(address.sun_path) - 1);
  name.copy(address.sun_path + 1, name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) fail("socket(AF_UNIX): {}", std::strerror(errno));
  if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), length) == 0) {
    ::listen(socket_, 1);
    return;
  }
  const int error = errno;
  ::close(socket_);
  if (error != EADDRINUSE) fail("cannot claim rank {} of job {}: {}", rank, job, std::strerror(error));
  const std::string host = host_name();
  usage_error(
      "rank {} of job {} is taken: process {} on {} is that rank already, and this is process {} on {}; the "
      "launcher started something that starts alder more than once: let each process it starts be one alder",
      rank, job, owner(address, length), host, ::getpid(), host);
}

RankClaim::~RankClaim() {
  ::close(socket_);
}

}  // namespace alder
