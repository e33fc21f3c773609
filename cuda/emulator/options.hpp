// How the emulator runs kernels: in which order, and when asynchronous copies land.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace alder::emulator {

// Which of the threads that can run goes next. `forward` drives one warp until it waits, then the next;
// `reverse` the same from the other end; `random` picks warp and lane anew at every switch, blocks in a
// shuffled order.
enum class Order : uint8_t { forward, reverse, random };

// When an asynchronous operation (cp.async, bulk copy, wgmma) takes effect, within what its rules allow:
// as late as possible, as early as possible, or either by the seed.
enum class Copies : uint8_t { lazy, eager, random };

struct Options {
  Order order = Order::forward;
  Copies copies = Copies::lazy;
  uint64_t seed = 1;
  int threads = 0;  // of the host that run blocks; 0: as many as there are cores
  // What the emulated device says of itself.
  int compute_capability = 90;
  int multiprocessors = 4;
  int64_t device_bytes = int64_t{16} << 30;
};
std::string to_string(const Options& options);  // "order=random,copies=lazy,seed=7,..."

// "order=random,copies=eager,seed=7,threads=1,capability=80,multiprocessors=2,bytes=1000000", each part
// optional, on top of `base`. Throws UsageError for what it does not know.
Options parse_options(std::string_view text, Options base = {});

// The options of launches from this host thread: those of the innermost ScopedOptions, else those of the
// environment variable ALDER_EMULATOR, else the defaults.
const Options& options();

class ScopedOptions {
 public:
  explicit ScopedOptions(const Options& options);
  ScopedOptions(const ScopedOptions&) = delete;
  ScopedOptions& operator=(const ScopedOptions&) = delete;
  ~ScopedOptions();

 private:
  Options options_;
  const Options* outer_;
};

}  // namespace alder::emulator
