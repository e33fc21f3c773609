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
#include "rdma/handles.hpp"
#include "rdma/layout.hpp"
#include "rdma/memory/prepared_slots.hpp"
#include "rdma/node/node_links.hpp"

namespace alder::rdma {
namespace {

constexpr std::string_view kGpuKey = "run.gpu";
constexpr std::chrono::seconds kMeeting{60};

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
    if (plan.cuda_device >= 0) find_gpu();
    if (options.same_node != SameNode::verbs && !on_gpu()) {
      memory_ = make_host_node_memory();
      links_ = std::make_unique<NodeLinks>(
          rendezvous, *memory_,
          NodeAgreement{plan.graph_hash, plan.configuration_hash, plan.first_generation});
      seams.links = links_.get();
    }
    const int by_verbs = neighbours_by_verbs();
    if (on_gpu()) tell_gpu();
    if (by_verbs > 0) {
      choose_ports(inner, by_verbs);
      prepare_slots(inner);
      seams.registrar = slots_.get();
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
  bool on_gpu() const { return plan_.cuda_device >= 0; }

  void find_gpu() {
    std::string why;
    gpu_ = make_gpu_memory(why);
    if (gpu_ == nullptr)
      fail("models lie on CUDA device {}, but its memory cannot be registered: {}", plan_.cuda_device, why);
    if (options_.tuning.wire_type != WireType::fp32) {
      usage_error("--wire {}: models in GPU memory travel as fp32", to_string(options_.tuning.wire_type));
    }
    if (options_.same_node == SameNode::shared_memory) {
      usage_error(
          "--same-node shm: models are in GPU memory, which neighbours reach through a card; use auto");
    }
    remarks_.push_back("models are in GPU memory: neighbours on this node are reached through a card too");
  }

  // Where the GPU of each worker of this node sits, by rank of the job; all ranks come here.
  std::optional<PciAddress> gpu_of(Rank rank) {
    const auto bytes = rendezvous_.get(rank, kGpuKey, kMeeting);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return text.empty() ? std::nullopt : parse_pci_address(text);
  }
  void tell_gpu() {
    const std::string own = on_gpu() ? to_string(gpu_->attributes(plan_.cuda_device).pci) : std::string();
    rendezvous_.put(kGpuKey, std::as_bytes(std::span(own)));
    rendezvous_.fence(kMeeting);
  }

  // Memory for what arrives, and with it how arrivals are made visible.
  void prepare_slots(ExchangePlan& inner) {
    const SlotLayout layout(plan_.buckets, options_.tuning.wire_type);
    std::size_t bytes = 0;
    for (const EdgePlan& edge : plan_.edges) {
      bytes += by_verbs(edge) && edge.receives ? layout.edge_bytes() : 0;
    }
    if (on_gpu() && options_.allow_staging) {
      for (const Path& path : inner.paths) {
        cards_.push_back(open_device(*verbs_, path.device));
        domains_.push_back(alloc_pd(cards_.back()));
      }
      for (const ProtectionDomain& domain : domains_) registrar_->expect_card(domain);
    }
    slots_ = std::make_unique<PreparedSlots>(*registrar_, bytes);
    if (!on_gpu()) return;
    const FlushDecision& flush = slots_->flush();
    for (Path& path : inner.paths) path.flush = flush.policy;
    remarks_.push_back(fmt::format("flush of arrivals: {} ({})", to_string(flush.policy), flush.reason));
    if (!flush.warning.empty()) remarks_.push_back("warning: " + flush.warning);
    inner.flush_cuda = [this] { gpu_->flush_writes(plan_.cuda_device); };
  }

  bool by_verbs(const EdgePlan& edge) const { return links_ == nullptr || !links_->serves(edge); }
  int neighbours_by_verbs() const {
    return static_cast<int>(
        std::ranges::count_if(plan_.edges, [this](const EdgePlan& edge) { return by_verbs(edge); }));
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
      here.push_back({.rank = rank, .gpu = on_gpu() ? gpu_of(rank) : std::nullopt});
    }
    WorkerPaths chosen = choose_paths(usable, Topology::of_this_machine(), here, options_.paths.rails)[own];
    const std::vector<int> allowed = allowed_cpus();
    for (Path& path : chosen.paths) {
      CpuChoice cpus = choose_cpus(path, allowed);
      path.cpus = std::move(cpus.cpus);
      if (!cpus.warning.empty() && options_.tuning.pin) chosen.warnings.push_back(cpus.warning);
    }
    const std::size_t elements = std::accumulate(plan_.buckets.begin(), plan_.buckets.end(), std::size_t{0});
    require_memlock(memlock_need(elements * sizeof(float), neighbours, options_.paths.rails, on_gpu()),
                    limits_);
    registrar_ = std::make_unique<RegionRegistrar>(
        files_, gpu_.get(), "models are in host memory",
        RegistrationOptions{.slots_device = plan_.cuda_device,
                            .allow_staging = options_.allow_staging,
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
  std::unique_ptr<GpuMemory> gpu_;         // null: models in host memory
  std::vector<Context> cards_;             // with staging: to try registrations out
  std::vector<ProtectionDomain> domains_;  // of cards_
  std::unique_ptr<RegionRegistrar> registrar_;
  std::unique_ptr<PreparedSlots> slots_;
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
