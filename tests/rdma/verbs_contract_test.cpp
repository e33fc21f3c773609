// The contract of every exchange, over this machine's RDMA devices.
#include "tests/exchange/exchange_contract.hpp"
#include "tests/rdma/real_devices.hpp"

namespace alder {
namespace {

ExchangeCase on_devices(std::string name, const rdma::Tuning& tuning) {
  return {.name = std::move(name),
          .make = [=](int workers, std::vector<std::size_t> buckets) -> std::unique_ptr<Exchange> {
            return std::make_unique<rdma::JointExchange>(rdma::real_access(workers, 1), buckets, tuning,
                                                         nullptr);
          },
          .available = [] { return rdma::real_devices().why_none; },
          .copies = true};
}

rdma::Tuning many_pieces() {
  rdma::Tuning tuning = rdma::patient();
  tuning.chunk_bytes = 16;
  tuning.data_queue_pairs = 3;
  tuning.notify = rdma::Notify::after_data;
  return tuning;
}

INSTANTIATE_TEST_SUITE_P(Devices, ExchangeContract,
                         testing::Values(on_devices("plain", rdma::patient()),
                                         on_devices("small_chunks_over_three_queue_pairs", many_pieces())),
                         case_name);

}  // namespace
}  // namespace alder
