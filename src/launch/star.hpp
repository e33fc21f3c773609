// The control plane: every rank is connected to rank 0 by TCP for as long as the run lasts.
//
// It carries what the whole run needs and no step waits for: records and models at the ends of epochs,
// notices at any time. The loss of a rank is a status at rank 0; the loss of rank 0 ends the run on all
// others.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "launch/handshake.hpp"

namespace alder {

struct StarSettings {
  HandshakeSettings handshake;
  // Whoever sends nothing for so long, not even a beat, is lost: its process is stopped, or its node is gone.
  std::chrono::milliseconds silence{10'000};
};

// A rank that ended before the run did.
struct Loss {
  Rank rank = 0;
  std::string host;
  std::string reason;  // "the connection was closed", "no sign of life for 10 s", or its own last words
};

// Threads: one service thread of its own does all input and output. send, interrupt, ended: any thread. The
// others: one thread, the run's.
class Star {
 public:
  // Called by the service thread, which waits for them.
  struct Handlers {
    std::function<void(Rank from, uint64_t tag, std::span<const std::byte> payload)> notice;
    std::function<void(const Loss&)> loss;  // rank 0
    std::function<void()> tick;             // about every 50 ms
  };

  // All ranks construct theirs together (handshake.hpp). Throws as shake_hands does.
  Star(Rendezvous& meeting, const StarSettings& settings, std::span<const Fact> facts);
  Star(const Star&) = delete;
  Star& operator=(const Star&) = delete;
  ~Star();  // says farewell, if that was not done

  // Once: the service begins. What was sent before goes out then.
  void start(Handlers handlers);

  Rank rank() const { return rank_; }
  int size() const { return static_cast<int>(hosts_.size()); }
  const std::string& host(Rank rank) const { return hosts_.at(static_cast<std::size_t>(rank)); }
  bool present(Rank rank) const;  // itself included
  std::vector<Loss> losses() const;

  // Rank 0 sends to any other, the others to rank 0. Sending to who is lost does nothing.
  void send(Rank to, FrameKind kind, uint64_t tag, SharedBytes payload);

  // The next frame of `from`, which must be this one: frames of collective calls come in the order of the
  // calls. Rank 0: nothing when `from` is lost, which it also is when it lets `patience` pass ("sent no ...
  // in ... s"). Others, who hear rank 0 only: throws Error that says what became of it. Both: throws
  // Error(text) after interrupt(text).
  std::optional<Bytes> receive(Rank from, FrameKind kind, uint64_t tag, std::chrono::milliseconds patience);

  // Ends waits, now and later, with Error(text). The first text counts.
  void interrupt(const std::string& text);
  // What ended this process's part of the run: interrupted, or rank 0 is gone. For polling: no lock is taken
  // while there is nothing.
  std::optional<std::string> ended() const;
  // Waits for that; whether it came in time.
  bool await_end(std::chrono::milliseconds patience);

  // The last words: empty when all is done, else why this process ends. Sends them, waits a moment until they
  // are taken, and closes. No other call afterwards.
  void farewell(const std::string& text);

 private:
  struct Outgoing {
    FrameKind kind;
    uint64_t tag;
    SharedBytes payload;
  };
  struct Peer {
    Rank rank = 0;
    std::unique_ptr<Connection> connection;  // the service thread's
    bool shut = false;                       // its too: nothing more is sent
    // Guarded by mutex_:
    std::vector<Outgoing> outbox;
    std::deque<Frame> inbox;
    bool gone = false;  // lost, or has said farewell: nothing more is taken or sent
  };

  void serve();
  void post();
  void transfer();
  void take(Peer& peer, std::vector<Frame>& frames);
  void watch(Peer& peer);
  void forgive_after_a_pause();
  void tell_losses();
  bool finished();
  void lose(Peer& peer, const std::string& reason);
  void part(Peer& peer, const std::string& last_words);
  void end(const std::string& text);
  void wake();
  std::size_t place_of(Rank rank) const;

  const Rank rank_;
  const StarSettings settings_;
  std::vector<std::string> hosts_;
  Handlers handlers_;
  std::vector<Peer> peers_;  // rank 0: all others; others: rank 0
  Socket wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Loss> losses_;
  std::size_t told_ = 0;  // of losses_; the service thread's
  std::string ended_text_;
  std::atomic<bool> ended_{false};
  bool interrupted_ = false, closing_ = false, said_farewell_ = false;
  std::chrono::steady_clock::time_point close_by_;
  int64_t last_look_ns_ = 0;  // the service thread's
  std::thread service_;
};

}  // namespace alder
