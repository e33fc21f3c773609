#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "launch/bytes.hpp"
#include "launch/prefixed_rendezvous.hpp"
#include "rdma/pairs/pairs.hpp"

namespace alder::rdma {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kPingFloats = 16;  // 64 bytes, as the header
constexpr int kVerified = 2;             // transfers of which every value is looked at: one for each slot
constexpr std::chrono::seconds kMeeting{60};

// What a worker sends: every value tells who sent it, in which generation, and where it stands.
float pattern(Rank from, Generation generation, std::size_t index) {
  const uint32_t mixed = (static_cast<uint32_t>(index) * 2654435761U) ^
                         (static_cast<uint32_t>(generation.value()) * 40503U + static_cast<uint32_t>(from));
  return std::bit_cast<float>((mixed >> 9) | 0x3F800000U);  // 1 to 2
}

// A worker in its pairs, over one exchange.
class Player {
 public:
  Player(Rendezvous& rendezvous, const PairExchange& make, std::size_t floats, const PairOptions& options)
      : options_(options), floats_(floats), sources_(2 * floats), exchange_(make(rendezvous, {floats})) {
    rank_ = rendezvous.rank();
    const Region region{.address = sources_.data(), .bytes = sources_.size() * sizeof(float)};
    exchange_->attach(rank_, {&region, 1});
    endpoint_ = &exchange_->endpoint(rank_);
  }
  Exchange& exchange() { return *exchange_; }

  // A generation in which this worker only gives, or only takes.
  void give(Rank partner, Generation generation) {
    open(generation, {.send_to = {partner}, .receive_from = {}});
    publish(generation);
    release();
  }
  void take(Rank partner, Generation generation) {
    open(generation, {.send_to = {}, .receive_from = {partner}});
    await(generation);
    release();
  }

  // A generation in both directions at once; how many values were wrong, if `verify`. Then the source is
  // written to: whatever was sent from it before must have left (settle).
  int64_t swap(Rank partner, Generation generation, bool verify) {
    open(generation, {.send_to = {partner}, .receive_from = {partner}});
    if (verify) {
      for (std::size_t i = 0; i < floats_; ++i) source(generation)[i] = pattern(rank_, generation, i);
    }
    publish(generation);
    await(generation);
    int64_t wrong = 0;
    if (verify) {
      const std::span<const float> slot = endpoint_->slot(partner, generation, Bucket(0));
      for (std::size_t i = 0; i < floats_; ++i) wrong += slot[i] != pattern(partner, generation, i);
    }
    release();
    return wrong;
  }

  // Waits until the last generations, up to this one, have left.
  void settle(Generation last) {
    for (uint64_t g = last.value() > 0 ? last.value() - 1 : 0; g <= last.value(); ++g) {
      require(endpoint_->await_released(Generation(g), due_), "the release");
    }
  }
  // After an error: nothing stays open.
  void give_up() {
    if (open_) release();
  }

  void set_due() { due_ = steady_clock::now() + options_.deadline; }

 private:
  std::span<float> source(Generation generation) {
    return std::span(sources_).subspan((generation.value() & 1) * floats_, floats_);
  }
  void open(Generation generation, const LiveEdges& live) {
    endpoint_->open(generation, live);
    open_ = generation;
  }
  void release() { endpoint_->release(*std::exchange(open_, std::nullopt)); }
  void publish(Generation generation) {
    endpoint_->publish(generation, Bucket(0), source(generation));
    endpoint_->announce(generation, {});
  }
  void await(Generation generation) {
    require(endpoint_->await_headers(generation, due_), "the header");
    require(endpoint_->await_bucket(generation, Bucket(0), due_), "the data");
  }
  void require(const std::vector<Arrival>& arrivals, std::string_view what) const {
    for (const Arrival arrival : arrivals) {
      if (arrival == Arrival::arrived) continue;
      if (arrival == Arrival::failed) fail("the edge failed before {} came", what);
      fail("{} did not come within {:.1f} s", what, std::chrono::duration<double>(options_.deadline).count());
    }
  }

