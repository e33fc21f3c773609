#include "rdma/endpoint.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "exchange/edges.hpp"
#include "exchange/header.hpp"
#include "rdma/bf16.hpp"

namespace alder::rdma {
namespace {

// A sleeping trainer looks this often for processes that have ended.
constexpr int64_t kLookEveryNs = 100'000'000;
// An order ring is full for longer only if its progress thread has stopped.
constexpr int64_t kOrderLimitNs = 5'000'000'000;
// Two generations of an edge further apart than this could not be told from each other by their low 16 bits.
constexpr uint64_t kLongestGap = 1 << 15;

}  // namespace

VerbsEndpoint::VerbsEndpoint(Parts parts) : parts_(std::move(parts)) {
  const ExchangePlan& plan = *parts_.plan;
  const std::size_t buckets = parts_.layout->buckets();
  edge_of_rank_.assign(static_cast<std::size_t>(plan.workers), -1);
  published_below_.assign(buckets, 0);
  for (std::size_t e = 0; e < plan.edges.size(); ++e) {
    Neighbour one{.plan = plan.edges[e], .slots = parts_.slots[e], .rails = parts_.rails_of_edge[e]};
    for (Inbox& inbox : one.inbox) inbox.buckets.assign(buckets, false);
    one.newest.assign(buckets, 0);
    one.last_live = plan.first_generation.value();
    if (parts_.layout->type() == WireType::bf16 && one.slots != nullptr) {
      one.decoded.resize(2 * parts_.layout->all_elements());
    }
    neighbours_.push_back(std::move(one));
    edge_of_rank_[static_cast<std::size_t>(plan.edges[e].neighbour)] = static_cast<int>(e);
  }
}

// ---- checks of the caller ----

void VerbsEndpoint::check_bucket(Bucket bucket) const {
  if (bucket.value() >= parts_.layout->buckets()) {
    misuse("worker {} uses bucket {}, but there are {}", rank(), bucket.value(), parts_.layout->buckets());
  }
}

std::size_t VerbsEndpoint::edge_to(Rank neighbour) const {
  const auto index = static_cast<std::size_t>(neighbour);
  if (index >= edge_of_rank_.size() || edge_of_rank_[index] < 0) {
    misuse("worker {} has no edge to worker {}", rank(), neighbour);
  }
  return static_cast<std::size_t>(edge_of_rank_[index]);
}

std::size_t VerbsEndpoint::live_edge(Rank neighbour, Generation generation, bool sending) {
  const std::size_t edge = edge_to(neighbour);
  const EdgePlan& plan = neighbours_[edge].plan;
  if (!(sending ? plan.sends : plan.receives)) {
    misuse("worker {} opens generation {} {} worker {}, which its plan of edges excludes", rank(),
           generation.value(), sending ? "towards" : "from", neighbour);
  }
  if (generation.value() - neighbours_[edge].last_live >= kLongestGap) {
    misuse(
        "worker {} uses the edge to worker {} in generation {} after generation {}; at most {} may lie "
        "between",
        rank(), neighbour, generation.value(), neighbours_[edge].last_live, kLongestGap - 1);
  }
  return edge;
}

VerbsEndpoint::Outgoing& VerbsEndpoint::outgoing(Generation generation) {
  const auto it = std::ranges::find(outgoing_, generation, &Outgoing::generation);
  if (it != outgoing_.end()) return *it;
  if (generation.value() < opened_below_) {
    misuse("worker {} asks for generation {}, which is too long ago: the last {} are remembered", rank(),
           generation.value(), kRememberedGenerations);
  }
  misuse("worker {} uses generation {}, which is not open", rank(), generation.value());
}

VerbsEndpoint::Intake& VerbsEndpoint::intake(Generation generation) {
  const auto it = std::ranges::find(intakes_, generation, &Intake::generation);
  if (it != intakes_.end()) return *it;
  misuse("worker {} listens to generation {}, which is not open", rank(), generation.value());
}

const VerbsEndpoint::Intake::Source& VerbsEndpoint::source(Rank neighbour, Generation generation) const {
  const auto in = std::ranges::find(intakes_, generation, &Intake::generation);
  if (in == intakes_.end()) {
    misuse("worker {} reads from worker {} in generation {}, which is not open or already released", rank(),
           neighbour, generation.value());
  }
  const auto is_from = [&](const Intake::Source& one) {
    return neighbours_[one.edge].plan.neighbour == neighbour;
  };
  const auto from = std::ranges::find_if(in->sources, is_from);
  if (from == in->sources.end()) {
    misuse("worker {} reads from worker {} in generation {}, but does not hear it there", rank(), neighbour,
           generation.value());
  }
  return *from;
}

// ---- giving ----

void VerbsEndpoint::open(Generation generation, const LiveEdges& live) {
  check_live_edges(rank(), parts_.plan->workers, live);
  const uint64_t first = std::max(opened_below_, parts_.plan->first_generation.value());
  if (generation.value() < first) {
    misuse("worker {} opens generation {} after generation {}; generations must increase", rank(),
           generation.value(), static_cast<int64_t>(first) - 1);
  }
  if (intakes_.size() >= kOpenGenerations) {
    misuse("worker {} opens generation {} while {} and {} are open; there are slots for {}", rank(),
           generation.value(), intakes_.front().generation.value(), intakes_.back().generation.value(),
           kOpenGenerations);
  }
  const std::size_t buckets = parts_.layout->buckets();
  Outgoing out{.generation = generation,
               .published = std::vector<bool>(buckets),
               .sources = std::vector<std::span<const float>>(buckets)};
  Intake in{.generation = generation, .sources = {}};
  for (const Rank to : live.send_to) out.edges.push_back(live_edge(to, generation, true));
  for (const Rank from : live.receive_from) {
    in.sources.push_back({.edge = live_edge(from, generation, false), .arrived = std::vector<bool>(buckets)});
  }
  out.unsent.assign(out.edges.size(), 0);
  take_events();
  for (const std::size_t edge : out.edges) neighbours_[edge].last_live = generation.value();
  for (const Intake::Source& from : in.sources) neighbours_[from.edge].last_live = generation.value();

  const auto settled = [this](const Outgoing& old) {
    return old.released && std::ranges::all_of(old.unsent, [](uint32_t unsent) { return unsent == 0; });
  };
  while (outgoing_.size() >= kRememberedGenerations && settled(outgoing_.front())) outgoing_.pop_front();
  if (signalled_) {
    for (const Intake::Source& from : in.sources) {
      order_all(
          {.kind = Order::Kind::expect, .edge = static_cast<uint32_t>(from.edge), .generation = generation});
    }
    order_all({.kind = Order::Kind::opened, .generation = generation});
  }
  outgoing_.push_back(std::move(out));
  intakes_.push_back(std::move(in));
  opened_below_ = generation.value() + 1;
  last_opened_.store(generation.value(), std::memory_order_relaxed);
}

void VerbsEndpoint::publish(Generation generation, Bucket bucket, std::span<const float> source) {
  publish_after({}, generation, bucket, source);
}

void VerbsEndpoint::publish_after(const Gate& gate, Generation generation, Bucket bucket,
                                  std::span<const float> source) {
  check_bucket(bucket);
  const uint32_t b = bucket.value();
  if (source.size() != parts_.layout->elements(b)) {
    misuse("worker {} publishes {} elements as bucket {}, which has {}", rank(), source.size(), b,
           parts_.layout->elements(b));
  }
  Outgoing& out = outgoing(generation);
  if (out.published[b]) {
    misuse("worker {} publishes bucket {} of generation {} twice", rank(), b, generation.value());
  }
  if (out.released) {
    misuse("worker {} publishes bucket {} of generation {}, which it has released", rank(), b,
           generation.value());
  }
  if (generation.value() < published_below_[b]) {
    misuse("worker {} publishes bucket {} of generation {} after that of generation {}", rank(), b,
           generation.value(), published_below_[b] - 1);
  }
  const Source where = parts_.sources->prepare(source);
  take_events();
  out.published[b] = true;
  out.sources[b] = source;
  published_below_[b] = generation.value() + 1;
  for (std::size_t k = 0; k < out.edges.size(); ++k) {
    Neighbour& neighbour = neighbours_[out.edges[k]];
    if (neighbour.rails_over > 0 || failed_.load()) continue;
    ++out.unsent[k];
    neighbour.bytes_sent += static_cast<int64_t>(parts_.layout->bytes(b));
    order(b % neighbour.rails, {.kind = Order::Kind::publish,
                                .edge = static_cast<uint32_t>(out.edges[k]),
                                .bucket = b,
                                .generation = generation,
                                .source = where,
                                .gate = gate});
  }
}

void VerbsEndpoint::announce(Generation generation, const Header& header) {
  Outgoing& out = outgoing(generation);
  if (out.announced) misuse("worker {} announces generation {} twice", rank(), generation.value());
  if (out.released) {
    misuse("worker {} announces generation {}, which it has released", rank(), generation.value());
  }
  out.announced = true;
  Header sealed = header;
  sealed.generation = generation.value();
  sealed.consumed_generation = released_below_;
  sealed.wire_type = static_cast<uint32_t>(parts_.layout->type());
  seal(sealed);
  take_events();
  for (const std::size_t edge : out.edges) {
    if (neighbours_[edge].rails_over > 0) continue;
    order(0, {.kind = Order::Kind::announce,
              .edge = static_cast<uint32_t>(edge),
              .generation = generation,
              .header = sealed});
  }
}

std::vector<Arrival> VerbsEndpoint::await_released(Generation generation, Deadline deadline) {
  const Outgoing& out = outgoing(generation);
  return wait(out.edges.size(), deadline, [&](std::size_t k) {
    const Neighbour& neighbour = neighbours_[out.edges[k]];
    // Over on all rails: nothing of ours is read any more.
    if (neighbour.rails_over == neighbour.rails) return Arrival::failed;
    if (neighbour.rails_over > 0) return Arrival::late;
    return out.unsent[k] == 0 ? Arrival::arrived : Arrival::late;
  });
}

int64_t VerbsEndpoint::bytes_sent(Rank neighbour) const {
  const auto index = static_cast<std::size_t>(neighbour);
  if (index >= edge_of_rank_.size() || edge_of_rank_[index] < 0) return 0;
  return neighbours_[static_cast<std::size_t>(edge_of_rank_[index])].bytes_sent;
}

// ---- hearing ----

// What has not arrived: whether it still may.
Arrival VerbsEndpoint::missing(const Neighbour& neighbour, bool passed_by) const {
  return neighbour.rails_over > 0 || passed_by || failed_.load() ? Arrival::failed : Arrival::late;
}

std::vector<Arrival> VerbsEndpoint::await_headers(Generation generation, Deadline deadline) {
  Intake& in = intake(generation);
  return wait(in.sources.size(), deadline, [&](std::size_t k) {
    Intake::Source& from = in.sources[k];
    if (from.heard) return Arrival::arrived;
    const Neighbour& neighbour = neighbours_[from.edge];
    const Inbox& inbox = neighbour.inbox[generation.value() & 1];
    const bool here = inbox.used && inbox.generation == generation.value() && inbox.header_here;
    if (!here || failed_.load() || (neighbour.rails_over > 0 && !neighbour.orderly)) {
      return missing(neighbour, neighbour.newest_header > generation.value());
    }
    from.header = inbox.header;
    from.heard = true;
    return Arrival::arrived;
  });
}

std::vector<Arrival> VerbsEndpoint::await_bucket(Generation generation, Bucket bucket, Deadline deadline) {
  check_bucket(bucket);
  const uint32_t b = bucket.value();
  Intake& in = intake(generation);
  bool fresh = false;
  std::vector<Arrival> arrivals = wait(in.sources.size(), deadline, [&](std::size_t k) {
    Intake::Source& from = in.sources[k];
    if (from.arrived[b]) return Arrival::arrived;
    const Neighbour& neighbour = neighbours_[from.edge];
    const Inbox& inbox = neighbour.inbox[generation.value() & 1];
    const bool here = inbox.used && inbox.generation == generation.value() && inbox.buckets[b];
    if (!here || failed_.load() || (neighbour.rails_over > 0 && !neighbour.orderly)) {
      return missing(neighbour, neighbour.newest[b] > generation.value() + 1);
    }
    from.arrived[b] = fresh = true;
    if (parts_.layout->type() == WireType::bf16) decode(from, generation, b);
    return Arrival::arrived;
  });
  const bool flush = std::ranges::any_of(parts_.plan->paths,
                                         [](const Path& path) { return path.flush == FlushPolicy::cuda; });
  if (fresh && flush && parts_.plan->flush_cuda) parts_.plan->flush_cuda();
  return arrivals;
}

// Into full precision, corrected by what rounding did to our own array: see bf16.hpp.
void VerbsEndpoint::decode(const Intake::Source& from, Generation generation, uint32_t bucket) {
  const SlotLayout& layout = *parts_.layout;
  Neighbour& neighbour = neighbours_[from.edge];
  const std::byte* const wire = neighbour.slots + layout.offset(generation, bucket);
  const auto own = std::ranges::find(outgoing_, generation, &Outgoing::generation)->sources[bucket];
  float* const target = neighbour.decoded.data() + (generation.value() & 1) * layout.all_elements() +
                        layout.first_element(bucket);
  decode_bf16({reinterpret_cast<const uint16_t*>(wire), layout.elements(bucket)}, own,
              {target, layout.elements(bucket)});
}

Header VerbsEndpoint::header(Rank neighbour, Generation generation) const {
  const Intake::Source& from = source(neighbour, generation);
  if (!from.heard) {
    misuse("worker {} reads the header of worker {} in generation {} before it arrived", rank(), neighbour,
           generation.value());
  }
  return from.header;
}

std::span<const float> VerbsEndpoint::slot(Rank neighbour, Generation generation, Bucket bucket) const {
  check_bucket(bucket);
  const Intake::Source& from = source(neighbour, generation);
  const uint32_t b = bucket.value();
  if (!from.arrived[b]) {
    misuse("worker {} reads bucket {} of worker {} in generation {} before it arrived", rank(), b, neighbour,
           generation.value());
  }
  const Neighbour& one = neighbours_[from.edge];
  const SlotLayout& layout = *parts_.layout;
  if (layout.type() == WireType::fp32) {
    return {reinterpret_cast<const float*>(one.slots + layout.offset(generation, b)), layout.elements(b)};
  }
  return {one.decoded.data() + (generation.value() & 1) * layout.all_elements() + layout.first_element(b),
          layout.elements(b)};
}

void VerbsEndpoint::release(Generation generation) {
  release_after({}, generation);
}

void VerbsEndpoint::release_after(const Gate& gate, Generation generation) {
  if (intakes_.empty() || intakes_.front().generation != generation) {
    misuse("worker {} releases generation {}, but the oldest one it has open is {}", rank(),
           generation.value(),
           intakes_.empty() ? std::string("none") : std::to_string(intakes_.front().generation.value()));
  }
  intakes_.pop_front();
  released_below_ = generation.value() + 1;
  outgoing(generation).released = true;
  order_all({.kind = Order::Kind::release, .generation = generation, .gate = gate});
}

// ---- streams ----

void VerbsEndpoint::signal_arrivals(std::span<std::atomic<uint64_t>* const> words) {
  if (opened_below_ > 0) misuse("worker {} asks for arrival words after it opened a generation", rank());
  if (words.size() != parts_.layout->buckets()) {
    misuse("worker {} gives {} arrival words for {} buckets", rank(), words.size(), parts_.layout->buckets());
  }
  if (parts_.layout->type() != WireType::fp32) {
    misuse("worker {} asks for arrival words, but what arrives as bf16 has to be decoded first", rank());
  }
  const auto rails = static_cast<uint32_t>(parts_.rails.size());
  if (std::ranges::any_of(neighbours_, [&](const Neighbour& one) { return one.rails != rails; })) {
    misuse("worker {} asks for arrival words with {} rails and edges that use one of them", rank(), rails);
  }
  signalled_ = true;
  for (Rail* rail : parts_.rails) rail->arrival_words().set_words(words);
}

void VerbsEndpoint::proceed(Generation generation, Bucket bucket) {
  check_bucket(bucket);
  order(bucket.value() % static_cast<uint32_t>(parts_.rails.size()),
        {.kind = Order::Kind::proceed, .bucket = bucket.value(), .generation = generation});
}

// ---- rails ----

void VerbsEndpoint::order(uint32_t rail_index, const Order& order) {
  Rail& rail = *parts_.rails[rail_index];
  const int64_t begin = parts_.time->now_ns();
  while (!rail.order(order)) {
    rail.wakeup().wake();
    take_events();
    if (parts_.time->threads()) {
      std::this_thread::yield();
    } else {
      parts_.time->advance(begin + kOrderLimitNs);
    }
    if (parts_.time->now_ns() - begin > kOrderLimitNs) {
      fail("worker {}: its progress thread for rail {} has taken no order for {} s", rank(), rail_index,
           kOrderLimitNs / 1'000'000'000);
    }
  }
  rail.wakeup().wake();
}

void VerbsEndpoint::order_all(const Order& one) {
  for (uint32_t k = 0; k < parts_.rails.size(); ++k) order(k, one);
}

void VerbsEndpoint::take_events() {
  Event event;
  for (Rail* rail : parts_.rails) {
    while (rail->next_event(event)) take(*rail, event);
  }
}

void VerbsEndpoint::take(Rail& rail, const Event& event) {
  Neighbour& neighbour = neighbours_[event.edge];
  const uint64_t g = event.generation.value();
  const auto inbox = [&]() -> Inbox& {
    Inbox& box = neighbour.inbox[g & 1];
    if (!box.used || box.generation != g) {
      box.used = true;
      box.generation = g;
      box.header_here = false;
      box.buckets.assign(box.buckets.size(), false);
    }
    return box;
  };
  switch (event.kind) {
    case Event::Kind::up:
      ++neighbour.rails_up;
      return;
    case Event::Kind::mended:
      return;
    case Event::Kind::bucket_arrived:
      inbox().buckets[event.bucket] = true;
      neighbour.newest[event.bucket] = std::max(neighbour.newest[event.bucket], g + 1);
      return;
    case Event::Kind::header_arrived: {
      Inbox& box = inbox();
      box.header_here = true;
      box.header = event.header;
      neighbour.newest_header = std::max(neighbour.newest_header, g);
      return;
    }
    case Event::Kind::bucket_sent:
      for (Outgoing& out : outgoing_) {
        if (out.generation != event.generation) continue;
        const auto at = std::ranges::find(out.edges, event.edge);
        if (at != out.edges.end()) --out.unsent[static_cast<std::size_t>(at - out.edges.begin())];
      }
      return;
    case Event::Kind::over:
      neighbour.orderly = neighbour.rails_over == 0 ? event.orderly : neighbour.orderly && event.orderly;
      ++neighbour.rails_over;
      for (Outgoing& out : outgoing_) {
        const auto at = std::ranges::find(out.edges, event.edge);
        if (at != out.edges.end()) out.unsent[static_cast<std::size_t>(at - out.edges.begin())] = 0;
      }
      // An edge is whole or gone.
      for (Rail* other : parts_.rails) {
        if (other != &rail) other->order({.kind = Order::Kind::drop, .edge = event.edge});
        other->wakeup().wake();
      }
      return;
  }
}

void VerbsEndpoint::look_for_ended_processes() {
  const int64_t now = parts_.time->now_ns();
  if (now < next_look_ns_) return;
  next_look_ns_ = now + kLookEveryNs;
  for (const Rank ended : parts_.rendezvous->take_failures()) {
    const auto index = static_cast<std::size_t>(ended);
    if (index >= edge_of_rank_.size() || edge_of_rank_[index] < 0) continue;
    order_all({.kind = Order::Kind::ended, .edge = static_cast<uint32_t>(edge_of_rank_[index])});
  }
}

// Lets things happen until `settled`, or until the deadline has passed.
template <typename Settled>
void VerbsEndpoint::wait_until(Deadline deadline, Settled settled) {
  const int64_t until = to_ns(deadline);
  int spins = 0;
  while (true) {
    take_events();
    look_for_ended_processes();
    if (settled()) return;
    const int64_t now = parts_.time->now_ns();
    if (now >= until) return;
    if (!parts_.time->threads()) {
      parts_.time->advance(until);
      continue;
    }
    if (spins++ < parts_.plan->tuning.spin_polls) continue;
    parts_.bell->prepare();
    take_events();
    if (settled()) {
      parts_.bell->cancel();
      return;
    }
    parts_.bell->sleep_until(Deadline(std::chrono::nanoseconds(std::min(until, now + kLookEveryNs))));
  }
}

// Looks at `count` neighbours until none is late or the deadline has passed.
template <typename Look>
std::vector<Arrival> VerbsEndpoint::wait(std::size_t count, Deadline deadline, Look look) {
  std::vector<Arrival> arrivals(count, Arrival::late);
  wait_until(deadline, [&] {
    for (std::size_t k = 0; k < count; ++k) {
      if (arrivals[k] == Arrival::late) arrivals[k] = look(k);
    }
    return std::ranges::find(arrivals, Arrival::late) == arrivals.end();
  });
  return arrivals;
}

bool VerbsEndpoint::await_edges_up(Deadline deadline) {
  const auto up = [](const Neighbour& one) { return one.rails_up == one.rails && one.rails_over == 0; };
  wait_until(deadline, [&] {
    return std::ranges::all_of(neighbours_, up) ||
           std::ranges::any_of(neighbours_, [](const Neighbour& one) { return one.rails_over > 0; });
  });
  return std::ranges::all_of(neighbours_, up);
}

void VerbsEndpoint::close(Deadline deadline) {
  const int64_t patience = std::max<int64_t>(0, (to_ns(deadline) - parts_.time->now_ns()) * 3 / 4);
  order_all({.kind = Order::Kind::leave, .patience_ns = patience});
  wait_until(deadline, [&] {
    return std::ranges::all_of(neighbours_, [](const Neighbour& one) { return one.rails_over == one.rails; });
  });
}

void VerbsEndpoint::worker_failed() {
  failed_.store(true);
  for (Rail* rail : parts_.rails) rail->fail_worker();
  parts_.bell->ring();
}

bool VerbsEndpoint::edge_over(Rank neighbour) {
  take_events();
  return neighbours_[edge_to(neighbour)].rails_over > 0;
}

}  // namespace alder::rdma
