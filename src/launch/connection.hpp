// A TCP connection that carries frames, without ever blocking.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "launch/frame.hpp"
#include "launch/socket.hpp"

namespace alder {

using SharedBytes = std::shared_ptr<const Bytes>;

// Threads: one at a time. After an end or a fault, nothing more is read or written.
class Connection {
 public:
  Connection(Socket socket, const FrameLimits& limits);

  int fd() const { return socket_.get(); }
  bool open() const { return ended_.empty(); }
  // Why it is not open: "the connection was closed", "Connection reset by peer", a fault of a frame.
  const std::string& ended() const { return ended_; }

  void queue(FrameKind kind, uint64_t tag, SharedBytes payload = nullptr);
  bool has_output() const { return !output_.empty(); }
  // Writes what the socket takes now.
  void write();
  // Reads what the socket has now; appends whole frames, `most` of them at most.
  void read(std::vector<Frame>& frames, std::size_t most = SIZE_MAX);
  int64_t last_heard_ns() const { return last_heard_ns_; }
  void forgive_silence();  // as if something had just been heard
  int64_t last_queued_ns() const { return last_queued_ns_; }
  // "10.0.0.7:40112"
  std::string peer() const;

 private:
  struct Outgoing {
    FrameHeader header;
    SharedBytes payload;
    std::size_t written = 0;  // of header and payload
  };
  bool read_into(std::byte* target, std::size_t bytes, std::size_t& done);

  Socket socket_;
  FrameLimits limits_;
  std::string ended_;
  std::deque<Outgoing> output_;
  std::array<std::byte, sizeof(FrameHeader)> header_bytes_{};
  std::size_t header_read_ = 0, payload_read_ = 0;
  Frame incoming_;
  int64_t last_heard_ns_, last_queued_ns_;
};

}  // namespace alder
