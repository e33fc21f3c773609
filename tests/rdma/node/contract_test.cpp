// Shared memory keeps the contract of every exchange; so does a worker with neighbours here and elsewhere.
#include "rdma/node/node_links.hpp"
#include "tests/exchange/exchange_contract.hpp"
#include "tests/rdma/joint_exchange.hpp"

namespace alder {
namespace {

using rdma::fabric::Fabric;

// Links of one node, with the memory that they write to.
class Links final : public rdma::LinkMaker {
 public:
  explicit Links(Rendezvous& rendezvous)
      : memory_(rdma::make_host_node_memory()), links_(rendezvous, *memory_, {}) {}
  bool serves(const rdma::EdgePlan& edge) const override { return links_.serves(edge); }
  Made make(const rdma::EdgePlan& edge, const rdma::SlotLayout& layout, const rdma::Tuning& tuning,
            rdma::LinkEvents& events) override {
    return links_.make(edge, layout, tuning, events);
  }
  void connect(const rdma::EdgePlan& edge, rdma::Link& link) override { links_.connect(edge, link); }
  void attach(std::span<const Region> sources) override { links_.attach(sources); }
  int wake_fd() const override { return links_.wake_fd(); }

 private:
  std::unique_ptr<rdma::NodeMemory> memory_;
  rdma::NodeLinks links_;
};

// `hosts`: as many in turn as there are; one needs no network.
ExchangeCase on_hosts(std::string name, int hosts, const rdma::Tuning& tuning = {}) {
  return {.name = std::move(name),
          .make = [=](int workers, std::vector<std::size_t> buckets) -> std::unique_ptr<Exchange> {
            auto fabric = std::make_shared<Fabric>(rdma::fabric::Options{.real_time = true});
            std::vector<rdma::Access> access;
            rdma::NodeSeam node{
                .links = [](Rendezvous& rendezvous) { return std::make_unique<Links>(rendezvous); },
                .hosts = {}};
            for (Rank rank = 0; rank < workers; ++rank) {
              node.hosts.push_back("host" + std::to_string(rank % hosts));
              const rdma::fabric::Host host = fabric->add_host({"card"});
              rdma::Access one{.verbs = &fabric->verbs(host), .paths = {}};
              if (hosts > 1) one.paths = {fabric->path(host, 0)};
              access.push_back(one);
            }
            return std::make_unique<rdma::JointExchange>(access, buckets, tuning, fabric, node);
          },
          .copies = true};
}

INSTANTIATE_TEST_SUITE_P(Node, ExchangeContract,
                         testing::Values(on_hosts("shared_memory", 1), on_hosts("two_hosts", 2),
                                         on_hosts("spinning", 1, {.spin_polls = 1000})),
                         case_name);

}  // namespace
}  // namespace alder
