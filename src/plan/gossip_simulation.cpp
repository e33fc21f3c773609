// An exchange with neighbours as a discrete-event simulation; simulation.hpp states the model.
#include <algorithm>
#include <array>
#include <deque>
#include <queue>
#include <stdexcept>

#include "base/error.hpp"
#include "plan/link.hpp"
#include "plan/simulation.hpp"
#include "plan/step_times.hpp"

namespace alder::plan {
namespace {

using gossip::Order;

// A published version of a worker's model: the step, and in the paper's order x (even) or h (odd) of a step.
using GenerationNumber = int64_t;

// What has come in of one generation.
struct Inbox {
  int64_t heard = 0;   // messages (buckets)
  double last_ms = 0;  // when the last of them was across
  double posted_ms = 0;
  Rank from = -1;
};

// What is going out of one generation.
struct Outbox {
  int pending = 0;     // messages that wait for a slot or are on their way out
  double left_ms = 0;  // when the last of the others had left
};

// A message that waits for a slot.
struct Held {
  Rank from = 0;
  GenerationNumber generation = 0;
};

struct Worker {
  Step step = 0;
  const Pattern* pattern = nullptr;  // of this step
  double begun_ms = 0;
  double computed_ms = 0;  // forward and backward done
  double ready_ms = 0;     // own part of what comes next done
  bool ready_known = false;
  bool second_exchange = false;                 // paper: h is out
  bool finished = false;                        // the next step's begin is known
  int64_t expected = 0;                         // messages of each exchange of this step
  double give_up_ms = 0;                        // until when a link that just failed is waited for; 0: none
  std::array<Inbox, 2> inbox;                   // by parity of generation, as the slots are
  std::array<Outbox, 4> outbox;                 // by generation modulo 4: older ones have left
  std::vector<Held> held;                       // of others, waiting for this one's slots
  std::vector<std::pair<Rank, double>> waited;  // for whom, milliseconds in all
  std::vector<std::pair<Rank, int>> known_outages;  // neighbour, number of the outage
};

struct Event {
  enum class Kind : uint8_t { begin, post, departure };
  double ms = 0;
  uint64_t order = 0;  // of making: settles ties
  Kind kind = Kind::begin;
  int who = 0;                      // begin, post: the worker; departure: the link
  GenerationNumber generation = 0;  // post
  uint64_t version = 0;             // departure: of the link's schedule that it belongs to
  bool operator>(const Event& other) const { return ms != other.ms ? ms > other.ms : order > other.order; }
};

class Simulation {
 public:
  Simulation(Order order, Patterns& patterns, const Cluster& cluster, const Workload& workload,
             const SimulationOptions& options);
  SimulationResult run();

 private:
  // Events.
  void begin(Rank rank, double now);
  void post(Rank rank, GenerationNumber generation, double now);
  void depart(int link, uint64_t version, double now);

  void open_step(Rank rank);
  void write_half(Rank rank, double now);
  int send(Rank from, Rank to, GenerationNumber generation, double now);
  int link_between(Rank from, Rank to) const;  // on whose side: from
  void schedule(int link, double now);
  void arrive(const Message& message, double now);
  void accept_held(Rank rank, double now);
  void advance(Rank rank);
  void account(Worker& worker, const Inbox& inbox, double ready_ms, double until_ms);
  void expect(Rank rank);
  void push(Event event) {
    event.order = made_++;
    events_.push(event);
  }

  bool paper() const { return order_ == Order::paper; }
  Worker& worker(Rank rank) { return workers_[static_cast<std::size_t>(rank)]; }
  GenerationNumber generation_of(Step step, int exchange) const {
    return paper() ? 2 * step + exchange : step;
  }
  static Outbox& outbox(Worker& worker, GenerationNumber generation) {
    return worker.outbox[static_cast<std::size_t>(generation) & 3];
  }
  static Inbox& inbox(Worker& worker, GenerationNumber generation) {
    return worker.inbox[static_cast<std::size_t>(generation) & 1];
  }
  // Whether the receiver has released generation g - 2, whose slot this one takes.
  bool slot_free(const Worker& receiver, GenerationNumber generation) const {
    return (paper() ? 2 : 1) * receiver.step >= generation - 1;
  }
  Passes passes(const Worker& worker) const {
    return passes_ms(order_, *cluster_, *workload_, static_cast<double>(worker.expected / buckets_));
  }
  void forget_patterns(Step finished);
  SimulationResult result() const;

