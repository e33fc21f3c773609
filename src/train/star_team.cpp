#include "train/star_team.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <set>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "train/loss_mean.hpp"
#include "train/step_gate.hpp"

namespace alder::train {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Tags of notices. The leader writes question, verdict and lost, the others the rest.
enum class Notice : uint64_t {
  losses = 1,  // (step, loss)...
  stop,        // somebody wants to stop
  question,    // which step will you not begin?
  bound,       // this one
  verdict,     // steps below this one are taken
  failure,     // the run cannot go on: why
  lost,        // this rank is
  time_asked,  // my clock says this; what does yours?
  time_told,   // that, and this
};

constexpr std::size_t kReports = 1024;         // losses that fit between two looks of the service thread
constexpr milliseconds kVerdictTime{60'000};   // for a verdict: it depends on answers that come at once
constexpr int kClockRounds = 24;               // of which the quickest is believed
constexpr milliseconds kClockTime{2'000};      // for one of them
constexpr milliseconds kLastWordsTime{5'000};  // for the leader to hear of a failure and to end the run

SharedBytes pack_record(const Json& json) {
  const std::vector<uint8_t> bytes = Json::to_cbor(json);
  const auto view = std::as_bytes(std::span(bytes));
  return std::make_shared<const Bytes>(view.begin(), view.end());
}

Json unpack_record(const Bytes& bytes) {
  Json json = Json::from_cbor(bytes, true, false);
  if (json.is_discarded()) fail("the control plane brought a record of {} bytes that is none", bytes.size());
  return json;
}

SharedBytes pack_array(std::span<const float> array) {
  const auto bytes = std::as_bytes(array);
  return std::make_shared<const Bytes>(bytes.begin(), bytes.end());
}

SharedBytes pack_step(Step step) {
  ByteWriter out;
  out.number(step);
  return std::make_shared<const Bytes>(out.take());
}

// Losses on their way from the trainer to the service thread. When it is full the newest are left out, which
// costs the progress line a little and nothing else.
class ReportRing {
 public:
  struct Report {
    Step step;
    double loss;
  };
  void push(const Report& report) {
    const uint64_t at = written_.load(std::memory_order_relaxed);
    if (at - read_.load(std::memory_order_acquire) == kReports) return;
    reports_[at % kReports] = report;
    written_.store(at + 1, std::memory_order_release);
  }
  bool pop(Report& report) {
    const uint64_t at = read_.load(std::memory_order_relaxed);
    if (at == written_.load(std::memory_order_acquire)) return false;
    report = reports_[at % kReports];
    read_.store(at + 1, std::memory_order_release);
    return true;
  }

 private:
  std::array<Report, kReports> reports_{};
  std::atomic<uint64_t> written_{0}, read_{0};  // by the trainer; by whoever holds StarMember::reports_mutex_
};

class StarMember final : public StarTeam {
 public:
  StarMember(Rendezvous& meeting, const StarTeamSettings& settings, std::span<const Fact> facts,
             const std::atomic<bool>& stop)
      : stop_(stop),
        patience_(settings.patience),
        rank_(meeting.rank()),
        local_{meeting.rank()},
        losses_(meeting.size()),
        star_(meeting, settings.star, facts) {
    star_.start({.notice = [this](Rank from, uint64_t tag,
                                  std::span<const std::byte> payload) { hear(from, tag, payload); },
                 .loss = [this](const Loss& loss) { lose(loss); },
                 .tick = [this] { tick(); }});
  }
  ~StarMember() override { star_.farewell(""); }

  int workers() const override { return star_.size(); }
  const std::vector<Rank>& local() const override { return local_; }
  bool leads() const override { return rank_ == 0; }

  Records gather(std::vector<Json> mine) override;
  Json broadcast(Json value) override;
  void gather_arrays(std::span<const std::span<const float>> mine, const Visit& visit) override;
  void share(std::span<float> array) override;
  bool may_start(Step step) override;
  void report(Step step, std::span<const double> losses) override { reports_.push({step, losses.front()}); }
  double smoothed_loss() const override;
  void fail(const std::string& text) override;
  std::vector<Departure> take_departures() override;
  std::optional<trace::ClockReading> compare_clocks() override;
  void leave(const std::string& text) override { star_.farewell(text); }
  std::vector<Rank> take_lost() override;

 private:
  bool present(Rank rank) const { return star_.present(rank); }
  milliseconds leader_patience() const { return 2 * patience_; }  // the leader waits for others meanwhile
  void check_ended() const;
  void to_all(FrameKind kind, uint64_t tag, const SharedBytes& payload);
  void flush_reports();

  // The service thread.
  void tick();
  void hear(Rank from, uint64_t tag, std::span<const std::byte> payload);
  void hear_notice(Rank from, Notice notice, ByteReader& in);
  void lose(const Loss& loss);
  void want_stop();
  void answer(Rank from, Step bound);
  void decide_if_answered();

  const std::atomic<bool>& stop_;
  const milliseconds patience_;
  const Rank rank_;
  const std::vector<Rank> local_;
  uint64_t calls_ = 0;  // collective ones so far: the tag of their frames
  ReportRing reports_;
  std::mutex reports_mutex_;  // of the ring's reading end
  StepGate gate_;

  // The service thread's:
  bool stop_wanted_ = false;  // said, or at the leader: asked
  bool decided_ = false;
  std::set<Rank> unanswered_;
  Step highest_bound_ = 0;

  mutable std::mutex mutex_;  // of what follows
  LossMean losses_;
  std::vector<Rank> lost_;
  std::size_t told_departures_ = 0;
  std::condition_variable clock_told_;
  std::optional<trace::ClockReading> told_clock_;
  int64_t asked_ns_ = 0;  // of the question that is not answered yet

  Star star_;  // last: its thread uses all of the above
};

// --- collective calls

Team::Records StarMember::gather(std::vector<Json> mine) {
  const uint64_t call = ++calls_;
  flush_reports();
  if (!leads()) {
    star_.send(0, FrameKind::record, call, pack_record(mine.front()));
    return {};
  }
  Records records(static_cast<std::size_t>(workers()));
  records[0] = std::move(mine.front());
  for (Rank rank = 1; rank < workers(); ++rank) {
    if (const auto bytes = star_.receive(rank, FrameKind::record, call, patience_))
      records[static_cast<std::size_t>(rank)] = unpack_record(*bytes);
  }
  return records;
}

Json StarMember::broadcast(Json value) {
  const uint64_t call = ++calls_;
  if (!leads()) return unpack_record(*star_.receive(0, FrameKind::record, call, leader_patience()));
  to_all(FrameKind::record, call, pack_record(value));
  return value;
}

// Two are on their way at a time: one arrives while the one before is visited, and no more have to be kept.
void StarMember::gather_arrays(std::span<const std::span<const float>> mine, const Visit& visit) {
  const uint64_t call = ++calls_;
  if (!leads()) {
    star_.receive(0, FrameKind::record, call, leader_patience());  // our turn
    star_.send(0, FrameKind::array, call, pack_array(mine.front()));
    return;
  }
  Rank invited = 0;
  const auto invite_next = [&] {
    if (++invited < workers()) star_.send(invited, FrameKind::record, call, nullptr);
  };
  invite_next();
  visit(0, mine.front());
  for (Rank rank = 1; rank < workers(); ++rank) {
    invite_next();
    const auto bytes = star_.receive(rank, FrameKind::array, call, patience_);
    if (!bytes) continue;
    if (bytes->size() != mine.front().size_bytes()) {
      alder::fail("rank {} sent an array of {} bytes where {} were due", rank, bytes->size(),
                  mine.front().size_bytes());
    }
    // Memory of operator new is aligned for any number.
    visit(rank, {reinterpret_cast<const float*>(bytes->data()), mine.front().size()});
  }
}

void StarMember::share(std::span<float> array) {
  const uint64_t call = ++calls_;
  if (leads()) {
    to_all(FrameKind::array, call, pack_array(array));
    return;
  }
  const Bytes bytes = *star_.receive(0, FrameKind::array, call, leader_patience());
  if (bytes.size() != array.size_bytes())
    alder::fail("rank 0 shared {} bytes where {} were due", bytes.size(), array.size_bytes());
  std::memcpy(array.data(), bytes.data(), bytes.size());
}

void StarMember::to_all(FrameKind kind, uint64_t tag, const SharedBytes& payload) {
  for (Rank rank = 1; rank < workers(); ++rank) star_.send(rank, kind, tag, payload);
}

// --- the run

void StarMember::check_ended() const {
  if (const auto text = star_.ended()) throw Error(*text);
}

bool StarMember::may_start(Step step) {
  check_ended();
  return gate_.pass(step, Clock::now() + kVerdictTime, [this] { check_ended(); });
}

double StarMember::smoothed_loss() const {
  const std::lock_guard lock(mutex_);
  return losses_.smoothed();
}

void StarMember::fail(const std::string& text) {
  if (!leads()) {
    const auto words = std::as_bytes(std::span(text));
    star_.send(0, FrameKind::notice, static_cast<uint64_t>(Notice::failure),
               std::make_shared<const Bytes>(words.begin(), words.end()));
    // The leader records it and ends the run for all; whoever goes before that is only a process that ended.
    star_.await_end(kLastWordsTime);
  }
  throw Error(text);
}

std::vector<Departure> StarMember::take_departures() {
  const std::vector<Loss> losses = star_.losses();
  std::vector<Departure> departures;
  for (; told_departures_ < losses.size(); ++told_departures_) {
    const Loss& loss = losses[told_departures_];
    departures.push_back({loss.rank, loss.host, loss.reason});
  }
  return departures;
}

std::vector<Rank> StarMember::take_lost() {
  const std::lock_guard lock(mutex_);
  return std::exchange(lost_, {});
}

// The leader's service thread answers at once, so a round trip is two messages; the truth lies between them.
std::optional<trace::ClockReading> StarMember::compare_clocks() {
  const uint64_t call = ++calls_;
  if (leads()) {
    // One after the other: together they would wait for each other's answers and call that distance.
    for (Rank rank = 1; rank < workers(); ++rank) {
      star_.send(rank, FrameKind::record, call, nullptr);
      star_.receive(rank, FrameKind::record, call, patience_);
    }
    return trace::ClockReading{.at_ns = monotonic_ns()};
  }
  star_.receive(0, FrameKind::record, call, workers() * leader_patience());  // our turn
  std::optional<trace::ClockReading> best;
  for (int round = 0; round < kClockRounds; ++round) {
    std::unique_lock lock(mutex_);
    told_clock_.reset();
    asked_ns_ = monotonic_ns();
    star_.send(0, FrameKind::notice, static_cast<uint64_t>(Notice::time_asked), pack_step(asked_ns_));
    if (!clock_told_.wait_for(lock, kClockTime, [this] { return told_clock_.has_value(); })) break;
    if (!best || told_clock_->error_ns < best->error_ns) best = told_clock_;
  }
  star_.send(0, FrameKind::record, call, nullptr);
  check_ended();
  return best;
}

// --- the service thread

void StarMember::tick() {
  flush_reports();
  if (stop_.load(std::memory_order_relaxed)) want_stop();
}

void StarMember::flush_reports() {
  const std::lock_guard lock(reports_mutex_);
  ByteWriter out;
  ReportRing::Report report{};
  while (reports_.pop(report)) {
    if (leads()) {
      const std::lock_guard losses_lock(mutex_);
      losses_.add(report.step, 0, report.loss);
    }
    out.number(report.step);
    out.number(report.loss);
  }
  auto bytes = std::make_shared<const Bytes>(out.take());
  if (!leads() && !bytes->empty())
    star_.send(0, FrameKind::notice, static_cast<uint64_t>(Notice::losses), std::move(bytes));
}

// What a peer says is not believed further than it can be read; a fault of it costs the notice.
void StarMember::hear(Rank from, uint64_t tag, std::span<const std::byte> payload) {
  try {
    ByteReader in(payload, "a notice");
    hear_notice(from, static_cast<Notice>(tag), in);
  } catch (const Error& error) {
    if (leads()) star_.interrupt(fmt::format("rank {} ({}): {}", from, star_.host(from), error.what()));
  }
}

void StarMember::hear_notice(Rank from, Notice notice, ByteReader& in) {
  switch (notice) {
    case Notice::losses:
      while (!in.empty()) {
        const Step step = in.number<Step>();
        const auto loss = in.number<double>();
        const std::lock_guard lock(mutex_);
        losses_.add(step, from, loss);
      }
      return;
    case Notice::stop:
      if (leads()) want_stop();
      return;
    case Notice::question:
      star_.send(0, FrameKind::notice, static_cast<uint64_t>(Notice::bound), pack_step(gate_.hold()));
      return;
    case Notice::bound:
      if (leads()) answer(from, in.number<Step>());
      return;
    case Notice::verdict:
      gate_.decide(in.number<Step>());
      return;
    case Notice::failure: {
      const auto words = in.raw(in.left());
      star_.interrupt({reinterpret_cast<const char*>(words.data()), words.size()});
      return;
    }
    case Notice::time_asked: {
      ByteWriter out;
      out.number(in.number<int64_t>());
      out.number(monotonic_ns());
      star_.send(from, FrameKind::notice, static_cast<uint64_t>(Notice::time_told),
                 std::make_shared<const Bytes>(out.take()));
      return;
    }
    case Notice::time_told: {
      const int64_t here = monotonic_ns();
      const auto asked = in.number<int64_t>();
      const auto there = in.number<int64_t>();
      const std::lock_guard lock(mutex_);
      if (asked != asked_ns_) return;  // an answer that came too late
      const int64_t middle = asked + (here - asked) / 2;
      told_clock_ = {.at_ns = middle, .offset_ns = there - middle, .error_ns = (here - asked + 1) / 2};
      clock_told_.notify_one();
      return;
    }
    case Notice::lost: {
      const std::lock_guard lock(mutex_);
      lost_.push_back(static_cast<Rank>(in.number<Step>()));
      return;
    }
  }
  alder::fail("a notice of unknown kind {}", static_cast<uint64_t>(notice));
}

void StarMember::want_stop() {
  if (std::exchange(stop_wanted_, true)) return;
  if (!leads()) {
    star_.send(0, FrameKind::notice, static_cast<uint64_t>(Notice::stop), nullptr);
    return;
  }
  for (Rank rank = 1; rank < workers(); ++rank) {
    if (present(rank)) unanswered_.insert(rank);
  }
  to_all(FrameKind::notice, static_cast<uint64_t>(Notice::question), nullptr);
  highest_bound_ = gate_.hold();
  decide_if_answered();
}

void StarMember::answer(Rank from, Step bound) {
  highest_bound_ = std::max(highest_bound_, bound);
  unanswered_.erase(from);
  decide_if_answered();
}

void StarMember::decide_if_answered() {
  if (!stop_wanted_ || decided_ || !unanswered_.empty()) return;
  decided_ = true;
  gate_.decide(highest_bound_);
  to_all(FrameKind::notice, static_cast<uint64_t>(Notice::verdict), pack_step(highest_bound_));
}

void StarMember::lose(const Loss& loss) {
  {
    const std::lock_guard lock(mutex_);
    losses_.remove(loss.rank);
    lost_.push_back(loss.rank);
  }
  to_all(FrameKind::notice, static_cast<uint64_t>(Notice::lost), pack_step(loss.rank));
  unanswered_.erase(loss.rank);
  decide_if_answered();
}

}  // namespace

std::unique_ptr<StarTeam> make_star_team(Rendezvous& meeting, const StarTeamSettings& settings,
                                         std::span<const Fact> facts, const std::atomic<bool>& stop) {
  return std::make_unique<StarMember>(meeting, settings, facts, stop);
}

}  // namespace alder::train
