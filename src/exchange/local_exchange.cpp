// The in-process exchange: a board on which every worker posts spans of its own memory.
//
// No payload is copied: slot() is the neighbour's published span. One mutex guards the board, which is
// touched a few times a step for less than a microsecond; a condition variable a worker wakes only whom it
// concerns. Passing through the mutex is also what orders a neighbour's writes before our reads (publish,
// await) and our reads before its next writes (release, await_released).
#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "base/error.hpp"
#include "exchange/edges.hpp"
#include "exchange/exchange.hpp"
#include "exchange/header.hpp"
#include "trace/span.hpp"

namespace alder {
namespace {

// One generation as its sender offers it. Written by the sender, read by its receivers, under the mutex.
struct Offer {
  Generation generation;
  std::vector<Rank> send_to;
  std::vector<std::span<const float>> buckets;
  std::vector<bool> published;  // by bucket
  Header header;
  bool announced = false;
};

// What one worker shows to the others; under the mutex.
struct Party {
  std::condition_variable changed;  // this worker waits here
  std::deque<Offer> offers;         // by generation
  uint64_t opened_below = 0;        // every generation below was opened or passed by
  uint64_t released_below = 0;      // every generation below has been read by this worker
  bool failed = false;
};

struct Board {
  Board(int workers, std::vector<std::size_t> lengths)
      : buckets(std::move(lengths)), parties(static_cast<std::size_t>(workers)) {}
  Party& party(Rank rank) { return parties[static_cast<std::size_t>(rank)]; }
  void wake(const std::vector<Rank>& ranks) {
    for (const Rank rank : ranks) party(rank).changed.notify_one();
  }
  void wake_all() {
    for (Party& one : parties) one.changed.notify_one();
  }

  const std::vector<std::size_t> buckets;  // elements
  std::mutex mutex;
  std::vector<Party> parties;
};

Offer* find_offer(Party& party, Generation generation) {
  const auto it = std::ranges::find(party.offers, generation, &Offer::generation);
  return it == party.offers.end() ? nullptr : &*it;
}

// One generation as its receiver sees it, from open to release. Touched by the receiver's thread only.
struct Intake {
  struct Source {
    Rank rank;
    Header header;
    bool heard = false;
    std::vector<std::span<const float>> slots;
    std::vector<bool> arrived;  // by bucket
  };
  Generation generation;
  std::vector<Source> sources;  // live.receive_from, in its order
};

class LocalEndpoint final : public Endpoint {
 public:
  LocalEndpoint(Rank rank, Board& board) : rank_(rank), board_(&board), bytes_sent_(board.parties.size()) {}

  Rank rank() const override { return rank_; }
  void open(Generation generation, const LiveEdges& live) override;
  void publish(Generation generation, Bucket bucket, std::span<const float> source) override;
  void announce(Generation generation, const Header& header) override;
  std::vector<Arrival> await_headers(Generation generation, Deadline deadline) override;
  std::vector<Arrival> await_bucket(Generation generation, Bucket bucket, Deadline deadline) override;
  Header header(Rank neighbour, Generation generation) const override;
  std::span<const float> slot(Rank neighbour, Generation generation, Bucket bucket) const override;
  void release(Generation generation) override;
  std::vector<Arrival> await_released(Generation generation, Deadline deadline) override;
  int64_t bytes_sent(Rank neighbour) const override;

 private:
  Party& own() const { return board_->party(rank_); }
  void check_bucket(Bucket bucket) const;
  Offer& own_offer(Generation generation) const;
  bool settled(const Offer& offer) const;
  Intake& intake(Generation generation);
  const Intake::Source& source(Rank neighbour, Generation generation) const;
  template <typename Take>
  Arrival look(const Intake& intake, Intake::Source& source, Take take) const;
  template <typename Look>
  std::vector<Arrival> wait(std::size_t count, Deadline deadline, Look look);

