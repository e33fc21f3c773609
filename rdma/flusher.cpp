#include "rdma/flusher.hpp"

#include <utility>

#include "base/error.hpp"
#include "rdma/failure.hpp"

namespace alder::rdma {

Flusher::Flusher(Nic& nic, Registrar& registrar, const Region& target, const Tuning& tuning)
    : target_(target),
      landing_(std::make_unique<uint64_t>(0)),
      target_region_(registrar.add(nic.pd(), target, IBV_ACCESS_REMOTE_READ)),
      landing_region_(register_memory(nic.pd(), landing_.get(), sizeof(uint64_t), IBV_ACCESS_LOCAL_WRITE)),
      lane_(std::make_unique<Lane>(nic, *this, QueuePairSize{.send_requests = kDepth, .receive_requests = 1},
                                   IBV_ACCESS_REMOTE_READ)) {
  const Path& path = nic.path();
  lane_->connect({.address = lane_->address(), .lid = path.lid, .gid = path.gid, .mtu = path.mtu}, tuning);
}

void Flusher::request(FlushWaiter& waiter, uint64_t epoch, uint16_t tag, uint32_t bucket) {
  waiting_.push_back({&waiter, epoch, tag, bucket});
  if (reading_.empty()) read();
}

void Flusher::forget(FlushWaiter& waiter) {
  const auto of_waiter = [&](const Request& request) { return request.waiter == &waiter; };
  std::erase_if(waiting_, of_waiter);
  // A read under way keeps its place, so that on_sent still finds something to finish.
  for (Request& request : reading_) {
    if (of_waiter(request)) request.waiter = nullptr;
  }
}

void Flusher::read() {
  if (waiting_.empty() || !broken_.empty()) return;
  std::swap(waiting_, reading_);
  WorkRequest request{.opcode = IBV_WR_RDMA_READ,
                      .local = reinterpret_cast<uint64_t>(landing_.get()),
                      .length = 1,
                      .local_key = landing_region_->lkey,
                      .remote = reinterpret_cast<uint64_t>(target_.address),
                      .remote_key = target_region_->rkey};
  if (const int error = lane_->post({&request, 1})) {
    broken_ = fmt::format("the read that makes arrivals visible to the GPU cannot be posted: {}",
                          errno_text(error));
  }
  ++reads_;
}

void Flusher::on_sent(Lane&, uint64_t) {
  std::vector<Request> done;
  std::swap(done, reading_);
  for (const Request& request : done) {
    if (request.waiter != nullptr) request.waiter->on_flushed(request.epoch, request.tag, request.bucket);
  }
  read();
}

void Flusher::on_error(Lane&, const Completion& completion, bool) {
  if (broken_.empty()) {
    broken_ = fmt::format("the read that makes arrivals visible to the GPU {}",
                          status_text(completion.status, completion.vendor_error));
  }
}

}  // namespace alder::rdma
