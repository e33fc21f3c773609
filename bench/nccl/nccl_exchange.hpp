// Baselines by NCCL, on GPU memory: the neighbour exchange by grouped ncclSend and ncclRecv, behind the
// contract of every exchange, and the all-reduce of DistributedDataParallel. For comparisons only: the
// product does not use NCCL.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "exchange/exchange.hpp"
#include "launch/rendezvous.hpp"

namespace alder::bench {

// Why NCCL cannot be used here, as the end of a sentence ("there is no GPU: ..."); empty: it can.
std::string why_no_nccl();

// One process a rank, one GPU a process (LOCAL_RANK's, or the first). Published arrays are device memory on
// that GPU, and so are slots. Every live edge goes both ways, and every worker publishes all buckets of a
// generation in the same order, because NCCL pairs what it is given by order: a neighbour that dies shows as
// a wait that ends at its deadline, as users of NCCL know it. All ranks together. Throws Error.
std::unique_ptr<Exchange> make_nccl_exchange(Rendezvous& rendezvous, std::vector<std::size_t> buckets);

// Sums gradients over all ranks, bucket by bucket, on a stream of its own, while the caller computes on.
class NcclAllReduce {
 public:
  virtual ~NcclAllReduce() = default;
  // `bucket`: device memory, overwritten by the sum over ranks. Starts when what was put on the caller's
  // stream so far is done (`stream`: a cudaStream_t).
  virtual void start(std::span<float> bucket, void* stream) = 0;
  // What is put on the caller's stream from now on sees the sums.
  virtual void join(void* stream) = 0;
};
std::unique_ptr<NcclAllReduce> make_nccl_all_reduce(Rendezvous& rendezvous);

}  // namespace alder::bench
