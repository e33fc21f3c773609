#include "launch/star.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"

namespace alder {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kTickMs = 50;
constexpr milliseconds kPartingTime{5000};  // for last words to be taken

double seconds(milliseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

SharedBytes words(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return std::make_shared<const Bytes>(bytes.begin(), bytes.end());
}

}  // namespace

Star::Star(Rendezvous& meeting, const StarSettings& settings, std::span<const Fact> facts)
    : rank_(meeting.rank()), settings_(settings) {
  for (Rank rank = 0; rank < meeting.size(); ++rank) hosts_.push_back(meeting.host(rank));
  auto connections = shake_hands(meeting, settings.handshake, facts);
  peers_.resize(rank_ == 0 ? connections.size() - 1 : 1);
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    peers_[i].rank = rank_ == 0 ? static_cast<Rank>(i + 1) : 0;
    peers_[i].connection = std::move(connections[rank_ == 0 ? i + 1 : 0]);
  }
  wake_ = Socket(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) fail("eventfd: {}", std::strerror(errno));
}

void Star::start(Handlers handlers) {
  handlers_ = std::move(handlers);
  service_ = std::thread([this] { serve(); });
}

Star::~Star() {
  farewell("");
}

std::size_t Star::place_of(Rank rank) const {
  if (rank == rank_ || (rank_ != 0 && rank != 0) || rank < 0 || rank >= size()) {
    throw std::logic_error(fmt::format("rank {} has no connection to rank {}", rank_, rank));
  }
  return rank_ == 0 ? static_cast<std::size_t>(rank - 1) : 0;
}

bool Star::present(Rank rank) const {
  if (rank == rank_) return true;
  const std::lock_guard lock(mutex_);
  return !peers_[place_of(rank)].gone;
}

std::vector<Loss> Star::losses() const {
  const std::lock_guard lock(mutex_);
  return losses_;
}

void Star::wake() {
  const uint64_t one = 1;
  // Full means that it is awake already.
  [[maybe_unused]] const ssize_t ignored = ::write(wake_.get(), &one, sizeof one);
}

void Star::send(Rank to, FrameKind kind, uint64_t tag, SharedBytes payload) {
  {
    const std::lock_guard lock(mutex_);
    Peer& peer = peers_[place_of(to)];
    if (peer.gone) return;
    peer.outbox.push_back({kind, tag, std::move(payload)});
  }
  wake();
}

std::optional<Bytes> Star::receive(Rank from, FrameKind kind, uint64_t tag, milliseconds patience) {
  std::unique_lock lock(mutex_);
  Peer& peer = peers_[place_of(from)];
  const bool came = changed_.wait_for(
      lock, patience, [&] { return !ended_text_.empty() || peer.gone || !peer.inbox.empty(); });
  // What came before the end still counts, unless this process itself has enough.
  if (!interrupted_ && !peer.inbox.empty()) {
    Frame frame = std::move(peer.inbox.front());
    peer.inbox.pop_front();
    if (frame.kind == kind && frame.tag == tag) return std::move(frame.payload);
    lose(peer, fmt::format("sent {} {} where {} {} was due", to_string(frame.kind), frame.tag,
                           to_string(kind), tag));
  } else if (!came) {
    lose(peer, fmt::format("sent no {} in {} s", to_string(kind), seconds(patience)));
  }
  if (!ended_text_.empty()) throw Error(ended_text_);
  return std::nullopt;
}

void Star::interrupt(const std::string& text) {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  end(text);
}

// Under the mutex.
void Star::end(const std::string& text) {
  if (!ended_text_.empty()) return;
  ended_text_ = text.empty() ? "rank 0 has ended the run" : text;
  ended_.store(true, std::memory_order_release);
  changed_.notify_all();
}

std::optional<std::string> Star::ended() const {
  if (!ended_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return ended_text_;
}

bool Star::await_end(milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return !ended_text_.empty(); });
}

// Under the mutex. Of rank 0 it is the end; others are left out, and told so if they can still hear it.
void Star::lose(Peer& peer, const std::string& reason) {
  if (peer.gone) return;
  peer.gone = true;
  if (rank_ == 0) {
    losses_.push_back({peer.rank, host(peer.rank), reason});
    const std::string text = fmt::format("rank {} ({}) was left out by rank 0 ({}): {}", peer.rank,
                                         host(peer.rank), host(0), reason);
    peer.outbox.push_back({FrameKind::farewell, 0, words(text)});
  } else {
    end(
        fmt::format("rank 0 ({}), which keeps the records of the run, is gone: {}; continue from the last "
                    "checkpoint with --resume",
                    host(0), reason));
  }
  changed_.notify_all();
}

// Under the mutex: a peer has said its last words.
void Star::part(Peer& peer, const std::string& last_words) {
  if (peer.gone) return;
  if (rank_ == 0 && !last_words.empty()) {
    losses_.push_back({peer.rank, host(peer.rank), last_words});
  } else if (rank_ != 0) {
    end(last_words);
  }
  peer.gone = true;
  peer.outbox.push_back({FrameKind::farewell, 0, nullptr});
  changed_.notify_all();
}

