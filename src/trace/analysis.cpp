#include "trace/analysis.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace alder::trace {
namespace {

struct Key {
  int32_t worker = 0, neighbour = -1;
  uint64_t generation = 0;
  uint32_t bucket = 0;
  friend bool operator==(const Key&, const Key&) = default;
};
struct HashOfKey {
  std::size_t operator()(const Key& key) const {
    uint64_t h = key.generation * 0x9E3779B97F4A7C15ULL;
    h ^= (static_cast<uint64_t>(static_cast<uint32_t>(key.worker)) << 32) |
         static_cast<uint32_t>(key.neighbour);
    h *= 0xBF58476D1CE4E5B9ULL;
    h ^= key.bucket;
    h *= 0x94D049BB133111EBULL;
    return static_cast<std::size_t>(h ^ (h >> 31));
  }
};
using Moments = std::unordered_map<Key, int64_t, HashOfKey>;

std::optional<int64_t> at(const Moments& moments, const Key& key) {
  const auto found = moments.find(key);
  return found == moments.end() ? std::nullopt : std::optional(found->second);
}

// What was sent again after a break counts from its first beginning to its last end.
void first(Moments& moments, const Key& key, int64_t ns) {
  const auto [place, fresh] = moments.try_emplace(key, ns);
  if (!fresh) place->second = std::min(place->second, ns);
}
void last(Moments& moments, const Key& key, int64_t ns) {
  const auto [place, fresh] = moments.try_emplace(key, ns);
  if (!fresh) place->second = std::max(place->second, ns);
}

using WorkerGeneration = std::pair<int32_t, uint64_t>;

// When everything of the exchange happened, over all workers.
struct Board {
  Moments posted, sent, landed, arrived, header_posted, header_arrived, released;
  std::map<WorkerGeneration, std::vector<Rank>> heard;    // by receiver
  std::map<WorkerGeneration, std::vector<Rank>> readers;  // by sender

  explicit Board(const Trace& trace) {
    for (const File& file : trace.files) {
      for (const Record& one : file.records) take(one);
    }
    for (auto* lists : {&heard, &readers}) {
      for (auto& [key, ranks] : *lists) {
        std::ranges::sort(ranks);
        ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
      }
    }
  }

 private:
  void take(const Record& one) {
    const Key key{one.worker, one.neighbour, one.generation, one.bucket};
    switch (one.kind) {
      case Kind::post:
        readers[{one.worker, one.generation}].push_back(one.neighbour);
        return first(posted, key, one.begin);
      case Kind::sent:
        return last(sent, key, one.begin);
      case Kind::landed:
        return last(landed, key, one.begin);
      case Kind::arrival:
        return last(arrived, key, one.begin);
      case Kind::header_post:
        return first(header_posted, {one.worker, -1, one.generation, 0}, one.begin);
      case Kind::header_arrival:
        return last(header_arrived, {one.worker, one.neighbour, one.generation, 0}, one.begin);
      case Kind::released:
        return last(released, {one.worker, one.neighbour, one.generation, 0}, one.begin);
      case Kind::expects:
        heard[{one.worker, one.generation}].push_back(one.neighbour);
        return;
      default:
        return;
    }
  }
};

class WorkerReader {
 public:
  WorkerReader(const Trace& trace, const Board& board, Rank worker)
      : trace_(trace), board_(board), worker_(worker), file_(trace.files[trace.file_of.at(worker)]) {}

