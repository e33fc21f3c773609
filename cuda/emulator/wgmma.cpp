// wgmma: asynchronous products of a warpgroup, operands read from shared memory through descriptors.
//
// Each warp of the four computes its 16 rows when its own lanes have met; that the four issued the same is
// checked at the block's end. A product takes effect at some time between its issue and the wait that covers
// its group.
#include <algorithm>
#include <cstring>
#include <memory>

#include "cuda/emulator/intrinsics.hpp"
#include "cuda/emulator/machine.hpp"
#include "cuda/emulator/tensor_map.hpp"
#include "cuda/emulator/tile.hpp"

namespace alder::emulator {
namespace {

constexpr int kMaxN = 256;

// isa::matrix_descriptor, taken apart.
struct Operand {
  uint32_t start, leading, stride;
  Swizzle swizzle;
  bool mn_major;

  Operand(uint64_t descriptor, bool mn) : mn_major(mn) {
    constexpr Swizzle kSwizzles[] = {Swizzle::none, Swizzle::bytes128, Swizzle::bytes64, Swizzle::bytes32};
    start = static_cast<uint32_t>(descriptor & 0x3FFF) << 4;
    leading = static_cast<uint32_t>(descriptor >> 16 & 0x3FFF) << 4;
    stride = static_cast<uint32_t>(descriptor >> 32 & 0x3FFF) << 4;
    swizzle = kSwizzles[descriptor >> 62];
  }

  // The shared address of the 16-byte chunk that holds rows (or columns) `mn` at `k`: eight of k when
  // K-major, eight of mn otherwise.
  uint32_t chunk(uint32_t mn, uint32_t k) const {
    const uint32_t span = swizzle == Swizzle::none ? 16 : 16U << static_cast<uint32_t>(swizzle);
    const uint32_t chunks = span / 16;  // of a line
    uint32_t address = start;
    if (!mn_major) {
      address += mn / 8 * stride + mn % 8 * span + k / 8 * (chunks == 1 ? leading : 16);
    } else if (chunks == 1) {
      address += mn / 8 * stride + k % 8 * 16 + k / 8 * leading;
    } else {
      address += mn / 8 % chunks * 16 + mn / 8 / chunks * leading + k % 8 * span + k / 8 * stride;
    }
    return swizzled(address, swizzle);
  }
};

class Reader {
 public:
  Reader(Block& block, const Wgmma& wgmma) : block_(block), site_(wgmma.site) {}

  // Calls put(mn, k, value) for the eight values of a chunk.
  template <typename Put>
  void read(const Operand& operand, uint32_t mn, uint32_t k, const Put& put) const {
    const std::byte* from = block_.at(operand.chunk(mn, k), 16, 16, "wgmma", site_);
    check_fenced(block_, from, "wgmma", site_);
    race_read(from, 16);
    uint16_t values[8];
    std::memcpy(values, from, sizeof values);
    for (uint32_t e = 0; e < 8; ++e) {
      const float value = std::bit_cast<float>(uint32_t{values[e]} << 16);
      if (operand.mn_major) {
        put(mn + e, k, value);
      } else {
        put(mn, k + e, value);
      }
    }
  }

  // All of `rows` x 16, from row `first` on.
  template <typename Put>
  void read_all(const Operand& operand, uint32_t first, uint32_t rows, const Put& put) const {
    const uint32_t step_mn = operand.mn_major ? 8 : 1, step_k = operand.mn_major ? 1 : 8;
    for (uint32_t mn = first; mn < first + rows; mn += step_mn) {
      for (uint32_t k = 0; k < 16; k += step_k) read(operand, mn, k, put);
    }
  }