  Rank rank_;
  Board* board_;
  std::deque<Intake> intakes_;       // opened, not yet released
  std::vector<int64_t> bytes_sent_;  // by neighbour
};

void LocalEndpoint::check_bucket(Bucket bucket) const {
  if (bucket.value() >= board_->buckets.size()) {
    misuse("worker {} uses bucket {}, but there are {}", rank_, bucket.value(), board_->buckets.size());
  }
}

Offer& LocalEndpoint::own_offer(Generation generation) const {
  if (Offer* offer = find_offer(own(), generation)) return *offer;
  if (generation.value() < own().opened_below) {
    misuse("worker {} asks for generation {}, which is too long ago: the last {} are remembered", rank_,
           generation.value(), kRememberedGenerations);
  }
  misuse("worker {} uses generation {}, which is not open", rank_, generation.value());
}

// Whether nobody can ask for it any more: read by all who live, and released by its sender.
bool LocalEndpoint::settled(const Offer& offer) const {
  const auto has_read = [&](const Party& party) {
    return party.failed || party.released_below > offer.generation.value();
  };
  return has_read(own()) &&
         std::ranges::all_of(offer.send_to, [&](Rank rank) { return has_read(board_->party(rank)); });
}

void LocalEndpoint::open(Generation generation, const LiveEdges& live) {
  check_live_edges(rank_, static_cast<int>(board_->parties.size()), live);
  const std::lock_guard lock(board_->mutex);
  Party& party = own();
  if (generation.value() < party.opened_below) {
    misuse("worker {} opens generation {} after generation {}; generations must increase", rank_,
           generation.value(), party.opened_below - 1);
  }
  // Whoever waits for a generation that is passed by waits in vain and has to hear it.
  if (generation.value() > party.opened_below) board_->wake_all();
  party.opened_below = generation.value() + 1;

  const std::size_t buckets = board_->buckets.size();
  while (party.offers.size() >= kRememberedGenerations && settled(party.offers.front()))
    party.offers.pop_front();
  party.offers.push_back({.generation = generation,
                          .send_to = live.send_to,
                          .buckets = std::vector<std::span<const float>>(buckets),
                          .published = std::vector<bool>(buckets)});
  Intake& intake = intakes_.emplace_back(Intake{.generation = generation, .sources = {}});
  for (const Rank from : live.receive_from) {
    intake.sources.push_back({.rank = from,
                              .slots = std::vector<std::span<const float>>(buckets),
                              .arrived = std::vector<bool>(buckets)});
  }
}

void LocalEndpoint::publish(Generation generation, Bucket bucket, std::span<const float> source) {
  check_bucket(bucket);
  const std::size_t index = bucket.value();
  if (source.size() != board_->buckets[index]) {
    misuse("worker {} publishes {} elements as bucket {}, which has {}", rank_, source.size(), index,
           board_->buckets[index]);
  }
  const std::lock_guard lock(board_->mutex);
  Offer& offer = own_offer(generation);
  if (offer.published[index]) {
    misuse("worker {} publishes bucket {} of generation {} twice", rank_, index, generation.value());
  }
  offer.buckets[index] = source;
  offer.published[index] = true;
  const trace::Stretch now;
  for (const Rank to : offer.send_to) {
    // Read in place: what is published has arrived.
    now.mark(trace::Kind::post, {rank_, to, generation.value(), bucket.value()});
    now.mark(trace::Kind::arrival, {to, rank_, generation.value(), bucket.value()});
    if (!board_->party(to).failed) {
      bytes_sent_[static_cast<std::size_t>(to)] += static_cast<int64_t>(source.size_bytes());
    }
  }
  board_->wake(offer.send_to);
}

void LocalEndpoint::announce(Generation generation, const Header& header) {
  const std::lock_guard lock(board_->mutex);
  Offer& offer = own_offer(generation);
  if (offer.announced) misuse("worker {} announces generation {} twice", rank_, generation.value());
  offer.header = header;
  offer.header.generation = generation.value();
  offer.header.consumed_generation = own().released_below;
  seal(offer.header);
  offer.announced = true;
  for (const Rank to : offer.send_to) {
    trace::instant(trace::Kind::header_arrival, {to, rank_, generation.value()});
  }
  board_->wake(offer.send_to);
}

Intake& LocalEndpoint::intake(Generation generation) {
  const auto it = std::ranges::find(intakes_, generation, &Intake::generation);
  if (it != intakes_.end()) return *it;
  misuse("worker {} listens to generation {}, which is not open", rank_, generation.value());
}

// One look at one neighbour, under the mutex. `take` keeps what the offer has, and says whether it had it.
template <typename Take>
Arrival LocalEndpoint::look(const Intake& intake, Intake::Source& source, Take take) const {
  Party& party = board_->party(source.rank);
  if (party.failed || own().failed) return Arrival::failed;
  const Offer* offer = find_offer(party, intake.generation);
  if (offer == nullptr) {
    return party.opened_below > intake.generation.value() ? Arrival::failed : Arrival::late;
  }
  if (!std::ranges::binary_search(offer->send_to, rank_)) {
    misuse("worker {} listens to worker {} in generation {}, which does not send to it: different schedules",
           rank_, source.rank, intake.generation.value());
  }
  return take(*offer) ? Arrival::arrived : Arrival::late;
}

// Looks at `count` neighbours until none is late or the deadline has passed.
template <typename Look>
std::vector<Arrival> LocalEndpoint::wait(std::size_t count, Deadline deadline, Look look_at) {
  std::vector<Arrival> arrivals(count, Arrival::late);
  std::unique_lock lock(board_->mutex);
  const auto all_settled = [&] {
    for (std::size_t k = 0; k < count; ++k) {
      if (arrivals[k] == Arrival::late) arrivals[k] = look_at(k);
    }
    return std::ranges::find(arrivals, Arrival::late) == arrivals.end();
  };
  own().changed.wait_until(lock, deadline, all_settled);
  return arrivals;
}

std::vector<Arrival> LocalEndpoint::await_headers(Generation generation, Deadline deadline) {
  Intake& in = intake(generation);
  return wait(in.sources.size(), deadline, [&](std::size_t k) {
    Intake::Source& from = in.sources[k];
    if (from.heard) return Arrival::arrived;
    const Arrival arrival = look(in, from, [&](const Offer& offer) {
      if (offer.announced) from.header = offer.header;
      return offer.announced;
    });
    if (arrival != Arrival::arrived) return arrival;
    from.heard = verify(from.header) == HeaderFault::none;
    return from.heard ? Arrival::arrived : Arrival::failed;
  });
}

std::vector<Arrival> LocalEndpoint::await_bucket(Generation generation, Bucket bucket, Deadline deadline) {
  check_bucket(bucket);
  const std::size_t index = bucket.value();
  Intake& in = intake(generation);
  return wait(in.sources.size(), deadline, [&](std::size_t k) {
    Intake::Source& from = in.sources[k];
    if (from.arrived[index]) return Arrival::arrived;
    return look(in, from, [&](const Offer& offer) {
      from.slots[index] = offer.buckets[index];
      from.arrived[index] = offer.published[index];
      return offer.published[index];
    });
  });
}

const Intake::Source& LocalEndpoint::source(Rank neighbour, Generation generation) const {
  const auto in = std::ranges::find(intakes_, generation, &Intake::generation);
  if (in == intakes_.end()) {
    misuse("worker {} reads from worker {} in generation {}, which is not open or already released", rank_,
           neighbour, generation.value());
  }
  const auto from = std::ranges::find(in->sources, neighbour, &Intake::Source::rank);
  if (from == in->sources.end()) {
    misuse("worker {} reads from worker {} in generation {}, but does not hear it there", rank_, neighbour,
           generation.value());
  }
  return *from;
}

Header LocalEndpoint::header(Rank neighbour, Generation generation) const {
  const Intake::Source& from = source(neighbour, generation);
  if (!from.heard) {
    misuse("worker {} reads the header of worker {} in generation {} before it arrived", rank_, neighbour,
           generation.value());
  }
  return from.header;
}

std::span<const float> LocalEndpoint::slot(Rank neighbour, Generation generation, Bucket bucket) const {
  check_bucket(bucket);
  const Intake::Source& from = source(neighbour, generation);
  if (!from.arrived[bucket.value()]) {
    misuse("worker {} reads bucket {} of worker {} in generation {} before it arrived", rank_, bucket.value(),
           neighbour, generation.value());
  }
  return from.slots[bucket.value()];
}

void LocalEndpoint::release(Generation generation) {
  if (intakes_.empty() || intakes_.front().generation != generation) {
    misuse("worker {} releases generation {}, but the oldest one it has open is {}", rank_,
           generation.value(),
           intakes_.empty() ? std::string("none") : std::to_string(intakes_.front().generation.value()));
  }
  const std::lock_guard lock(board_->mutex);
  own().released_below = generation.value() + 1;
  for (const Intake::Source& from : intakes_.front().sources) {
    trace::instant(trace::Kind::released, {from.rank, rank_, generation.value()});
    board_->party(from.rank).changed.notify_one();
  }
  intakes_.pop_front();
}

std::vector<Arrival> LocalEndpoint::await_released(Generation generation, Deadline deadline) {
  std::vector<Rank> readers;
  {
    const std::lock_guard lock(board_->mutex);
    readers = own_offer(generation).send_to;
  }
  return wait(readers.size(), deadline, [&](std::size_t k) {
    const Party& party = board_->party(readers[k]);
    if (party.released_below > generation.value()) return Arrival::arrived;
    return party.failed || own().failed ? Arrival::failed : Arrival::late;
  });
}

int64_t LocalEndpoint::bytes_sent(Rank neighbour) const {
  return bytes_sent_.at(static_cast<std::size_t>(neighbour));
}

class LocalExchange final : public Exchange {
 public:
  LocalExchange(int workers, std::vector<std::size_t> buckets) : board_(workers, std::move(buckets)) {
    for (Rank rank = 0; rank < workers; ++rank) endpoints_.emplace_back(rank, board_);
  }
  int workers() const override { return static_cast<int>(endpoints_.size()); }
  std::vector<Rank> local() const override {
    std::vector<Rank> ranks;
    for (const LocalEndpoint& endpoint : endpoints_) ranks.push_back(endpoint.rank());
    return ranks;
  }
  Endpoint& endpoint(Rank local_rank) override { return endpoints_.at(static_cast<std::size_t>(local_rank)); }
  void mark_failed(Rank local_rank) override {
    const std::lock_guard lock(board_.mutex);
    board_.parties.at(static_cast<std::size_t>(local_rank)).failed = true;
    board_.wake_all();
  }
  std::vector<EdgeState> edge_states() override;
  std::string description() const override {
    return fmt::format("local: {} workers in this process, neighbours' arrays read in place", workers());
  }