void Star::farewell(const std::string& text) {
  if (std::exchange(said_farewell_, true)) return;
  {
    const std::lock_guard lock(mutex_);
    for (Peer& peer : peers_) {
      if (!peer.gone) peer.outbox.push_back({FrameKind::farewell, 0, text.empty() ? nullptr : words(text)});
    }
    closing_ = true;
    close_by_ = Clock::now() + kPartingTime;
  }
  wake();
  if (service_.joinable()) service_.join();
}

void Star::serve() {
  for (;;) {
    if (handlers_.tick) handlers_.tick();
    post();
    transfer();
    forgive_after_a_pause();
    for (Peer& peer : peers_) watch(peer);
    tell_losses();
    if (finished()) return;
  }
}

// Hands what others have queued to the connections.
void Star::post() {
  const std::lock_guard lock(mutex_);
  for (Peer& peer : peers_) {
    for (Outgoing& out : std::exchange(peer.outbox, {})) {
      if (!peer.connection || peer.shut) continue;
      peer.connection->queue(out.kind, out.tag, std::move(out.payload));
      // After these nothing follows; the other side closes, and we hear of it as the end of its output.
      if (out.kind == FrameKind::farewell) peer.shut = true;
    }
  }
}

// Waits a tick at most for something to do; reads and writes what can be.
void Star::transfer() {
  std::vector<pollfd> ready{{wake_.get(), POLLIN, 0}};
  for (const Peer& peer : peers_) {
    const bool open = peer.connection && peer.connection->open();
    const bool writes = open && peer.connection->has_output();
    ready.push_back(
        {open ? peer.connection->fd() : -1, static_cast<short>(POLLIN | (writes ? POLLOUT : 0)), 0});
  }
  if (::poll(ready.data(), ready.size(), kTickMs) <= 0) return;
  if (ready[0].revents != 0) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t ignored = ::read(wake_.get(), &count, sizeof count);
  }
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    if (ready[i + 1].revents == 0) continue;
    std::vector<Frame> frames;
    peers_[i].connection->write();
    peers_[i].connection->read(frames);
    take(peers_[i], frames);
  }
}

void Star::take(Peer& peer, std::vector<Frame>& frames) {
  for (Frame& frame : frames) {
    if (frame.kind == FrameKind::beat) continue;
    if (frame.kind == FrameKind::notice) {
      if (handlers_.notice) handlers_.notice(peer.rank, frame.tag, frame.payload);
      continue;
    }
    const std::lock_guard lock(mutex_);
    if (peer.gone) continue;
    if (frame.kind == FrameKind::farewell) {
      part(peer, {reinterpret_cast<const char*>(frame.payload.data()), frame.payload.size()});
    } else if (frame.kind == FrameKind::record || frame.kind == FrameKind::array) {
      peer.inbox.push_back(std::move(frame));
      changed_.notify_all();
    } else {
      lose(peer, fmt::format("sent a {}, which belongs to the beginning", to_string(frame.kind)));
    }
  }
}

// When this process was stopped and goes on (a suspended job), the silence was its own.
void Star::forgive_after_a_pause() {
  const int64_t now = monotonic_ns();
  const bool paused =
      last_look_ns_ > 0 && seconds_between(last_look_ns_, now) > seconds(settings_.silence) / 2;
  last_look_ns_ = now;
  if (!paused) return;
  for (Peer& peer : peers_) {
    if (peer.connection) peer.connection->forgive_silence();
  }
}

// Beats when there was nothing else to send, and looks whether the other side has been silent for too long.
void Star::watch(Peer& peer) {
  if (!peer.connection) return;
  Connection& connection = *peer.connection;
  const int64_t now = monotonic_ns();
  const double silence = seconds(settings_.silence);
  if (connection.open() && !peer.shut && seconds_between(connection.last_queued_ns(), now) > silence / 8)
    connection.queue(FrameKind::beat, 0);
  if (connection.open()) connection.write();
  const std::lock_guard lock(mutex_);
  if (!connection.open()) {
    lose(peer, connection.ended());
    peer.connection.reset();
  } else if (!peer.gone && seconds_between(connection.last_heard_ns(), now) > silence) {
    lose(peer, fmt::format("no sign of life for {} s", silence));
  } else if (peer.shut && !connection.has_output()) {
    ::shutdown(connection.fd(), SHUT_WR);
  }
}

void Star::tell_losses() {
  std::vector<Loss> fresh;
  {
    const std::lock_guard lock(mutex_);
    fresh.assign(losses_.begin() + static_cast<std::ptrdiff_t>(told_), losses_.end());
    told_ = losses_.size();
  }
  for (const Loss& loss : fresh) {
    if (handlers_.loss) handlers_.loss(loss);
  }
}

// Whether our last words are taken by all, which then close too, or have had their time. To close first would
// be to reset a connection on which something unread lies, and what is on the way would be lost.
bool Star::finished() {
  const std::lock_guard lock(mutex_);
  if (!closing_) return false;
  if (Clock::now() > close_by_) return true;
  return std::ranges::all_of(peers_,
                             [](const Peer& peer) { return !peer.connection || !peer.connection->open(); });
}

}  // namespace alder
