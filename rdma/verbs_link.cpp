#include "rdma/verbs_link.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "trace/span.hpp"

namespace alder::rdma {
namespace {

// A queue pair that was stopped flushes within microseconds; one that does not is destroyed after this.
constexpr int64_t kDrainLimitNs = 1'000'000'000;

constexpr double kSeconds = 1e-9;
constexpr const char* kOtherProgram = "the ends run different programs";

}  // namespace

VerbsLink::VerbsLink(Nic& nic, Registrar& registrar, Flusher* flusher, LinkPlan plan, LinkEvents& events)
    : nic_(nic),
      registrar_(registrar),
      flusher_(flusher),
      plan_(std::move(plan)),
      events_(events),
      striping_(*plan_.layout, plan_.rail, plan_.rails, plan_.tuning->data_queue_pairs, plan_.chunk_bytes),
      buckets_out_(*plan_.layout, striping_, plan_.tuning->notify),
      buckets_in_(*plan_.layout, striping_) {
  for (uint64_t epoch = 0; epoch <= plan_.tuning->spare_connections; ++epoch) {
    connections_.push_back(make_connection(epoch));
  }
}

VerbsLink::~VerbsLink() {
  if (flusher_ != nullptr) flusher_->forget(*this);
}

std::unique_ptr<Connection> VerbsLink::make_connection(uint64_t epoch) {
  return std::make_unique<Connection>(nic_, *this, *plan_.tuning, striping_.buckets_on_rail(), epoch);
}

std::vector<ConnectionAddress> VerbsLink::addresses() const {
  std::vector<ConnectionAddress> addresses;
  for (const auto& connection : connections_) addresses.push_back(connection->address());
  return addresses;
}

void VerbsLink::connect(const RailAddress& theirs, uint32_t their_chunk_bytes) {
  remote_ = theirs;
  remote_.mtu = std::min(theirs.mtu, nic_.path().mtu);
  striping_.limit_chunks(their_chunk_bytes);
  for (std::size_t k = 0; k < connections_.size(); ++k) {
    connections_[k]->connect(theirs.connections[k], remote_, *plan_.tuning);
  }
}

void VerbsLink::start(int64_t now_ns) {
  now_ns_ = last_heard_ns_ = now_ns;
  state_ = State::waiting;
}

// ---- connections ----

void VerbsLink::progress(int64_t now_ns) {
  now_ns_ = now_ns;
  if (state_ == State::made || state_ == State::failed) return;
  if (state_ != State::failing) {
    if (!nic_.broken().empty()) start_failing(report(nic_.broken(), ""));
    if (flusher_ != nullptr && !flusher_->broken().empty()) start_failing(report(flusher_->broken(), ""));
  }
  const bool drained = std::ranges::all_of(retired_, [](const auto& one) { return one->drained(); }) ||
                       now_ns - retired_since_ns_ > kDrainLimitNs;
  if (drained && !retired_.empty()) {
    for (const auto& one : retired_) flushed_ += one->flushed();
    retired_.clear();
  }
  if (state_ == State::failing) {
    if (!retired_.empty()) return;
    state_ = State::failed;
    events_.on_failed(why_);
    return;
  }
  // All that the last connection brought has to be counted before the next one's hello tells of it.
  const bool counted = retired_.empty() && unflushed_ == 0;
  if (state_ == State::waiting && counted && nic_.port_active() && (heard_ || now_ns >= not_before_ns_))
    begin();
  if (state_ == State::greeting || state_ == State::up) beat();
  watch();
}

// Takes the first connection into use.
void VerbsLink::begin() {
  try {
    if (plan_.slots.bytes > 0) {
      slots_ = registrar_.add(nic_.pd(), plan_.slots, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    }
  } catch (const Error& error) {
    start_failing(report(fmt::format("the slots cannot be registered: {}", error.what()), ""));
    return;
  }
  buckets_in_.forget_all();
  state_ = State::greeting;
  greet();
}

// Our hello; the last word if the neighbour's has been heard.
void VerbsLink::greet() {
  Hello hello{.epoch = current().epoch(),
              .heard = heard_,
              .slot_address = reinterpret_cast<uint64_t>(plan_.slots.address),
              .slot_key = slots_ ? slots_->rkey : 0,
              .state = events_.receive_state()};
  current().outbox().hello[heard_ ? 1 : 0] = to_wire(hello);
  told_ = heard_;
  if (told_) current().set_greeted();
  control_out_.hello(heard_);
  push_control();
}

// The connection in use is of no use any more. The slots' key goes with it: whatever is still on its way
// cannot reach them.
void VerbsLink::leave(const std::string& cause, const std::string& likely) {
  if (state_ == State::failing || state_ == State::failed) return;
  if (!in_trouble_) {
    first_ = report(cause, likely);
    trouble_since_ns_ = now_ns_;
  }
  in_trouble_ = true;
  const bool was_up = state_ == State::up;
  ++breaks_;
  retire();
  nic_.look_at_port();
  state_ = State::waiting;
  if (was_up) events_.on_down();
  if (connections_.empty()) {
    first_.cause += plan_.tuning->spare_connections == 0
                        ? std::string(", and no spare connection is kept")
                        : fmt::format(", and the last spare connection broke {:.1f} s later",
                                      static_cast<double>(now_ns_ - trouble_since_ns_) * kSeconds);
    start_failing(first_);
  }
}

void VerbsLink::retire() {
  current().close();
  slots_.reset();
  retired_.push_back(std::move(connections_.front()));
  connections_.pop_front();
  retired_since_ns_ = now_ns_;
  buckets_out_.forget_all();
  control_out_.forget_all();
  heard_ = told_ = offered_ = false;
  last_beat_heard_ = 0;
}

void VerbsLink::receive_hello(Connection& connection, const Immediate& immediate, uint32_t bytes) {
  if (connections_.empty() || connection.epoch() < current().epoch()) return;  // we have left it since
  const std::size_t which = immediate.generation == 0 ? 0 : 1;
  Hello hello;
  try {
    hello = parse_hello(std::as_bytes(std::span(&connection.inbox().hello[which], 1))
                            .first(std::min<std::size_t>(bytes, sizeof(HelloWire))),
                        plan_.layout->buckets());
  } catch (const Error& error) {
    start_failing(report(error.what(), kOtherProgram));
    return;
  }
  if (hello.epoch != connection.epoch() || hello.heard != (which == 1)) {
    start_failing(
        report(fmt::format("the hello on connection {} speaks of connection {}{}", connection.epoch(),
                           hello.epoch, hello.heard != (which == 1) ? ", and of another kind" : ""),
               kOtherProgram));
    return;
  }
  // The neighbour has left the connection in use: so do we.
  while (!connections_.empty() && &connection != &current()) {
    leave(fmt::format("the neighbour left connection {} for connection {}", current().epoch(), hello.epoch),
          "the neighbour's own record says why");
    if (state_ == State::failing) return;
  }
  heard_ = true;
  slot_address_ = hello.slot_address;
  slot_key_ = hello.slot_key;
  if (state_ == State::greeting && !told_) greet();
  if (hello.heard && state_ == State::greeting) come_up(hello.state);
}

void VerbsLink::come_up(const ReceiveState& peer) {
  state_ = State::up;
  in_trouble_ = false;
  events_.on_up(peer);
  offer_spares();
}

// Replaces the connections that were used up.
void VerbsLink::offer_spares() {
  const std::size_t total = plan_.tuning->spare_connections + 1;
  if (offered_ || state_ != State::up || connections_.size() >= total) return;
  offered_ = true;
  Offer offer{.epoch = connections_.back()->epoch() + 1, .connections = {}};
  try {
    while (connections_.size() < total) {
      connections_.push_back(make_connection(connections_.back()->epoch() + 1));
      offer.connections.push_back(connections_.back()->address());
    }
  } catch (const Error&) {
    // The device has no more to give; the edge goes on with fewer to spare.
  }
  if (offer.connections.empty()) return;
  current().outbox().offer = to_wire(offer);
  control_out_.offer();
  push_control();
}

void VerbsLink::receive_offer(uint32_t bytes) {
  try {
    const Offer offer = parse_offer(std::as_bytes(std::span(&current().inbox().offer, 1))
                                        .first(std::min<std::size_t>(bytes, sizeof(OfferWire))),
                                    plan_.tuning->data_queue_pairs);
    for (std::size_t k = 0; k < offer.connections.size(); ++k) {
      const auto mine = std::ranges::find(connections_, offer.epoch + k,
                                          [](const auto& connection) { return connection->epoch(); });
      if (mine != connections_.end() && !(*mine)->connected()) {
        (*mine)->connect(offer.connections[k], remote_, *plan_.tuning);
      }
    }
  } catch (const Error& error) {
    start_failing(report(error.what(), kOtherProgram));
  }
}

void VerbsLink::fail(const std::string& why) {
  if (state_ != State::failing && state_ != State::failed) start_failing(report(why, ""));
}

void VerbsLink::start_failing(const FailureReport& report) {
  if (state_ == State::failing || state_ == State::failed) return;
  while (!connections_.empty()) retire();
  if (flusher_ != nullptr) flusher_->forget(*this);
  state_ = State::failing;
  why_ = describe(report);
}

// ---- signs of life ----

void VerbsLink::beat() {
  const int64_t idle_limit = std::chrono::nanoseconds(plan_.tuning->heartbeat).count();
  if (now_ns_ - last_said_ns_ < idle_limit || control_out_.waiting()) return;
  control_out_.beat();
  push_control();
}

void VerbsLink::watch() {
  if (state_ != State::greeting && state_ != State::up && state_ != State::waiting) return;
  if (!connections_.empty()) {
    const uint64_t heard = current().beat();
    if (heard != last_beat_heard_) last_heard_ns_ = now_ns_;
    last_beat_heard_ = heard;
  }
  const bool first_time = breaks_ == 0 && state_ != State::up;
  const auto limit = first_time ? plan_.tuning->connect_deadline : plan_.tuning->grace;
  if (now_ns_ - last_heard_ns_ <= std::chrono::nanoseconds(limit).count()) return;
  const double seconds = static_cast<double>(now_ns_ - last_heard_ns_) * kSeconds;
  if (in_trouble_) {
    FailureReport last = first_;
    last.cause += fmt::format(", and no other connection stood within {:.1f} s{}",
                              std::chrono::duration<double>(limit).count(),
                              nic_.port_active() ? "" : " (our port is down)");
    last.seconds_silent = seconds;
    last.events = nic_.recent_events(now_ns_);
    start_failing(last);
  } else if (first_time) {
    start_failing(report(fmt::format("worker {} on {} did not say hello within {:.1f} s", plan_.neighbour,
                                     plan_.neighbour_host, seconds),
                         "its process has not come that far; there is no route between the ports"));
  } else if (!nic_.port_active()) {
    start_failing(
        report(fmt::format("no sign of life from worker {} on {} for {:.1f} s, and our port is down",
                           plan_.neighbour, plan_.neighbour_host, seconds),
               "its interface was shut down; the cable, or the other end of it"));
  } else {
    start_failing(report(fmt::format("no sign of life from worker {} on {} for {:.1f} s, though its device "
                                     "acknowledges what is sent",
                                     plan_.neighbour, plan_.neighbour_host, seconds),
                         "its process is stopped, hangs, or gets no CPU"));
  }
}

// ---- completions ----

void VerbsLink::on_error(Lane& lane, const Completion& completion, bool receiving) {
  if (connections_.empty() || state_ == State::failing) return;
  const auto owner = std::ranges::find_if(connections_, [&](const auto& one) { return one->has(lane); });
  if (owner == connections_.end()) return;
  if (*owner != connections_.front()) {
    // A spare one: found broken when its turn comes.
    (*owner)->close();
    return;
  }
  std::string what = receiving ? "a receive" : "a control message";
  const uint32_t index = current().index_of(lane);
  if (!receiving && index < current().data_lanes()) {
    const BucketSender::Bucket* oldest = buckets_out_.oldest(index);
    what = oldest == nullptr
               ? "a write"
               : fmt::format("the write of bucket {} of generation {}", oldest->bucket, oldest->generation);
  }
  // Connections that nobody answers are used up no faster than the grace lasts.
  const bool unanswered = completion.status == IBV_WC_RETRY_EXC_ERR && state_ != State::up;
  if (unanswered && connections_.size() > 1) {
    const int64_t left = last_heard_ns_ + std::chrono::nanoseconds(plan_.tuning->grace).count() - now_ns_;
    not_before_ns_ = now_ns_ + std::max<int64_t>(left, 0) / static_cast<int64_t>(connections_.size());
  }
  leave(fmt::format("{} on queue pair {:#x} of {} {}", what, lane.number(), name_of(nic_.path()),
                    status_text(completion.status, completion.vendor_error)),
        likely_causes(completion.status, nic_.path().link_layer));
}

void VerbsLink::on_sent(Lane& lane, uint64_t sequence) {
  if (connections_.empty() || !current().has(lane)) return;
  const uint32_t index = current().index_of(lane);
  if (index == current().data_lanes()) {
    Generation generation;
    while (control_out_.next_header_sent(sequence, generation)) events_.on_header_sent(generation);
    push_control();
    return;
  }
  BucketSender::Bucket sent;
  while (buckets_out_.next_sent(index, sequence, sent)) {
    ++counters_.buckets_sent;
    events_.on_bucket_sent(Generation(sent.generation), sent.bucket);
  }
  push_buckets(index);
}

void VerbsLink::on_received(Lane& lane, uint32_t bits, uint32_t bytes) {
  Connection* const connection = connection_of(lane);
  if (connection == nullptr || state_ == State::failing) return;
  last_heard_ns_ = now_ns_;
  const Immediate immediate = unpack(bits);
  const bool on_control = &lane == &connection->control();
  const auto refuse = [&](std::string_view why) {
    start_failing(
        report(fmt::format("immediate {:#010x} (generation {}, epoch {}, {} {}) arrived on connection {}, "
                           "{} queue pair {:#x}: {}",
                           bits, immediate.generation, immediate.epoch,
                           immediate.control ? "control message" : "bucket", immediate.bucket,
                           connection->epoch(), on_control ? "control" : "data", lane.number(), why),
               kOtherProgram));
  };
  if (immediate.epoch != connection->epoch() % kEpochs) {
    refuse(fmt::format("its epoch must be {}", connection->epoch() % kEpochs));
  } else if (immediate.control != on_control) {
    refuse("it is of the wrong kind");
  } else if (on_control && immediate.bucket >= kControls) {
    refuse(fmt::format("control messages are 0 to {}", kControls - 1));
  } else if (on_control && static_cast<Control>(immediate.bucket) == Control::hello) {
    receive_hello(*connection, immediate, bytes);
  } else if (!connection->greeted()) {
    refuse("no hello came before it");
  } else if (on_control) {
    receive_control(*connection, immediate, bytes);
  } else {
    receive_part(connection->index_of(lane), immediate);
  }
  // Unless that was the end of it.
  if (!connections_.empty() && connection == &current() && lane.refill_due()) refill(lane);
}

// The one in use, a spare one, or one that is draining.
Connection* VerbsLink::connection_of(const Lane& lane) const {
  for (const auto& one : connections_) {
    if (one->has(lane)) return one.get();
  }
  for (const auto& one : retired_) {
    if (one->has(lane)) return one.get();
  }
  return nullptr;
}

void VerbsLink::receive_control(Connection& connection, const Immediate& immediate, uint32_t bytes) {
  switch (static_cast<Control>(immediate.bucket)) {
    case Control::header:
      if (bytes != sizeof(Header)) {
        start_failing(report(fmt::format("a header of {} bytes, expected {}", bytes, sizeof(Header)), ""));
        return;
      }
      events_.on_header(immediate.generation, connection.inbox().header[immediate.generation & 1]);
      return;
    case Control::credit:
      events_.on_credit(immediate.generation);
      return;
    case Control::offer:
      if (!connections_.empty() && &connection == &current()) receive_offer(bytes);
      return;
    case Control::farewell:
      // After all that arrived before it.
      farewell_ = immediate.generation;
      if (unflushed_ == 0) events_.on_farewell(farewell_ != 0);
      return;
    case Control::hello:
      return;  // dealt with before
  }
}

void VerbsLink::receive_part(uint32_t lane, const Immediate& immediate) {
  if (plan_.slots.bytes == 0) {
    start_failing(
        report(fmt::format("bucket {} arrived from a worker that never sends to this one", immediate.bucket),
               kOtherProgram));
    return;
  }
  const BucketReceiver::Part part = buckets_in_.add(lane, immediate);
  if (part == BucketReceiver::Part::impossible) {
    start_failing(
        report(buckets_in_.why(), "the ends run different programs; a bug in the neighbour's flow control"));
  }
  if (part != BucketReceiver::Part::complete) return;
  ++counters_.buckets_received;
  counters_.anything_received = true;
  counters_.last_tag_received = immediate.generation;
  counters_.last_bucket_received = immediate.bucket;
  if (flusher_ != nullptr) {
    ++unflushed_;
    if (trace::recording()) note_landed(immediate.generation, immediate.bucket);
    flusher_->request(*this, immediate.generation, immediate.bucket);
  } else {
    events_.on_bucket(immediate.generation, immediate.bucket);
  }
}

// By the device's own word, which may know of an error that no completion has told yet.
std::string VerbsLink::state_of(const Lane& lane) const {
  constexpr std::array<const char*, 7> kStates{"RESET", "INIT", "RTR", "RTS", "SQD", "SQE", "ERR"};
  ibv_qp_attr attributes{};
  ibv_qp_init_attr initial{};
  const int error = nic_.verbs().query_qp(lane.queue_pair(), &attributes, IBV_QP_STATE, &initial);
  const auto state = static_cast<std::size_t>(attributes.qp_state);
  return fmt::format("{:#x} {}", lane.number(),
                     error != 0 || state >= kStates.size() ? "unknown" : kStates[state]);
}

std::string VerbsLink::state(int64_t now_ns) const {
  constexpr std::array<const char*, 6> kStates{"not begun", "waiting to connect", "greeting", "up", "failing",
                                               "failed"};
  std::string text = fmt::format("{} on {}", kStates[static_cast<std::size_t>(state_)], name_of(nic_.path()));
  if (!connections_.empty()) {
    Connection& one = *connections_.front();
    text += fmt::format(", connection {}, queue pairs {}", one.epoch(), state_of(one.control()));
    for (uint32_t k = 0; k < one.data_lanes(); ++k) text += ", " + state_of(one.data(k));
  }
  const FailureReport now = report("", "");
  text += fmt::format("; buckets posted {}, sent {}, received {}", now.buckets_posted, now.buckets_sent,
                      now.buckets_received);
  if (breaks_ > 0) text += fmt::format("; {} connections broke", breaks_);
  if (const std::string events = nic_.recent_events(now_ns); !events.empty())
    text += "; device events: " + events;
  return fmt::format("{}; last sign of life {:.1f} s ago", text,
                     static_cast<double>(now_ns - last_heard_ns_) * kSeconds);
}

// The generation behind a tag, as ReceiveSide will find it.
void VerbsLink::note_landed(uint16_t tag, uint32_t bucket) const {
  const ReceiveState state = events_.receive_state();
  const ReceiveState::Parity& slot = state.parity[tag & 1];
  const uint64_t generation =
      slot.occupied ? slot.generation : slot.next + static_cast<uint16_t>(tag - tag_of(slot.next));
  trace::instant(trace::Kind::landed, {plan_.self, plan_.neighbour, generation, bucket});
}

void VerbsLink::on_flushed(uint16_t tag, uint32_t bucket) {
  --unflushed_;
  events_.on_bucket(tag, bucket);
  if (unflushed_ == 0 && farewell_ >= 0) events_.on_farewell(farewell_ != 0);
}

void VerbsLink::refill(Lane& lane) {
  if (const int error = lane.refill()) {
    leave(fmt::format("ibv_post_recv on {}: {}", name_of(nic_.path()), errno_text(error)), "");
  }
}

// ---- sending ----

void VerbsLink::post_bucket(Generation generation, uint32_t bucket, const Source& source) {
  if (state_ != State::up) return;
  ++counters_.buckets_posted;
  counters_.anything_sent = true;
  counters_.last_generation_sent = generation.value();
  counters_.last_bucket_sent = bucket;
  buckets_out_.add({generation.value(), bucket}, source.address, (*plan_.sources)[source.region]->lkey,
                   slot_address_ + plan_.layout->offset(generation, bucket));
  for (uint32_t lane = 0; lane < striping_.lanes(); ++lane) push_buckets(lane);
}

void VerbsLink::push_buckets(uint32_t index) {
  if (state_ != State::up) return;
  Lane& lane = current().data(index);
  const uint64_t before = lane.posted();
  const int error =
      buckets_out_.post(index, lane, slot_key_, static_cast<uint32_t>(current().epoch() % kEpochs));
  if (lane.posted() != before) last_said_ns_ = now_ns_;
  if (error == 0) return;
  leave(fmt::format("ibv_post_send of writes on queue pair {:#x} of {}: {}", lane.number(),
                    name_of(nic_.path()), errno_text(error)),
        "");
}

void VerbsLink::push_control() {
  if (connections_.empty()) return;
  Lane& lane = current().control();
  const uint64_t before = lane.posted();
  const int error = control_out_.post(current());
  if (lane.posted() != before) last_said_ns_ = now_ns_;
  if (error == 0) return;
  leave(fmt::format("ibv_post_send of a control message on queue pair {:#x} of {}: {}", lane.number(),
                    name_of(nic_.path()), errno_text(error)),
        "");
}

void VerbsLink::post_header(Generation generation, const Header& header) {
  if (state_ != State::up) return;
  control_out_.header(generation, header);
  push_control();
}

// The receives that this generation used are posted again before its slot is given back, so that the next one
// finds them there.
void VerbsLink::post_credit(Generation generation) {
  for (uint32_t lane = 0; told_ && lane < current().data_lanes(); ++lane) refill(current().data(lane));
  if (!told_) return;  // the connection broke; the next hello tells what this credit would have
  control_out_.credit(generation);
  push_control();
}

void VerbsLink::post_farewell(bool failed) {
  if (!told_) return;
  control_out_.farewell(failed);
  push_control();
}

bool VerbsLink::idle() const {
  if (state_ != State::up) return true;
  return !control_out_.waiting() && current().control_drained() && buckets_out_.idle();
}

// ---- for messages ----

FailureReport VerbsLink::report(std::string cause, std::string likely) const {
  FailureReport report = counters_;
  const Path& path = nic_.path();
  report.self = {.rank = plan_.self,
                 .host = plan_.self_host,
                 .port = name_of(path),
                 .lid = path.lid,
                 .gid = to_string(path.gid),
                 .queue_pairs = {}};
  report.neighbour = {.rank = plan_.neighbour,
                      .host = plan_.neighbour_host,
                      .port = fmt::format("{}:{}", remote_.device, remote_.port),
                      .lid = remote_.lid,
                      .gid = to_string(remote_.gid),
                      .queue_pairs = {}};
  if (!connections_.empty()) {
    report.epoch = current().epoch();
    report.self.queue_pairs = current().queue_pair_numbers();
    const ConnectionAddress& remote = current().remote();
    if (current().connected()) report.neighbour.queue_pairs.push_back(remote.control.number);
    for (const QueuePairAddress& one : remote.data) report.neighbour.queue_pairs.push_back(one.number);
  }
  report.cause = std::move(cause);
  report.likely = std::move(likely);
  report.breaks = breaks_;
  report.flushed = flushed_;
  report.seconds_silent = static_cast<double>(now_ns_ - last_heard_ns_) * kSeconds;
  report.events = nic_.recent_events(now_ns_);
  return report;
}

std::string VerbsLink::ends() const {
  const FailureReport now = report("", "");
  return fmt::format("{} to {}", to_string(now.self), to_string(now.neighbour));
}

}  // namespace alder::rdma