  std::vector<StepInput> steps(const Intervals& network) {
    std::vector<Interval> data, forward, backward, mixing;
    std::vector<StepInput> steps;
    std::vector<const Record*> waits;
    for (const Record& one : file_.records) {
      if (one.worker != worker_) continue;
      const Interval span{one.begin, one.end};
      switch (one.kind) {
        case Kind::step:
          steps.push_back({.step = static_cast<Step>(one.generation), .span = span, .network = network});
          break;
        case Kind::data:
          data.push_back(span);
          break;
        case Kind::forward:
          forward.push_back(span);
          break;
        case Kind::backward:
          backward.push_back(span);
          break;
        case Kind::mixing:
          mixing.push_back(span);
          break;
        case Kind::wait_header:
        case Kind::wait_bucket:
        case Kind::wait_release:
          waits.push_back(&one);
          break;
        default:
          break;
      }
    }
    std::ranges::sort(steps, {}, [](const StepInput& one) { return one.span.begin; });
    const Intervals all_data(data), all_forward(forward), all_backward(backward), all_mixing(mixing);
    for (StepInput& one : steps) {
      one.data = clip(all_data, one.span);
      one.forward = clip(all_forward, one.span);
      one.backward = clip(all_backward, one.span);
      one.mixing = clip(all_mixing, one.span);
      one.network = clip(network, one.span);
    }
    for (const Record* wait : waits) {
      const auto after = std::ranges::upper_bound(steps, wait->begin, {},
                                                  [](const StepInput& one) { return one.span.begin; });
      if (after == steps.begin() || wait->begin >= (after - 1)->span.end) continue;  // between steps
      (after - 1)->waits.push_back(wait_of(*wait));
    }
    return steps;
  }

 private:
  Wait wait_of(const Record& one) const {
    Wait wait{.span = {one.begin, one.end}, .for_release = one.kind == Kind::wait_release, .sources = {}};
    const auto& lists = wait.for_release ? board_.readers : board_.heard;
    const auto ranks = lists.find({worker_, one.generation});
    if (ranks == lists.end()) return wait;
    for (const Rank rank : ranks->second) {
      Wait::Source source{.neighbour = rank, .posted = {}, .landed = {}, .arrived = {}};
      if (wait.for_release) {
        source.arrived = read_at(rank, one.generation);
      } else if (one.kind == Kind::wait_header) {
        source.arrived = at(board_.header_arrived, {worker_, rank, one.generation, 0});
        if (comparable(trace_, worker_, rank))
          source.posted = at(board_.header_posted, {rank, -1, one.generation, 0});
      } else {
        source.arrived = at(board_.arrived, {worker_, rank, one.generation, one.bucket});
        source.landed = at(board_.landed, {worker_, rank, one.generation, one.bucket});
        if (comparable(trace_, worker_, rank))
          source.posted = at(board_.posted, {rank, worker_, one.generation, one.bucket});
      }
      wait.sources.push_back(source);
    }
    return wait;
  }

  // When the neighbour was done with all of a generation of ours.
  std::optional<int64_t> read_at(Rank rank, uint64_t generation) const {
    if (const auto in_place = at(board_.released, {worker_, rank, generation, 0})) return in_place;
    std::optional<int64_t> latest;
    for (uint32_t bucket = 0; bucket < file_.description.bucket_bytes.size(); ++bucket) {
      const auto sent = at(board_.sent, {worker_, rank, generation, bucket});
      if (!sent) return std::nullopt;
      latest = std::max(latest.value_or(*sent), *sent);
    }
    return latest;
  }