 private:
  Board board_;
  std::deque<LocalEndpoint> endpoints_;  // a deque, so that handed-out references stay valid
};

// Who has got how far, of all pairs that have something of each other.
std::vector<EdgeState> LocalExchange::edge_states() {
  std::vector<EdgeState> states;
  const std::lock_guard lock(board_.mutex);
  for (Rank worker = 0; worker < workers(); ++worker) {
    for (Rank other = 0; other < workers(); ++other) {
      const Party& party = board_.party(other);
      const auto offer = std::ranges::find_if(
          party.offers.rbegin(), party.offers.rend(),
          [&](const Offer& one) { return std::ranges::binary_search(one.send_to, worker); });
      if (offer == party.offers.rend()) continue;
      states.push_back(
          {worker, other,
           fmt::format("worker {} of worker {}: its last generation for it is {}, with {} of {} buckets {} "
                       "header; it "
                       "has opened all below {} and released all below {}{}",
                       worker, other, offer->generation.value(), std::ranges::count(offer->published, true),
                       offer->published.size(), offer->announced ? "and its" : "and no", party.opened_below,
                       party.released_below, party.failed ? "; it cannot go on" : "")});
    }
  }
  return states;
}

}  // namespace

std::unique_ptr<Exchange> make_local_exchange(int workers, std::vector<std::size_t> buckets) {
  if (workers < 1) usage_error("exchange 'local' for {} workers; give at least 1", workers);
  return std::make_unique<LocalExchange>(workers, std::move(buckets));
}

}  // namespace alder
