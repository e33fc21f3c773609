// launch(): the one way to start a kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "cuda/isa/backend.hpp"
#if !defined(__CUDACC__)  // nvcc reads slowly: kernels' files get as little as possible
#include <functional>
#include <tuple>
#endif

namespace alder::ALDER_BACKEND {

class Stream;  // runtime.hpp

struct Grid {
  uint32_t x = 1, y = 1, z = 1;
};

struct LaunchShape {
  const char* name = "";  // of the kernel, with what distinguishes its instance: "conv_fprop 128x64"
  Grid grid;
  uint32_t threads = 1;          // a block, 1 .. 1024
  std::size_t shared_bytes = 0;  // dynamic shared memory of a block, up to 227 KiB (sm_80: 163)
  uint32_t cluster = 1;          // blocks along x that share a cluster (sm_90), 1 .. 8, divides grid.x
  // The kernel may begin while its predecessor on the stream runs, and calls isa::grid_dependency_wait before
  // it touches anything the predecessor has to do with (sm_90; ignored before).
  bool programmatic = false;
};

#if defined(__CUDACC__)

namespace detail {
// Throws alder::Error with the kernel's name, the shape and the stream's owner.
void launch_device(const Stream& stream, const LaunchShape& shape, const void* kernel, void** arguments);
}  // namespace detail

// Puts kernel(arguments...) on the stream. Arguments are copied here and now.
template <typename... Parameters, typename... Arguments>
void launch(const Stream& stream, const LaunchShape& shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments),
                "the kernel takes another number of arguments");
  const auto with = [&](Parameters... values) {
    void* addresses[] = {static_cast<void*>(&values)..., nullptr};
    detail::launch_device(stream, shape, reinterpret_cast<const void*>(kernel), addresses);
  };
  with(static_cast<Parameters>(std::forward<Arguments>(arguments))...);
}

#else

namespace detail {
void launch_emulated(const Stream& stream, const LaunchShape& shape, std::function<void()> thread);
}  // namespace detail

template <typename... Parameters, typename... Arguments>
void launch(const Stream& stream, const LaunchShape& shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments),
                "the kernel takes another number of arguments");
  std::tuple<Parameters...> values(static_cast<Parameters>(std::forward<Arguments>(arguments))...);
  detail::launch_emulated(stream, shape, [kernel, values] { std::apply(kernel, values); });
}

#endif

}  // namespace alder::ALDER_BACKEND
