#include "rdma/run/run_exchange.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/sysfs.hpp"
#include "rdma/devices/memlock.hpp"
#include "rdma/devices/survey.hpp"
#include "rdma/devices/topology.hpp"
#include "rdma/node/node_links.hpp"

namespace alder::rdma {
namespace {

class RunExchange final : public Exchange {
 public:
  RunExchange(Rendezvous& rendezvous, const RunExchangePlan& plan, const RunExchangeOptions& options)
      : rendezvous_(rendezvous), plan_(plan), options_(options), verbs_(make_ibv_verbs()) {
    ExchangePlan inner{.workers = rendezvous.size(),
                       .rank = rendezvous.rank(),
                       .edges = plan.edges,
                       .buckets = plan.buckets,
                       .graph_hash = plan.graph_hash,
                       .configuration_hash = plan.configuration_hash,
                       .first_generation = plan.first_generation,
                       .paths = {},
                       .tuning = options.tuning};
    ExchangeSeams seams;
    if (options.same_node != SameNode::verbs) {
      memory_ = make_host_node_memory();
      links_ = std::make_unique<NodeLinks>(
          rendezvous, *memory_,
          NodeAgreement{plan.graph_hash, plan.configuration_hash, plan.first_generation});
      seams.links = links_.get();
    }
    const int by_verbs = neighbours_by_verbs();
    if (by_verbs > 0) {
      choose_ports(inner, by_verbs);
      seams.registrar = registrar_.get();
    } else {
      remarks_.push_back(plan.edges.empty()
                             ? "no neighbours"
                             : "all neighbours run on this node: shared memory, no RDMA device is used");
    }
    exchange_ = make_verbs_exchange(*verbs_, rendezvous, inner, seams);
  }

  int workers() const override { return exchange_->workers(); }
  std::vector<Rank> local() const override { return exchange_->local(); }
  Endpoint& endpoint(Rank rank) override { return exchange_->endpoint(rank); }
  void attach(Rank rank, std::span<const Region> sources) override { exchange_->attach(rank, sources); }
  void mark_failed(Rank rank) override { exchange_->mark_failed(rank); }
  std::vector<EdgeNotice> take_notices() override { return exchange_->take_notices(); }
  std::string description() const override { return exchange_->description(); }
  WireFacts wire() const override { return exchange_->wire(); }
  std::vector<EdgeState> edge_states() override { return exchange_->edge_states(); }
  std::vector<std::string> take_remarks() override {
    if (registrar_ != nullptr) {
      for (const RegistrationNote& note :
           std::exchange(notes_told_, true) ? std::vector<RegistrationNote>{} : registrar_->notes()) {
        if (note.method != Method::host) remarks_.push_back(fmt::format("{}: {}", note.card, note.why));
      }
    }
    std::ranges::move(exchange_->take_remarks(), std::back_inserter(remarks_));
    return std::exchange(remarks_, {});
  }

 private:
  int neighbours_by_verbs() const {
    return static_cast<int>(std::ranges::count_if(
        plan_.edges, [this](const EdgePlan& edge) { return links_ == nullptr || !links_->serves(edge); }));
  }

  // Ports for this worker, chosen together with the other workers of its node, and memory enough to lock.
  void choose_ports(ExchangePlan& inner, int neighbours) {
    const Survey survey = survey_devices(*verbs_, files_);
    const UsablePorts usable = find_usable_ports(survey, options_.paths);
    std::vector<LocalWorker> here;
    std::size_t own = 0;
    for (Rank rank = 0; rank < rendezvous_.size(); ++rank) {
      if (rendezvous_.host(rank) != rendezvous_.host(rendezvous_.rank())) continue;
      if (rank == rendezvous_.rank()) own = here.size();
      here.push_back({.rank = rank, .gpu = std::nullopt});
    }
    WorkerPaths chosen = choose_paths(usable, Topology::of_this_machine(), here, options_.paths.rails)[own];
    const std::vector<int> allowed = allowed_cpus();
    for (Path& path : chosen.paths) {
      CpuChoice cpus = choose_cpus(path, allowed);
      path.cpus = std::move(cpus.cpus);
      if (!cpus.warning.empty() && options_.tuning.pin) chosen.warnings.push_back(cpus.warning);
    }
    const std::size_t elements = std::accumulate(plan_.buckets.begin(), plan_.buckets.end(), std::size_t{0});
    require_memlock(memlock_need(elements * sizeof(float), neighbours, options_.paths.rails, false), limits_);
    registrar_ = std::make_unique<RegionRegistrar>(
        files_, nullptr, "models are in host memory",
        RegistrationOptions{.allow_staging = options_.allow_staging,
                            .relaxed_ordering = options_.relaxed_ordering,
                            .flush = options_.flush,
                            .warn = [this](std::string_view text) { remarks_.emplace_back(text); }});
    std::ranges::copy(chosen.reasons, std::back_inserter(remarks_));
    for (const std::string& warning : chosen.warnings) remarks_.push_back("warning: " + warning);
    inner.paths = std::move(chosen.paths);
  }

  Rendezvous& rendezvous_;
  const RunExchangePlan plan_;
  const RunExchangeOptions options_;
  const Sysfs files_;
  const Limits limits_;
  std::unique_ptr<Verbs> verbs_;
  std::unique_ptr<RegionRegistrar> registrar_;
  std::unique_ptr<NodeMemory> memory_;
  std::unique_ptr<NodeLinks> links_;
  std::vector<std::string> remarks_;
  bool notes_told_ = false;
  std::unique_ptr<Exchange> exchange_;  // last: uses all of the above
};

}  // namespace

SameNode parse_same_node(std::string_view word) {
  if (word == "auto") return SameNode::automatic;
  if (word == "verbs") return SameNode::verbs;
  if (word == "shm") return SameNode::shared_memory;
  const std::vector<std::string> known{"auto", "verbs", "shm"};
  throw UsageError(unknown_name("--same-node value", word, known));
}

std::unique_ptr<Exchange> make_run_exchange(Rendezvous& rendezvous, const RunExchangePlan& plan,
                                            const RunExchangeOptions& options) {
  return std::make_unique<RunExchange>(rendezvous, plan, options);
}

}  // namespace alder::rdma
