// The verbs exchange over the fabric keeps the contract of every exchange, with progress threads and all.
#include "tests/exchange/exchange_contract.hpp"
#include "tests/rdma/joint_exchange.hpp"

namespace alder {
namespace {

using rdma::fabric::Fabric;

ExchangeCase over_fabric(std::string name, const rdma::Tuning& tuning, rdma::fabric::Options options,
                         std::size_t rails = 1) {
  options.real_time = true;
  return {.name = std::move(name),
          .make = [=](int workers, std::vector<std::size_t> buckets) -> std::unique_ptr<Exchange> {
            auto fabric = std::make_shared<Fabric>(options);
            std::vector<rdma::Access> access;
            for (Rank rank = 0; rank < workers; ++rank) {
              std::vector<std::string> devices;
              for (std::size_t r = 0; r < rails; ++r) devices.push_back("card" + std::to_string(r));
              const rdma::fabric::Host host = fabric->add_host(devices);
              rdma::Access one{.verbs = &fabric->verbs(host), .paths = {}};
              // A rail without a bucket is none.
              for (std::size_t r = 0; r < std::min(rails, buckets.size()); ++r) {
                one.paths.push_back(fabric->path(host, r));
              }
              access.push_back(one);
            }
            return std::make_unique<rdma::JointExchange>(access, buckets, tuning, fabric);
          },
          .copies = true};
}

INSTANTIATE_TEST_SUITE_P(
    Verbs, ExchangeContract,
    testing::Values(
        over_fabric("plain", {}, {}),
        over_fabric("small_chunks_over_three_queue_pairs",
                    {.chunk_bytes = 16, .data_queue_pairs = 3, .notify = rdma::Notify::after_data},
                    {.jitter_ns = 20'000}),
        over_fabric("two_rails_without_extensions_or_inline", {},
                    {.jitter_ns = 5'000, .extended = false, .inline_limit = 0}, 2),
        over_fabric("infiniband", {.spare_connections = 0}, {.ethernet = false})),
    case_name);

}  // namespace
}  // namespace alder
