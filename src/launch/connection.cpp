#include "launch/connection.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.hpp"

namespace alder {

Connection::Connection(Socket socket, const FrameLimits& limits)
    : socket_(std::move(socket)),
      limits_(limits),
      last_heard_ns_(monotonic_ns()),
      last_queued_ns_(last_heard_ns_) {
  const int on = 1;
  // Beats and notices are small and must not wait for each other.
  ::setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd(), F_SETFL, ::fcntl(fd(), F_GETFL) | O_NONBLOCK);
}

std::string Connection::peer() const {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getpeername(fd(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return "an unknown address";
  return address_text(address);
}

void Connection::forgive_silence() {
  last_heard_ns_ = monotonic_ns();
}

void Connection::queue(FrameKind kind, uint64_t tag, SharedBytes payload) {
  if (!open()) return;
  FrameHeader header;
  header.kind = static_cast<uint16_t>(kind);
  header.tag = tag;
  header.bytes = payload ? payload->size() : 0;
  output_.push_back({header, std::move(payload)});
  last_queued_ns_ = monotonic_ns();
}

void Connection::write() {
  while (open() && !output_.empty()) {
    Outgoing& out = output_.front();
    const std::size_t header_left = sizeof(FrameHeader) - std::min(out.written, sizeof(FrameHeader));
    const std::size_t payload_done = out.written - (sizeof(FrameHeader) - header_left);
    std::array<iovec, 2> parts{};
    std::size_t count = 0;
    auto* header = reinterpret_cast<std::byte*>(&out.header);
    if (header_left > 0) parts[count++] = {header + (sizeof(FrameHeader) - header_left), header_left};
    if (out.header.bytes > payload_done) {
      // sendmsg reads only; iovec lacks a const.
      auto* payload = const_cast<std::byte*>(out.payload->data());
      parts[count++] = {payload + payload_done, out.header.bytes - payload_done};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t written = ::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) ended_ = std::strerror(errno);
      return;
    }
    out.written += static_cast<std::size_t>(written);
    if (out.written == sizeof(FrameHeader) + out.header.bytes) output_.pop_front();
  }
}

// False when there is no more for now, or ever.
bool Connection::read_into(std::byte* target, std::size_t bytes, std::size_t& done) {
  while (done < bytes) {
    const ssize_t read = ::recv(fd(), target + done, bytes - done, MSG_DONTWAIT);
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) ended_ = std::strerror(errno);
      return false;
    }
    if (read == 0) {
      ended_ = "the connection was closed";
      return false;
    }
    done += static_cast<std::size_t>(read);
    last_heard_ns_ = monotonic_ns();
  }
  return true;
}

void Connection::read(std::vector<Frame>& frames, std::size_t most) {
  while (open() && most > 0) {
    if (header_read_ < sizeof(FrameHeader)) {
      if (!read_into(header_bytes_.data(), sizeof(FrameHeader), header_read_)) return;
      try {
        const FrameHeader header = parse_header(header_bytes_, limits_);
        incoming_ = {static_cast<FrameKind>(header.kind), header.tag, Bytes(header.bytes)};
      } catch (const std::exception& error) {  // a fault of theirs, or no memory for it
        ended_ = error.what();
        return;
      }
      payload_read_ = 0;
    }
    if (!read_into(incoming_.payload.data(), incoming_.payload.size(), payload_read_)) return;
    header_read_ = 0;
    frames.push_back(std::exchange(incoming_, {}));
    --most;
  }
}

}  // namespace alder
