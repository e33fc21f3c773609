#include "rdma/layout.hpp"

#include <utility>

#include "base/error.hpp"
#include "rdma/immediate.hpp"

namespace alder::rdma {

SlotLayout::SlotLayout(std::vector<std::size_t> buckets, WireType type)
    : elements_(std::move(buckets)), type_(type) {
  if (elements_.empty() || elements_.size() > kMaxBuckets) {
    usage_error("a model of {} buckets; the verbs exchange carries 1 to {}", elements_.size(), kMaxBuckets);
  }
  constexpr uint64_t kPage = 4096;
  hash_ = 0xCBF29CE484222325;  // FNV-1a over 64-bit words
  const auto add = [this](uint64_t word) { hash_ = (hash_ ^ word) * 0x100000001B3; };
  add(static_cast<uint64_t>(type));
  for (std::size_t b = 0; b < elements_.size(); ++b) {
    if (elements_[b] == 0) usage_error("bucket {} of the model is empty", b);
    firsts_.push_back(total_);
    total_ += elements_[b];
    add(elements_[b]);
  }
  stride_ = (total_ * element_bytes() + kPage - 1) / kPage * kPage;
}

}  // namespace alder::rdma
