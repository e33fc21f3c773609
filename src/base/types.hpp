// Strong types for the small integers that must not be mixed up.
#pragma once

#include <compare>
#include <cstdint>

namespace alder {

// An integer with a name. Arithmetic goes through value(), so that mixing two kinds is an error.
template <typename Tag, typename Value>
class Named {
 public:
  constexpr Named() = default;
  constexpr explicit Named(Value value) : value_(value) {}
  constexpr Value value() const { return value_; }
  friend constexpr auto operator<=>(Named, Named) = default;

 private:
  Value value_{};
};

using Rank = int;      // a worker, 0 .. workers-1; also a node of a graph
using Step = int64_t;  // one mini-batch on every worker, counted from 0 through the whole run
using Generation = Named<struct GenerationTag, uint64_t>;  // one published version of a model
using Bucket = Named<struct BucketTag, uint32_t>;          // a contiguous part of a model

}  // namespace alder
