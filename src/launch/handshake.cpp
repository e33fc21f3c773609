#include "launch/handshake.hpp"

#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.hpp"

namespace alder {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kKey = "control", kProgramKey = "program";
constexpr std::size_t kStrangers = 64;  // connections that have not said who they are, beyond the job's own

// What rank 0 publishes. The nonce tells the job's processes from whoever else finds the port, and the right
// machine from another one with the same private address.
struct Card {
  std::array<std::byte, 16> nonce{};
  uint16_t port = 0;
  std::vector<Bytes> addresses;
  uint32_t loopback = 0;  // so many of them, at the front, mean something on rank 0's host only
};

Bytes pack(const Card& card) {
  ByteWriter out;
  out.raw(card.nonce);
  out.number(card.port);
  out.number(card.loopback);
  out.number(static_cast<uint32_t>(card.addresses.size()));
  for (const Bytes& address : card.addresses) {
    out.number(static_cast<uint32_t>(address.size()));
    out.raw(address);
  }
  return out.take();
}

Card unpack_card(std::span<const std::byte> bytes) {
  ByteReader in(bytes, "rank 0's card");
  Card card;
  std::ranges::copy(in.raw(card.nonce.size()), card.nonce.begin());
  card.port = in.number<uint16_t>();
  card.loopback = in.number<uint32_t>();
  for (auto left = in.number<uint32_t>(); left > 0; --left) {
    const auto address = in.raw(in.number<uint32_t>());
    card.addresses.emplace_back(address.begin(), address.end());
  }
  in.finish();
  return card;
}

struct Hello {
  Rank rank = 0;
  int32_t process = 0;
  std::string host;
  std::vector<Fact> facts;
};

SharedBytes pack(const Card& card, const Hello& hello) {
  ByteWriter out;
  out.raw(card.nonce);
  out.number(static_cast<int32_t>(hello.rank));
  out.number(hello.process);
  out.text(hello.host);
  out.raw(pack(hello.facts));
  return std::make_shared<const Bytes>(out.take());
}

// None for a stranger, who does not know the nonce.
std::optional<Hello> unpack_hello(const Frame& frame, const Card& card) {
  if (frame.kind != FrameKind::hello) return std::nullopt;
  ByteReader in(frame.payload, "a hello");
  if (!std::ranges::equal(in.raw(card.nonce.size()), card.nonce)) return std::nullopt;
  Hello hello;
  hello.rank = in.number<int32_t>();
  hello.process = in.number<int32_t>();
  hello.host = in.text();
  hello.facts = unpack_facts(in);
  in.finish();
  return hello;
}

SharedBytes words(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return std::make_shared<const Bytes>(bytes.begin(), bytes.end());
}

std::string name_of(Rank rank, const std::string& host) {
  return fmt::format("rank {} ({})", rank, host);
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr const char* kRemedy = "; start all ranks with the same program and the same options";

// Before anything else is read of a rank, since another program may speak another protocol.
std::optional<std::string> other_program(Rendezvous& meeting, Rank rank, const HandshakeSettings& settings) {
  const auto program = [&](Rank of) { return text_of(meeting.get(of, kProgramKey, settings.deadline)); };
  const std::string there = program(rank), first = program(0);
  if (there == first) return std::nullopt;
  return fmt::format("{} runs another program than {}: build {} there, {} here{}",
                     name_of(rank, meeting.host(rank)), name_of(0, meeting.host(0)), there, first, kRemedy);
}

int left_ms(Clock::time_point until) {
  return static_cast<int>(
      std::max<int64_t>(0, std::chrono::ceil<milliseconds>(until - Clock::now()).count()));
}

double seconds(milliseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

// Waits until the socket can be read, or written if there is output; false when the deadline has passed.
bool wait_for(const Connection& connection, Clock::time_point until) {
  pollfd ready{connection.fd(), static_cast<short>(POLLIN | (connection.has_output() ? POLLOUT : 0)), 0};
  return ::poll(&ready, 1, left_ms(until)) > 0;
}

void flush(Connection& connection, Clock::time_point until) {
  while (connection.open() && connection.has_output()) {
    connection.write();
    if (connection.has_output() && !wait_for(connection, until)) return;
  }
}

// Rank 0's part.
class Host {
 public:
  Host(Rendezvous& meeting, const HandshakeSettings& settings, std::span<const Fact> facts)
      : meeting_(meeting),
        settings_(settings),
        until_(Clock::now() + settings.deadline),
        listener_(listen_anywhere()),
        peers_(static_cast<std::size_t>(meeting.size())) {
    own_ = {0, ::getpid(), meeting.host(0), {facts.begin(), facts.end()}};
    make_card();
    meeting.put(kKey, pack(card_));
    meeting.put(kProgramKey, std::as_bytes(std::span(settings.program)));
    meeting.fence(settings.deadline);
    for (Rank rank = 1; rank < meeting.size(); ++rank) {
      if (const auto text = other_program(meeting, rank, settings)) refuse(*text, rank);
    }
  }

  std::vector<std::unique_ptr<Connection>> run() {
    while (!missing().empty() && Clock::now() < until_) take_in();
    if (refusal_.empty() && !missing().empty()) refuse_for_the_missing();
    std::vector<std::unique_ptr<Connection>> connections(peers_.size());
    for (std::size_t rank = 1; rank < peers_.size(); ++rank) {
      if (!peers_[rank].connection) continue;
      Connection& connection = *peers_[rank].connection;
      connection.queue(refusal_.empty() ? FrameKind::welcome : FrameKind::refusal, usage_ ? 1 : 0,
                       refusal_.empty() ? nullptr : words(refusal_));
      flush(connection, Clock::now() + milliseconds(1000));
      connections[rank] = std::move(peers_[rank].connection);
    }
    if (!refusal_.empty() && usage_) throw UsageError(refusal_);
    if (!refusal_.empty()) throw Error(refusal_);
    return connections;
  }

 private:
  struct Peer {
    std::unique_ptr<Connection> connection;
    Hello hello;
    bool absent = false;  // not waited for
  };

  void make_card() {
    if (::getrandom(card_.nonce.data(), card_.nonce.size(), 0) != static_cast<ssize_t>(card_.nonce.size()))
      fail("getrandom: no random bytes");
    card_.port = listener_.port;
    auto addresses = own_addresses(settings_.interface);
    std::stable_partition(addresses.begin(), addresses.end(),
                          [](const InterfaceAddress& one) { return one.loopback; });
    for (const InterfaceAddress& one : addresses) {
      card_.addresses.push_back(pack_address(one.address));
      card_.loopback += one.loopback ? 1 : 0;
    }
  }

  std::vector<Rank> missing() const {
    std::vector<Rank> ranks;
    for (std::size_t rank = 1; rank < peers_.size(); ++rank) {
      if (!peers_[rank].connection && !peers_[rank].absent) ranks.push_back(static_cast<Rank>(rank));
    }
    return ranks;
  }

  // Waits for news of the listener and of those who have not said who they are; handles it.
  void take_in() {
    std::vector<pollfd> ready{{listener_.socket.get(), POLLIN, 0}};
    for (const auto& stranger : strangers_) ready.push_back({stranger->fd(), POLLIN, 0});
    if (::poll(ready.data(), ready.size(), left_ms(until_)) <= 0) return;
    for (auto& stranger : strangers_) {
      std::vector<Frame> frames;
      stranger->read(frames, 1);
      if (!frames.empty()) introduce(stranger, frames.front());
    }
    std::erase_if(strangers_, [](const auto& one) { return !one || !one->open(); });
    if (ready.front().revents == 0) return;
    Socket socket(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket && strangers_.size() < peers_.size() + kStrangers)
      strangers_.push_back(std::make_unique<Connection>(std::move(socket), settings_.limits));
  }

  // Takes the connection over, or drops it.
  void introduce(std::unique_ptr<Connection>& stranger, const Frame& frame) {
    auto connection = std::move(stranger);
    std::optional<Hello> hello;
    try {
      hello = unpack_hello(frame, card_);
    } catch (const Error&) {
    }
    if (!hello || hello->rank < 0 || hello->rank >= meeting_.size()) return;
    Peer& peer = peers_[static_cast<std::size_t>(hello->rank)];
    const Hello& taken = hello->rank == 0 ? own_ : peer.hello;
    if (hello->rank == 0 || peer.connection) {
      refuse(
          fmt::format("rank {} is there twice: as process {} on {} and as process {} on {}; start one alder "
                      "per rank",
                      hello->rank, taken.process, taken.host, hello->process, hello->host));
      connection->queue(FrameKind::refusal, 1, words(refusal_));
      flush(*connection, Clock::now() + milliseconds(1000));
      return;
    }
    if (const auto text =
            difference(hello->facts, name_of(hello->rank, hello->host), own_.facts, name_of(0, own_.host))) {
      refuse(*text + kRemedy);
    }
    peer = {std::move(connection), std::move(*hello)};
  }

  // The first reason is the one that is told. `absent`: this rank knows it already and does not connect.
  void refuse(const std::string& text, Rank absent = -1) {
    if (refusal_.empty()) refusal_ = text;
    if (absent >= 0) peers_[static_cast<std::size_t>(absent)].absent = true;
  }
  void refuse_for_the_missing() {
    std::string names;
    for (const Rank rank : missing())
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name_of(rank, meeting_.host(rank)));
    refusal_ = fmt::format(
        "{} waited {} s at port {} for {}; is there a way from there to here? --control-interface chooses it",
        name_of(0, own_.host), seconds(settings_.deadline), listener_.port, names);
    usage_ = false;
  }

  Rendezvous& meeting_;
  const HandshakeSettings& settings_;
  Clock::time_point until_;
  Listener listener_;
  Card card_;
  Hello own_;
  std::vector<Peer> peers_;  // by rank
  std::vector<std::unique_ptr<Connection>> strangers_;
  std::string refusal_;
  bool usage_ = true;  // the refusal is a UsageError
};

// Rank 0 has answered, and the answer is no: other addresses need not be tried.
struct Refused {
  std::string text;
  bool usage;
};

// The other ranks' part.
class Guest {
 public:
  Guest(Rendezvous& meeting, const HandshakeSettings& settings, std::span<const Fact> facts)
      : meeting_(meeting), settings_(settings), until_(Clock::now() + settings.deadline) {
    meeting.put(kProgramKey, std::as_bytes(std::span(settings.program)));
    meeting.fence(settings.deadline);
    if (const auto text = other_program(meeting, meeting.rank(), settings)) throw UsageError(*text);
    card_ = unpack_card(meeting.get(0, kKey, settings.deadline));
    hello_ = {meeting.rank(), ::getpid(), meeting.host(meeting.rank()), {facts.begin(), facts.end()}};
  }

  std::unique_ptr<Connection> run() {
    const bool same_host = hello_.host == meeting_.host(0);
    std::string tried;
    for (std::size_t i = 0; i < card_.addresses.size(); ++i) {
      if (i < card_.loopback && !same_host) continue;
      try {
        return introduce(unpack_address(card_.addresses[i], card_.port));
      } catch (const Refused& refused) {
        if (refused.usage) throw UsageError(refused.text);
        throw Error(refused.text);
      } catch (const Error& error) {
        tried += fmt::format("{}{}", tried.empty() ? "" : ", ", error.what());
      }
    }
    fail("{} cannot reach {}: {}; --control-interface chooses the way", name_of(hello_.rank, hello_.host),
         name_of(0, meeting_.host(0)), tried);
  }

 private:
  // Throws Error for an address that leads nowhere or to somebody else, and Refused.
  std::unique_ptr<Connection> introduce(const sockaddr_storage& address) {
    // An address that does not answer must leave time for the others.
    const auto share = settings_.deadline / static_cast<int>(card_.addresses.size() + 1);
    auto connection = std::make_unique<Connection>(connect_to(address, share), settings_.limits);
    connection->queue(FrameKind::hello, 0, pack(card_, hello_));
    // The answer comes when all ranks are there, so the whole time may pass, and rank 0 is who complains.
    const auto until = until_ + milliseconds(5000);
    std::vector<Frame> frames;
    while (frames.empty() && connection->open()) {
      connection->write();
      if (!wait_for(*connection, until))
        fail("{}: no welcome in {} s", address_text(address), seconds(settings_.deadline));
      connection->read(frames, 1);
    }
    if (frames.empty()) fail("{}: {}", address_text(address), connection->ended());
    const Frame& answer = frames.front();
    if (answer.kind == FrameKind::welcome) return connection;
    if (answer.kind == FrameKind::refusal) throw Refused{text_of(answer.payload), answer.tag == 1};
    fail("{}: a {} where a welcome belongs", address_text(address), to_string(answer.kind));
  }

  Rendezvous& meeting_;
  const HandshakeSettings& settings_;
  Clock::time_point until_;
  Card card_;
  Hello hello_;
};

}  // namespace

std::vector<std::unique_ptr<Connection>> shake_hands(Rendezvous& meeting, const HandshakeSettings& settings,
                                                     std::span<const Fact> facts) {
  if (meeting.rank() == 0) return Host(meeting, settings, facts).run();
  std::vector<std::unique_ptr<Connection>> one;
  one.push_back(Guest(meeting, settings, facts).run());
  return one;
}

}  // namespace alder
