#include "rdma/edge.hpp"

#include <fmt/format.h>

#include <utility>

#include "trace/span.hpp"

namespace alder::rdma {
namespace {

// A farewell that has not left by then will not be heard.
constexpr int64_t kFarewellLimitNs = 200'000'000;

}  // namespace

Edge::Edge(EdgeSettings settings, EdgeListener& listener)
    : settings_(std::move(settings)),
      listener_(listener),
      send_(settings_.first_generation, settings_.buckets, settings_.headers),
      receive_(settings_.first_generation, settings_.buckets, settings_.headers) {}

void Edge::publish(Generation generation, uint32_t bucket, const Source& source) {
  if (over_) return;
  send_.give({.generation = generation, .bucket = bucket, .source = source});
  send();
}

void Edge::announce(Generation generation, const Header& header) {
  if (over_) return;
  send_.give({.generation = generation, .is_header = true, .header = header});
  send();
}

void Edge::release(Generation generation) {
  receive_.release(generation.value() + 1);
  give_credits();
}

void Edge::leave(bool failed, int64_t now_ns, int64_t patience_ns) {
  if (over_ || said_farewell_) return;
  orderly_ = orderly_ || !failed;
  leaving_ = true;
  leave_at_ns_ = now_ns + patience_ns;
}

void Edge::drop(const std::string& why) {
  if (!over_) link_->fail(why);
}

void Edge::progress(int64_t now_ns) {
  if (over_) return;
  link_->progress(now_ns);
  if (!leaving_ || over_) return;
  const bool late = now_ns >= leave_at_ns_;
  if (!said_farewell_ && (late || (send_.drained() && link_->idle()))) {
    said_farewell_ = true;
    leave_at_ns_ = now_ns + kFarewellLimitNs;
    link_->post_farewell(!orderly_);
  } else if (said_farewell_ && (late || link_->idle())) {
    link_->fail(orderly_ ? "this worker is done" : "this worker cannot go on");
  }
}

std::string Edge::state(int64_t now_ns) const {
  std::string text = fmt::format("edge {}-{}", settings_.self, settings_.neighbour);
  if (over_) return text + " is over";
  const ReceiveState& heard = receive_.state();
  for (const ReceiveState::Parity& slot : heard.parity) {
    if (!slot.occupied) continue;
    text += fmt::format(", generation {}: {} of {} buckets here", slot.generation, slot.buckets.count(),
                        settings_.buckets.size());
    if (settings_.headers) text += slot.header ? " and the header" : ", no header";
  }
  if (!heard.parity[0].occupied && !heard.parity[1].occupied) text += ": nothing is arriving";
  if (last_header_ns_ > 0) {
    text += fmt::format("; last header: generation {}, {:.1f} s ago", last_header_,
                        static_cast<double>(now_ns - last_header_ns_) * 1e-9);
  }
  return fmt::format("{}; sending: {}; {}", text, send_.state(), link_->state(now_ns));
}

void Edge::send() {
  while (link_->is_up()) {
    const SendSide::Item* next = send_.next();
    if (next == nullptr) return;
    const SendSide::Item item = *next;
    send_.posted();  // before the link has it: a link that breaks meanwhile reports what was posted
    if (item.is_header) {
      link_->post_header(item.generation, item.header);
    } else {
      trace::instant(trace::Kind::post,
                     {settings_.self, settings_.neighbour, item.generation.value(), item.bucket});
      link_->post_bucket(item.generation, item.bucket, item.source);
    }
  }
}

void Edge::give_credits() {
  while (!over_ && link_->takes_credits()) {
    const std::optional<Generation> generation = receive_.take_credit();
    if (!generation) return;
    link_->post_credit(*generation);
  }
}

void Edge::on_up(const ReceiveState& peer) {
  const SendSide::Reconciled result = send_.reconcile(peer);
  for (const SendSide::SentBucket& one : result.sent) {
    listener_.on_bucket_sent(settings_.edge, one.generation, one.bucket);
  }
  if (!result.error.empty()) {
    link_->fail(result.error);
    return;
  }
  if (ups_++ == 0) {
    listener_.on_edge_up(settings_.edge);
  } else {
    listener_.on_edge_mended(
        settings_.edge,
        fmt::format("edge {}-{}: {}; connected again, {}, {} items sent again", settings_.self,
                    settings_.neighbour, link_->trouble(), link_->ends(), result.again));
  }
  send();
  give_credits();
}

void Edge::on_down() {}

void Edge::on_bucket(uint16_t tag, uint32_t bucket) {
  const ReceiveSide::Verdict verdict = receive_.bucket(tag, bucket);
  if (!verdict.error.empty()) {
    link_->fail(verdict.error);
    return;
  }
  listener_.on_bucket_arrived(settings_.edge, verdict.generation, bucket);
  give_credits();
}

void Edge::on_header(uint16_t tag, const Header& header) {
  const ReceiveSide::Verdict verdict = receive_.header(tag, header);
  if (!verdict.error.empty()) {
    link_->fail(verdict.error);
    return;
  }
  listener_.on_header_arrived(settings_.edge, header);
  give_credits();
}

void Edge::on_credit(uint16_t tag) {
  const std::string error = send_.credit(tag);
  if (error.empty()) {
    send();
  } else {
    link_->fail(error);
  }
}

void Edge::on_farewell(bool neighbour_failed) {
  orderly_ = orderly_ || !neighbour_failed;
  link_->fail(fmt::format("worker {} on {} {}", settings_.neighbour, settings_.neighbour_host,
                          neighbour_failed ? "said that it cannot go on" : "is done"));
}

void Edge::on_bucket_sent(Generation generation, uint32_t bucket) {
  if (send_.bucket_sent(generation, bucket)) {
    listener_.on_bucket_sent(settings_.edge, generation, bucket);
  }
  send();
}

void Edge::on_header_sent(Generation generation) {
  send_.header_sent(generation);
  send();
}

void Edge::on_failed(const std::string& why) {
  over_ = true;
  listener_.on_edge_over(settings_.edge, orderly_, why);
}

}  // namespace alder::rdma