  Order order_;
  Patterns* patterns_;
  const Cluster* cluster_;
  const Workload* workload_;
  const SimulationOptions* options_;
  ComputeTimes compute_;
  Outages outages_;
  int buckets_ = 1;
  double inside_ms_ = 0;           // the GPUs of a node summing their gradients
  std::vector<Link> links_;        // ports of NICs, then every worker's link inside its node
  std::vector<uint64_t> version_;  // of each link's schedule
  std::vector<int> port_, node_;   // by worker
  int first_inside_ = 0;
  std::vector<Worker> workers_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t made_ = 0;
  std::vector<Message> departing_;
  std::deque<int> unfinished_;  // workers that are not through with a step, from the oldest such step on
  Step oldest_ = 0;

  StepTimes times_;
  double finished_ms_ = 0, computed_ms_ = 0, passes_ms_ = 0;  // sums over workers (and steps)
  double late_ms_ = 0, wire_ms_ = 0, failure_ms_ = 0, exposed_ms_ = 0;
  int64_t messages_ = 0, lost_ = 0;
  int done_ = 0;
};

Simulation::Simulation(Order order, Patterns& patterns, const Cluster& cluster, const Workload& workload,
                       const SimulationOptions& options)
    : order_(order),
      patterns_(&patterns),
      cluster_(&cluster),
      workload_(&workload),
      options_(&options),
      compute_(forward_backward_ms(workload), options.jitter, options.stragglers, cluster.workers,
               cluster.unit == Unit::node ? cluster.gpus_per_node : 1, options.seed),
      outages_(options.failures.any()
                   ? Outages(options.failures, patterns.union_graph(), options.steps, options.seed)
                   : Outages()),
      inside_ms_(inside_exposed_ms(cluster, workload)),
      workers_(static_cast<std::size_t>(cluster.workers)),
      times_(forward_backward_ms(workload)) {
  // Only adapt-then-combine has something to send before the last gradient is there.
  if (order == Order::adapt_then_combine) buckets_ = buckets(wire_bytes(workload), workload.bucket_bytes);
  const double bytes = wire_bytes(workload) / buckets_;
  for (const Port& port : ports(cluster)) {
    links_.emplace_back(milliseconds(bytes, port.rate), latency_ms(cluster));
  }
  first_inside_ = static_cast<int>(links_.size());
  links_.resize(links_.size() + workers_.size(),
                Link(milliseconds(bytes, intra_rate(cluster)), intra_latency_ms(cluster)));
  version_.resize(links_.size());
  for (Rank rank = 0; rank < cluster.workers; ++rank) {
    port_.push_back(port_of(cluster, rank));
    node_.push_back(node_of(cluster, rank));
  }
}

SimulationResult Simulation::run() {
  for (Rank rank = 0; rank < cluster_->workers; ++rank) open_step(rank);
  while (!events_.empty()) {
    const Event event = events_.top();
    events_.pop();
    switch (event.kind) {
      case Event::Kind::begin:
        begin(event.who, event.ms);
        break;
      case Event::Kind::post:
        post(event.who, event.generation, event.ms);
        break;
      case Event::Kind::departure:
        depart(event.who, event.version, event.ms);
        break;
    }
  }
  if (done_ != cluster_->workers) {
    throw std::logic_error(fmt::format("simulation of {}: {} of {} workers wait for ever",
                                       gossip::to_string(order_), cluster_->workers - done_,
                                       cluster_->workers));
  }
  return result();
}

// The combination of the last step is done: x is complete, and what it was made of is released.
void Simulation::begin(Rank rank, double now) {
  Worker& self = worker(rank);
  times_.add(now - self.begun_ms);
  inbox(self, generation_of(self.step, 0)) = {};
  if (paper()) inbox(self, generation_of(self.step, 1)) = {};
  if (patterns_->random()) forget_patterns(self.step);
  ++self.step;
  self.begun_ms = now;
  accept_held(rank, now);
  if (self.step == options_->steps) {
    finished_ms_ += now;
    ++done_;
  } else {
    open_step(rank);
  }
}

void Simulation::open_step(Rank rank) {
  Worker& self = worker(rank);
  const double now = self.begun_ms, compute = compute_.at(self.step, rank);
  computed_ms_ += compute;
  self.pattern = &patterns_->at(self.step);
  self.computed_ms = self.ready_ms = now + compute + inside_ms_;
  exposed_ms_ += inside_ms_;
  self.second_exchange = self.finished = false;
  self.ready_known = order_ != Order::adapt_then_combine;
  expect(rank);
  if (self.ready_known) {
    post(rank, generation_of(self.step, 0), now);
  } else {
    write_half(rank, now);
  }
  advance(rank);
}

// How many messages will come, and how long a link that has just failed is waited for.
void Simulation::expect(Rank rank) {
  Worker& self = worker(rank);
  self.give_up_ms = 0;
  self.expected = static_cast<int64_t>(self.pattern->senders(rank).size());
  if (outages_.any()) {
    for (const Rank from : self.pattern->senders(rank)) {
      const int outage = outages_.outage(rank, from, self.step);
      if (outage < 0) continue;
      --self.expected;
      auto known = std::ranges::find(self.known_outages, from, &std::pair<Rank, int>::first);
      if (known == self.known_outages.end()) known = self.known_outages.insert(known, {from, -1});
      if (known->second != outage) self.give_up_ms = self.computed_ms + options_->failures.detection_ms;
      known->second = outage;
    }
  }
  self.expected *= buckets_;
}

// y = x - lr update, bucket after bucket behind backward, into the buffer that the last step's y was sent
// from. Waits until all of that has left.
void Simulation::write_half(Rank rank, double now) {
  Worker& self = worker(rank);
  const GenerationNumber generation = self.step;
  const Outbox& last = outbox(self, generation + 3);  // generation - 1
  if (last.pending > 0) return;
  outbox(self, generation) = {};
  const double adapt = passes(self).adapt, free = std::max(now, last.left_ms);
  const double backward = (self.computed_ms - self.begun_ms) * workload_->backward_share;
  for (int bucket = 1; bucket <= buckets_ && !self.pattern->receivers(rank).empty(); ++bucket) {
    const double share = static_cast<double>(bucket) / buckets_;
    const double ready = self.computed_ms - (1 - share) * backward;
    push({.ms = std::max(ready, free) + share * adapt,
          .kind = Event::Kind::post,
          .who = rank,
          .generation = generation});
  }
  self.ready_ms = std::max(self.computed_ms, free) + adapt;
  exposed_ms_ += self.ready_ms - adapt - self.computed_ms;
  passes_ms_ += adapt;
  self.ready_known = true;
}

void Simulation::post(Rank rank, GenerationNumber generation, double now) {
  Worker& self = worker(rank);
  // A post of its own opens a generation, except behind adapt-then-combine's buckets.
  if (order_ != Order::adapt_then_combine) outbox(self, generation) = {};
  const int outside = port_[static_cast<std::size_t>(rank)], inside = first_inside_ + rank;
  bool crosses = false, stays = false;
  for (const Rank to : self.pattern->receivers(rank)) {
    if (outages_.any() && outages_.outage(rank, to, self.step) >= 0) {
      ++lost_;
      continue;
    }
    ++messages_;
    ++outbox(self, generation).pending;
    if (slot_free(worker(to), generation)) {
      const bool leaves_node = send(rank, to, generation, now) == outside;
      crosses |= leaves_node;
      stays |= !leaves_node;
    } else {
      worker(to).held.push_back({rank, generation});
    }
  }
  if (crosses) schedule(outside, now);
  if (stays) schedule(inside, now);
}

int Simulation::link_between(Rank from, Rank to) const {
  const auto a = static_cast<std::size_t>(from), b = static_cast<std::size_t>(to);
  return node_[a] == node_[b] ? first_inside_ + from : port_[a];
}

// Puts a message on its link, which is to be scheduled then, and returns the link.
int Simulation::send(Rank from, Rank to, GenerationNumber generation, double now) {
  const int index = link_between(from, to);
  links_[static_cast<std::size_t>(index)].put(
      {.from = from, .to = to, .generation = generation, .posted_ms = now}, now);
  return index;
}

void Simulation::schedule(int index, double now) {
  const auto link = static_cast<std::size_t>(index);
  push({.ms = links_[link].next_departure(now),
        .kind = Event::Kind::departure,
        .who = index,
        .version = ++version_[link]});
}

void Simulation::depart(int index, uint64_t version, double now) {
  const auto link = static_cast<std::size_t>(index);
  if (version != version_[link]) return;  // another message came in between
  links_[link].depart(now, departing_);
  if (!links_[link].idle()) schedule(index, now);
  for (const Message& message : departing_) arrive(message, now);
}

// The last byte has left, and with it the sender's concern; the first one had come a latency after it was
// posted at the earliest.
void Simulation::arrive(const Message& message, double now) {
  Link& link = links_[static_cast<std::size_t>(link_between(message.to, message.from))];
  const double across = link.take(message.posted_ms + link.latency_ms(), now + link.latency_ms());
  Inbox& box = inbox(worker(message.to), message.generation);
  ++box.heard;
  if (across >= box.last_ms) {
    box.last_ms = across;
    box.posted_ms = message.posted_ms;
    box.from = message.from;
  }
  advance(message.to);

  Worker& sender = worker(message.from);
  Outbox& out = outbox(sender, message.generation);
  out.left_ms = now;
  if (--out.pending > 0) return;
  if (!sender.ready_known) write_half(message.from, now);
  advance(message.from);
}

// This worker has gone on: messages that waited for its slots leave now.
void Simulation::accept_held(Rank rank, double now) {
  Worker& self = worker(rank);
  std::vector<Held> still;
  for (const Held& message : self.held) {
    if (slot_free(self, message.generation)) {
      schedule(send(message.from, rank, message.generation, now), now);
    } else {
      still.push_back(message);
    }
  }
  self.held = std::move(still);
}

// Settles when this worker's step ends, once all that it waits for is known.
void Simulation::advance(Rank rank) {
  Worker& self = worker(rank);
  if (self.finished || !self.ready_known || self.step == options_->steps) return;
  if (paper() && !self.second_exchange) {
    const GenerationNumber generation = generation_of(self.step, 0);
    const Outbox& last_half = outbox(self, generation + 3);  // h is written where the last one was
    const Inbox& box = inbox(self, generation);
    if (box.heard < self.expected || last_half.pending > 0) return;
    const double until = std::max({self.ready_ms, self.give_up_ms, last_half.left_ms, box.last_ms});
    account(self, box, self.ready_ms, until);
    const double adapt = passes(self).adapt;
    passes_ms_ += adapt;
    self.ready_ms = until + adapt;
    self.give_up_ms = 0;
    self.second_exchange = true;
    push({.ms = self.ready_ms, .kind = Event::Kind::post, .who = rank, .generation = generation + 1});
  }
  const GenerationNumber generation = generation_of(self.step, paper() ? 1 : 0);
  const Inbox& box = inbox(self, generation);
  if (box.heard < self.expected) return;
  double left = 0;
  if (order_ == Order::combine_while_adapt) {  // the next x is written where the last step's was
    const Outbox& last = outbox(self, generation + 3);
    if (last.pending > 0) return;
    left = last.left_ms;
  }
  const double until = std::max({self.ready_ms, self.give_up_ms, left, box.last_ms});
  account(self, box, self.ready_ms, until);
  const double combine = passes(self).combine;
  passes_ms_ += combine;
  self.finished = true;
  push({.ms = until + combine, .kind = Event::Kind::begin, .who = rank});
}

// Waiting from `ready_ms` until `until_ms`, by cause.
void Simulation::account(Worker& self, const Inbox& box, double ready_ms, double until_ms) {
  const double waited = until_ms - ready_ms;
  if (waited <= 0) return;
  exposed_ms_ += waited;
  if (until_ms == self.give_up_ms) {
    failure_ms_ += waited;
  } else if (until_ms == box.last_ms) {
    const double late = std::clamp(box.posted_ms - ready_ms, 0.0, waited);
    late_ms_ += late;
    wire_ms_ += waited - late;
    auto found = std::ranges::find(self.waited, box.from, &std::pair<Rank, double>::first);
    if (found == self.waited.end()) found = self.waited.insert(found, {box.from, 0.0});
    found->second += waited;
  }
}

// Drops drawn patterns that no worker needs any more.
void Simulation::forget_patterns(Step finished) {
  while (static_cast<Step>(unfinished_.size()) <= finished - oldest_) {
    unfinished_.push_back(cluster_->workers);
  }
  --unfinished_[static_cast<std::size_t>(finished - oldest_)];
  while (!unfinished_.empty() && unfinished_.front() == 0) {
    unfinished_.pop_front();
    patterns_->forget_before(++oldest_);
  }
}

SimulationResult Simulation::result() const {
  const auto workers = static_cast<double>(cluster_->workers), steps = static_cast<double>(options_->steps);
  const double all = workers * steps;
  SimulationResult result{.name = std::string(gossip::to_string(order_)),
                          .steps = options_->steps,
                          .ideal_ms = forward_backward_ms(*workload_) + passes_ms_ / all,
                          .mean_ms = finished_ms_ / all,
                          .p50_ms = times_.percentile(0.5),
                          .p99_ms = times_.percentile(0.99),
                          .compute_ms = computed_ms_ / all,
                          .late_ms = late_ms_ / all,
                          .wire_ms = wire_ms_ / all,
                          .failure_ms = failure_ms_ / all,
                          .exposed_ms = exposed_ms_ / all,
                          .worker_steps_per_second = 1e3 * workers / (finished_ms_ / all),
                          .messages = messages_ / buckets_,
                          .lost = lost_ / buckets_};
  for (Rank rank = 0; rank < cluster_->workers; ++rank) {
    for (const auto& [neighbour, ms] : workers_[static_cast<std::size_t>(rank)].waited) {
      result.waits.push_back({.waiter = rank, .neighbour = neighbour, .ms = ms / steps});
    }
  }
  std::ranges::stable_sort(result.waits, std::ranges::greater{}, &Wait::ms);
  if (result.waits.size() > kListedWaits) result.waits.resize(kListedWaits);
  return result;
}

}  // namespace

SimulationResult simulate(Order order, Patterns& patterns, const Cluster& cluster, const Workload& workload,
                          const SimulationOptions& options) {
  check(options, cluster, workload);
  return Simulation(order, patterns, cluster, workload, options).run();
}

}  // namespace alder::plan