 private:
  Block& block_;
  Site site_;
};

void compute(Warp& warp, const Wgmma& wgmma) {
  const Reader reader(*warp.block, wgmma);
  float a[16][16];
  const uint32_t first_row = warp.in_block % 4 * 16;
  if (wgmma.shape.a_in_registers) {
    gather_a(a, [&](uint32_t lane) { return wgmma.a_registers[lane].data(); });
  } else {
    reader.read_all(Operand(wgmma.a, wgmma.shape.a_mn_major), first_row, 16,
                    [&](uint32_t row, uint32_t k, float value) { a[row - first_row][k] = value; });
  }
  static thread_local std::unique_ptr<Floats8[]> tiles = std::make_unique<Floats8[]>(kMaxN / 8 * 16);
  auto* const b = reinterpret_cast<float*>(tiles.get());  // [n / 8][k][n % 8]
  const auto n = static_cast<uint32_t>(wgmma.shape.n);
  reader.read_all(
      Operand(wgmma.b, wgmma.shape.b_mn_major), 0, n,
      [&](uint32_t column, uint32_t k, float value) { b[(column / 8 * 16 + k) * 8 + column % 8] = value; });
  const Quiet quiet;
  for (uint32_t j = 0; j < n / 8; ++j) {
    const auto of = [&](uint32_t lane) { return wgmma.d[lane] + std::size_t{j} * 4; };
    Floats8 d[16] = {};
    if (wgmma.accumulate) gather_tile(d, of);
    multiply_tile(d, a, tiles.get() + std::size_t{j} * 16);
    scatter_tile(d, of);
  }
  warp.block->sm->statistics.multiply_adds += uint64_t{16} * 16 * n;
}

// Does the first `count` products of the queue.
void drain(Warp& warp, std::size_t count) {
  WgmmaQueue& queue = warp.wgmma;
  for (std::size_t i = 0; i < count; ++i) compute(warp, queue.issued[i]);
  const Quiet quiet;
  queue.issued.erase(queue.issued.begin(), queue.issued.begin() + static_cast<std::ptrdiff_t>(count));
  for (std::size_t& end : queue.group_ends) end -= std::min(end, count);
}

struct Issue {
  WgmmaShape shape;
  float* d;
  const uint32_t* a_registers;
  uint64_t a, b;
  bool accumulate;
  Site site;
};

void execute_issue(Warp& warp, uint32_t) {
  const auto of = [&](uint32_t lane) -> const Issue& {
    return *static_cast<const Issue*>(warp.threads[lane].argument);
  };
  const Issue& first = of(0);
  Multiprocessor& sm = *warp.block->sm;
  if (sm.options->compute_capability < 90) sm.fail(first.site, "wgmma on a device before sm_90");
  if (!warp.wgmma.fenced) {
    sm.fail(first.site, "wgmma without wgmma_fence since the last wgmma_commit: its registers may be stale");
  }
  if (warp.in_block / 4 * 4 + 4 > (sm.launch->threads + kWarp - 1) / kWarp) {
    sm.fail(first.site, "wgmma in a warpgroup of fewer than four warps");
  }
  Wgmma made{
      .shape = first.shape, .a = first.a, .b = first.b, .accumulate = first.accumulate, .site = first.site};
  for (uint32_t lane = 0; lane < kWarp; ++lane) {
    const Issue& issue = of(lane);
    if (issue.b != first.b || issue.accumulate != first.accumulate ||
        (!first.shape.a_in_registers && issue.a != first.a)) {
      sm.fail(first.site,
              fmt::format("wgmma: descriptors or accumulation differ between lanes 0 and {}", lane));
    }
    made.d[lane] = issue.d;
    if (first.shape.a_in_registers) std::copy_n(issue.a_registers, 4, made.a_registers[lane].begin());
  }
  warp.wgmma.issued.push_back(made);
  ++warp.wgmma.count;
  if (lands_at_once(sm)) drain(warp, warp.wgmma.issued.size());
}

void execute_fence(Warp& warp, uint32_t) {
  warp.wgmma.fenced = true;
}

void execute_commit(Warp& warp, uint32_t) {
  warp.wgmma.group_ends.push_back(warp.wgmma.issued.size());
  warp.wgmma.fenced = false;
}

void execute_wait(Warp& warp, uint32_t) {
  const auto left = *static_cast<const uint32_t*>(warp.threads[0].argument);
  WgmmaQueue& queue = warp.wgmma;
  if (queue.group_ends.size() <= left) return;
  const std::size_t over = queue.group_ends.size() - left;
  const std::size_t count = queue.group_ends[over - 1];
  queue.group_ends.erase(queue.group_ends.begin(),
                         queue.group_ends.begin() + static_cast<std::ptrdiff_t>(over));
  drain(warp, count);
}

// Per warp: what setmaxnreg left each of its threads.
void execute_registers(Warp& warp, uint32_t) {
  constexpr uint32_t kRegisterFile = 65536;
  warp.registers = *static_cast<const uint32_t*>(warp.threads[0].argument);
  const Block& block = *warp.block;
  uint32_t sum = 0;
  const uint32_t warps = (block.sm->launch->threads + kWarp - 1) / kWarp;
  for (uint32_t w = 0; w < warps; ++w) {
    if (block.warps[w].registers == 0) return;  // not all have said yet
    sum += block.warps[w].registers * kWarp;
  }
  if (sum > kRegisterFile) {
    block.sm->fail({}, fmt::format("setmaxnreg: the warps of the block ask for {} registers, there are {}",
                                   sum, kRegisterFile));
  }
}

}  // namespace

void wgmma_fence(Site site) {
  static constexpr Operation kOperation{"wgmma.fence", execute_fence, true, false};
  meet(kOperation, ~0U, nullptr, 0, site);
}

void wgmma(const WgmmaArguments& arguments, float* d, Site site) {
  static constexpr Operation kOperation{"wgmma.mma_async", execute_issue, true, false};
  Issue issue{.shape = {.n = arguments.n,
                        .a_in_registers = arguments.a_registers != nullptr,
                        .a_mn_major = arguments.a_mn_major,
                        .b_mn_major = arguments.b_mn_major},
              .d = d,
              .a_registers = arguments.a_registers,
              .a = arguments.a,
              .b = arguments.b,
              .accumulate = arguments.accumulate,
              .site = site};
  meet(kOperation, ~0U, &issue, static_cast<uint64_t>(arguments.n), site);
}

void wgmma_commit(Site site) {
  static constexpr Operation kOperation{"wgmma.commit_group", execute_commit, true, false};
  meet(kOperation, ~0U, nullptr, 0, site);
}

void wgmma_wait(uint32_t groups_left, Site site) {
  static constexpr Operation kOperation{"wgmma.wait_group", execute_wait, true, false};
  meet(kOperation, ~0U, &groups_left, groups_left, site);
}

void set_registers(uint32_t count, Site site) {
  static constexpr Operation kOperation{"setmaxnreg", execute_registers, true, false};
  meet(kOperation, ~0U, &count, count, site);
}

}  // namespace alder::emulator
