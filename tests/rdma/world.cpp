#include "tests/rdma/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace alder::rdma {
namespace {

// Time passes in steps of this length at most, so that limits of time are seen when they are reached.
constexpr int64_t kTickNs = 1'000'000;

std::vector<EdgePlan> with_everybody(Rank rank, int workers) {
  std::vector<EdgePlan> edges;
  for (Rank other = 0; other < workers; ++other) {
    if (other != rank) edges.push_back({.neighbour = other});
  }
  return edges;
}

}  // namespace

World::World(WorldOptions options)
    : options_(std::move(options)),
      fabric_(options_.fabric),
      meeting_(options_.workers),
      elements_(std::accumulate(options_.buckets.begin(), options_.buckets.end(), std::size_t{0})),
      dead_(static_cast<std::size_t>(options_.workers)),
      frozen_(static_cast<std::size_t>(options_.workers)),
      order_(options_.seed, Draw::schedule, 0) {
  for (Rank rank = 0; rank < workers(); ++rank) {
    std::vector<std::string> devices;
    for (std::size_t r = 0; r < options_.rails; ++r) devices.push_back(fmt::format("card{}_{}", rank, r));
    fabric_.add_host(devices);
    memory_.emplace_back(kArrays * elements_);
  }
}

World::~World() {
  end_all();
}

void World::make_exchanges() {
  for (Rank rank = 0; rank < workers(); ++rank) {
    const auto index = static_cast<std::size_t>(rank);
    ExchangePlan plan{
        .workers = workers(),
        .rank = rank,
        .edges = options_.edges.empty() ? with_everybody(rank, workers()) : options_.edges[index],
        .buckets = options_.buckets,
        .first_generation = options_.first_generation,
        .paths = {},
        .tuning = options_.tuning,
        .flush_cuda = {}};
    for (std::size_t r = 0; r < options_.rails; ++r) {
      plan.paths.push_back(fabric_.path(rank, r));
      plan.paths.back().flush = options_.flush;
    }
    rendezvous_.push_back(meeting_.join(rank));
    exchanges_.push_back(std::make_unique<VerbsExchange>(fabric_.verbs(rank), *rendezvous_.back(), plan,
                                                         ExchangeSeams{.time = this}));
    const Region region{.address = memory_[index].data(), .bytes = memory_[index].size() * sizeof(float)};
    exchanges_.back()->attach(rank, {&region, 1});
  }
}

void World::start() {
  for (const auto& exchange : exchanges_) exchange->connect();
  for (const auto& exchange : exchanges_) exchange->start();
}

void World::connect() {
  make_exchanges();
  start();
  for (const auto& exchange : exchanges_) exchange->await_edges();
}

void World::advance(int64_t until_ns) {
  std::vector<std::size_t> order(exchanges_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t k = order.size(); k > 1; --k) {
    std::swap(order[k - 1], order[order_.below(static_cast<uint32_t>(k))]);
  }
  bool busy = false;
  for (const std::size_t k : order) {
    if (exchanges_[k] == nullptr || dead_[k] || frozen_[k]) continue;
    busy = exchanges_[k]->step() || busy;
    // Between two workers' turns the wire may move.
    if (order_.below(2) == 0) fabric_.run_next(fabric_.now_ns());
  }
  if (!busy) fabric_.run_next(std::min(until_ns, fabric_.now_ns() + kTickNs));
}

std::span<float> World::array(Rank rank, std::size_t index) {
  return std::span(memory_[static_cast<std::size_t>(rank)]).subspan(index * elements_, elements_);
}

void World::pass(std::chrono::milliseconds time) {
  run_until([] { return false; }, time);
}

void World::kill(Rank rank) {
  dead_[static_cast<std::size_t>(rank)] = true;
  fabric_.kill(rank);
}

void World::end(Rank rank) {
  const auto index = static_cast<std::size_t>(rank);
  if (exchanges_[index] == nullptr) return;
  // Here, while its wheels still turn; its destructor then finds nothing left to do.
  if (alive(rank) && !frozen_[index]) endpoint(rank).close(in(std::chrono::seconds(5)));
  notices();
  exchanges_[index].reset();
}

std::string World::end_all() {
  // The dead do not say goodbye, and take their time over that.
  for (const bool dead : {false, true}) {
    for (Rank rank = 0; rank < static_cast<Rank>(exchanges_.size()); ++rank) {
      if (alive(rank) != dead) end(rank);
    }
  }
  return fabric_.leaks();
}

const std::vector<EdgeNotice>& World::notices() {
  for (const auto& exchange : exchanges_) {
    if (exchange == nullptr) continue;
    for (EdgeNotice& notice : exchange->take_notices()) notices_.push_back(std::move(notice));
  }
  return notices_;
}

std::string World::all_notices() {
  std::string text;
  for (const EdgeNotice& notice : notices()) text += notice.text + "\n";
  return text;
}

}  // namespace alder::rdma