  const PairOptions& options_;
  std::size_t floats_;
  std::vector<float> sources_;
  Rank rank_ = 0;
  std::unique_ptr<Exchange> exchange_;  // reads sources_ until it is gone
  Endpoint* endpoint_ = nullptr;
  std::optional<Generation> open_;
  Deadline due_;
};

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// The lower rank asks and measures, the other one answers and gets 0. `first`: two generations for every
// round trip from here on.
double one_way_us(Player& player, Rank rank, Rank partner, uint64_t first, int round_trips) {
  std::vector<double> times;
  for (int i = 0; i < round_trips; ++i) {
    const Generation there(first + 2 * static_cast<uint64_t>(i)), back(there.value() + 1);
    const int64_t begin = monotonic_ns();
    if (rank < partner) {
      player.give(partner, there);
      player.take(partner, back);
      times.push_back(seconds_between(begin, monotonic_ns()) * 1e6);
    } else {
      player.take(partner, there);
      player.give(partner, back);
    }
  }
  return times.empty() ? 0 : median(times) / 2;
}

void measure_rate(Player& player, const PairOptions& options, uint64_t first, PairResult& result) {
  uint64_t generation = first;
  for (int i = 0; i < kVerified; ++i) {
    result.wrong += player.swap(result.partner, Generation(generation++), true);
  }
  const int64_t begin = monotonic_ns();
  for (int i = 0; i < options.transfers; ++i) player.swap(result.partner, Generation(generation++), false);
  const double seconds = seconds_between(begin, monotonic_ns());
  player.settle(Generation(generation - 1));
  result.gigabytes_per_second = static_cast<double>(options.bytes) * options.transfers / seconds * 1e-9;
}

Bytes pack_results(const std::vector<PairResult>& results) {
  ByteWriter writer;
  writer.number(static_cast<uint32_t>(results.size()));
  for (const PairResult& result : results) {
    writer.number(int32_t{result.partner});
    writer.number(result.one_way_us);
    writer.number(result.gigabytes_per_second);
    writer.number(result.wrong);
    writer.text(result.trouble);
  }
  return writer.take();
}

std::vector<PairResult> unpack_results(Rank rank, std::span<const std::byte> bytes) {
  ByteReader reader(bytes, fmt::format("the results of rank {}", rank));
  std::vector<PairResult> results(reader.number<uint32_t>());
  for (PairResult& result : results) {
    result.rank = rank;
    result.partner = reader.number<int32_t>();
    result.one_way_us = reader.number<double>();
    result.gigabytes_per_second = reader.number<double>();
    result.wrong = reader.number<int64_t>();
    result.trouble = reader.text();
  }
  reader.finish();
  return results;
}

// One measurement with every partner. What goes wrong with one is told by its result.
template <typename Measure>
void play(Player& player, Rank rank, int workers, std::vector<PairResult>& results, Measure measure) {
  uint64_t round = 0;
  for (const auto& partners : tournament(workers)) {
    const uint64_t now = round++;
    const std::optional<Rank> partner = partners[static_cast<std::size_t>(rank)];
    if (!partner) continue;
    PairResult& result = results[static_cast<std::size_t>(*partner)];
    if (!result.trouble.empty()) continue;
    player.set_due();
    try {
      measure(result, now);
    } catch (const Error& error) {
      result.trouble = std::string(error.what()).substr(0, 200);
      player.give_up();
    }
  }
}

PairReport gather(Rendezvous& rendezvous, std::vector<std::string> remarks) {
  PairReport report{.hosts = {}, .results = {}, .remarks = std::move(remarks)};
  for (Rank rank = 0; rank < rendezvous.size(); ++rank) {
    report.hosts.push_back(rendezvous.host(rank));
    const auto bytes = rendezvous.get(rank, "pairs.results", kMeeting);
    std::ranges::move(unpack_results(rank, bytes), std::back_inserter(report.results));
  }
  // Only who asks measures a round trip.
  const std::size_t row = static_cast<std::size_t>(rendezvous.size()) - 1;
  for (PairResult& result : report.results) {
    if (result.rank < result.partner) continue;
    result.one_way_us = report
                            .results[static_cast<std::size_t>(result.partner) * row +
                                     static_cast<std::size_t>(result.rank) - 1]
                            .one_way_us;
  }
  return report;
}

}  // namespace

std::optional<PairReport> examine_pairs(Rendezvous& rendezvous, const PairExchange& make,
                                        const PairOptions& options) {
  const Rank rank = rendezvous.rank();
  const int workers = rendezvous.size();
  if (workers < 2) usage_error("a pair needs two processes: start it with mpirun -n 2 or more");
  std::vector<PairResult> results(static_cast<std::size_t>(workers));
  for (Rank partner = 0; partner < workers; ++partner) {
    results[static_cast<std::size_t>(partner)] = {.rank = rank, .partner = partner};
  }
  std::vector<std::string> remarks;
  {
    PrefixedRendezvous meeting(rendezvous, "pairs.short");
    Player player(meeting, make, kPingFloats, options);
    remarks = player.exchange().take_remarks();
    const auto generations = static_cast<uint64_t>(2 * options.round_trips);
    play(player, rank, workers, results, [&](PairResult& result, uint64_t round) {
      result.one_way_us = one_way_us(player, rank, result.partner, round * generations, options.round_trips);
    });
  }
  {
    PrefixedRendezvous meeting(rendezvous, "pairs.long");
    Player player(meeting, make, options.bytes / sizeof(float), options);
    const auto generations = static_cast<uint64_t>(kVerified + options.transfers);
    play(player, rank, workers, results, [&](PairResult& result, uint64_t round) {
      measure_rate(player, options, round * generations, result);
    });
  }
  results.erase(results.begin() + rank);
  rendezvous.put("pairs.results", pack_results(results));
  rendezvous.fence(kMeeting);
  if (rank != 0) return {};
  return gather(rendezvous, std::move(remarks));
}

}  // namespace alder::rdma