  const Trace& trace_;
  const Board& board_;
  Rank worker_;
  const File& file_;
};

std::vector<Transfer> transfers(const Board& board) {
  std::unordered_map<Key, Transfer, HashOfKey> found;
  const auto transfer = [&](Rank from, Rank to, const Key& key) -> Transfer& {
    Transfer& one = found[{from, to, key.generation, key.bucket}];
    one.from = from;
    one.to = to;
    one.generation = key.generation;
    one.bucket = key.bucket;
    return one;
  };
  for (const auto& [key, ns] : board.posted) transfer(key.worker, key.neighbour, key).posted = ns;
  for (const auto& [key, ns] : board.sent) transfer(key.worker, key.neighbour, key).sent = ns;
  for (const auto& [key, ns] : board.arrived) transfer(key.neighbour, key.worker, key).arrived = ns;
  std::vector<Transfer> all;
  all.reserve(found.size());
  for (const auto& [key, one] : found) all.push_back(one);
  std::ranges::sort(all, [](const Transfer& a, const Transfer& b) {
    return std::tuple(a.to, a.generation, a.bucket, a.from) <
           std::tuple(b.to, b.generation, b.bucket, b.from);
  });
  return all;
}

// By worker: when something of its own was under way.
std::vector<std::vector<Interval>> networks(const Trace& trace, const std::vector<Transfer>& all) {
  std::vector<std::vector<Interval>> busy(static_cast<std::size_t>(trace.workers));
  for (const Transfer& one : all) {
    if (one.posted && one.sent) busy[static_cast<std::size_t>(one.from)].push_back({*one.posted, *one.sent});
    // What is read in place never travels: it is posted and there at one moment.
    if (one.posted && one.arrived && comparable(trace, one.from, one.to))
      busy[static_cast<std::size_t>(one.to)].push_back({std::min(*one.posted, *one.arrived), *one.arrived});
  }
  return busy;
}

uint64_t bytes_of(const Description& description, uint32_t bucket) {
  return bucket < description.bucket_bytes.size() ? description.bucket_bytes[bucket] : 0;
}

void measure_edges(const Trace& trace, const std::vector<Transfer>& all,
                   std::map<Rank, WorkerFigures>& workers) {
  std::map<std::pair<Rank, Rank>, std::vector<Interval>> busy;
  for (const Transfer& one : all) {
    const auto worker = workers.find(one.from);
    if (worker == workers.end() || !one.posted || !one.sent) continue;
    EdgeFigures& edge = worker->second.edges[one.to];
    edge.bytes += bytes_of(trace.description(), one.bucket);
    ++edge.transfers;
    busy[{one.from, one.to}].push_back({*one.posted, *one.sent});
  }
  for (auto& [ends, intervals] : busy) {
    workers.at(ends.first).edges.at(ends.second).seconds =
        static_cast<double>(Intervals(std::move(intervals)).length()) * 1e-9;
  }
}

void measure_wire(const Description& description, const Intervals& network, WorkerFigures& worker) {
  uint64_t bytes = 0;
  for (const auto& [to, edge] : worker.edges) bytes += edge.bytes;
  const double seconds = static_cast<double>(network.length()) * 1e-9;
  worker.line_bytes_per_second = description.line_bytes_per_second;
  if (description.line_bytes_per_second > 0 && seconds > 0 && bytes > 0) {
    worker.wire_efficiency = static_cast<double>(bytes) / (description.line_bytes_per_second * seconds);
  }
}

}  // namespace

bool comparable(const Trace& trace, Rank a, Rank b) {
  const auto file_a = trace.file_of.find(a), file_b = trace.file_of.find(b);
  if (file_a == trace.file_of.end() || file_b == trace.file_of.end()) return false;
  return file_a->second == file_b->second ||
         (!trace.files[file_a->second].clock.empty() && !trace.files[file_b->second].clock.empty());
}

std::vector<Transfer> transfers_of(const Trace& trace) {
  return transfers(Board(trace));
}

std::vector<StepInput> steps_of(const Trace& trace, Rank worker) {
  const Board board(trace);
  auto busy = networks(trace, transfers(board));
  return WorkerReader(trace, board, worker)
      .steps(Intervals(std::move(busy[static_cast<std::size_t>(worker)])));
}

Figures analyse(const Trace& trace) {
  const Board board(trace);
  const std::vector<Transfer> all = transfers(board);
  auto busy = networks(trace, all);
  std::map<Rank, WorkerFigures> workers;
  for (const auto& [rank, file] : trace.file_of) workers[rank].worker = rank;
  measure_edges(trace, all, workers);
  Figures figures{.workers = {}, .remarks = trace.remarks};
  for (auto& [rank, worker] : workers) {
    const Description& description = trace.files[trace.file_of.at(rank)].description;
    const Intervals network(std::move(busy[static_cast<std::size_t>(rank)]));
    measure_wire(description, network, worker);
    for (const StepInput& step : WorkerReader(trace, board, rank).steps(network)) {
      const bool began_before = step.step == description.window_begin && step.step > description.first_step;
      if (!began_before) worker.steps.push_back(measure(step));
    }
    if (worker.steps.empty())
      figures.remarks.push_back(fmt::format("worker {} has no whole step in its trace", rank));
    figures.workers.push_back(std::move(worker));
  }
  return figures;
}

}  // namespace alder::trace
