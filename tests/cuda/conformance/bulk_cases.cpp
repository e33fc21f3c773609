// mbarriers, bulk copies and tensor maps.
#include "case.hpp"
#include "cuda/tensor_map.hpp"

namespace alder::ALDER_BACKEND::conformance {
namespace {

constexpr uint32_t kWarp = 32;

// ---- mbarriers: warp 0 fills a buffer, warp 1 empties it, round after round

constexpr uint32_t kRounds = 6;

struct Exchange {
  uint32_t values[kWarp];
  isa::Mbarrier full, empty;
};

ALDER_KERNEL(2 * kWarp)
mbarriers(uint32_t* out) {
  if constexpr (isa::kHopper) {
    auto& exchange = isa::shared<Exchange>();
    if (isa::thread() == 0) {
      isa::mbarrier_init(exchange.full, kWarp);
      isa::mbarrier_init(exchange.empty, 1);
      isa::mbarrier_init_fence();
    }
    isa::sync_block();
    for (uint32_t round = 0; round < kRounds; ++round) {
      if (isa::warp() == 0) {
        isa::mbarrier_wait(exchange.empty,
                           (round + 1) % 2);  // the first wait is for the phase before the first
        exchange.values[isa::lane()] = round * 1000 + isa::lane();
        isa::mbarrier_arrive(exchange.full);
      } else {
        isa::mbarrier_wait(exchange.full, round % 2);
        out[round * kWarp + isa::lane()] = exchange.values[kWarp - 1 - isa::lane()];
        isa::sync_warp();
        if (isa::lane() == 0) isa::mbarrier_arrive(exchange.empty);
      }
    }
  }
}
Words run_mbarriers(const Stream& stream) {
  return run_kernel(stream, {.name = "mbarriers", .threads = 2 * kWarp, .shared_bytes = sizeof(Exchange)},
                    std::size_t{kRounds} * kWarp, mbarriers);
}
Words expect_mbarriers() {
  return generate(std::size_t{kRounds} * kWarp,
                  [](uint32_t i) { return i / kWarp * 1000 + kWarp - 1 - i % kWarp; });
}

// ---- plain bulk copies there and back; the bytes are announced in two parts

constexpr uint32_t kPlain = 1024;  // words

struct Plain {
  alignas(128) uint32_t words[kPlain];
  isa::Mbarrier done;
};

ALDER_KERNEL(kWarp)
plain_copies(uint32_t* out, const uint32_t* in) {
  if constexpr (isa::kHopper) {
    auto& plain = isa::shared<Plain>();
    if (isa::thread() == 0) {
      isa::mbarrier_init(plain.done, 1);
      isa::mbarrier_init_fence();
      isa::mbarrier_expect(plain.done, kPlain * 2);
      isa::mbarrier_arrive_expect(plain.done, kPlain * 2);
      isa::bulk_load(plain.words, in, kPlain * 2, plain.done);
      isa::bulk_load(plain.words + kPlain / 2, in + kPlain / 2, kPlain * 2, plain.done);
    }
    isa::sync_block();
    isa::mbarrier_wait(plain.done, 0);
    for (uint32_t i = isa::thread() * 4; i < kPlain; i += kWarp * 4) {
      auto value = isa::load<isa::U32x4>(&plain.words[i]);
      for (int e = 0; e < 4; ++e) value[e] += 1;
      isa::store(&plain.words[i], value);
    }
    isa::fence_async_proxy();
    isa::sync_block();
    if (isa::thread() == 0) {
      isa::bulk_store(out, plain.words, kPlain * 4);
      isa::bulk_store_commit();
      isa::bulk_store_wait<0>();
    }
  }
}
constexpr uint32_t input(uint32_t i) {
  return i * 2654435761U;
}
Words run_plain_copies(const Stream& stream) {
  const DeviceArray<uint32_t> in = on_device(stream, generate(kPlain, input), "words");
  return run_kernel(stream, {.name = "plain_copies", .threads = kWarp, .shared_bytes = sizeof(Plain)}, kPlain,
                    plain_copies, static_cast<const uint32_t*>(in.data()));
}
Words expect_plain_copies() {
  return generate(kPlain, [](uint32_t i) { return input(i) + 1; });
}

// ---- boxes: one load, the raw bytes of shared memory come back

constexpr uint32_t kBoxWords = 2048;

struct Box {
  alignas(1024) uint32_t words[kBoxWords];
  isa::Mbarrier done;
};

struct Corner {
  int c[5];
  uint32_t bytes;  // of the box
  uint16_t offset_w, offset_h;
};

template <int Rank, bool Im2col>
ALDER_KERNEL(kWarp)
load_box(uint32_t* out, Corner corner, ALDER_PARAMETER TensorMap map) {
  if constexpr (isa::kHopper) {
    auto& box = isa::shared<Box>();
    if (isa::thread() == 0) {
      isa::mbarrier_init(box.done, 1);
      isa::mbarrier_init_fence();
      isa::tma_prefetch(map);
      isa::mbarrier_arrive_expect(box.done, corner.bytes);
      int c[Rank];
      for (int i = 0; i < Rank; ++i) c[i] = corner.c[i];
      if constexpr (Im2col) {
        isa::tma_load_im2col(box.words, map, box.done, c, corner.offset_w, corner.offset_h);
      } else {
        isa::tma_load(box.words, map, box.done, c);
      }
    }
    isa::sync_block();
    isa::mbarrier_wait(box.done, 0);
    for (uint32_t i = isa::thread(); i < corner.bytes / 4; i += kWarp) out[i] = box.words[i];
  }
}

template <int Rank, bool Im2col = false>
Words loaded(const Stream& stream, const TensorMap& map, const Corner& corner) {
  return run_kernel(stream, {.name = "load_box", .threads = kWarp, .shared_bytes = sizeof(Box)},
                    corner.bytes / 4, load_box<Rank, Im2col>, corner, map);
}

void append(Words& to, const Words& more) {
  to.insert(to.end(), more.begin(), more.end());
}

// Tensors of every rank, sizes 8, 3, 4, 3, 2, from corner -1 in each dimension: outside on both sides.
// Float32 element number i holds i + 1.
constexpr uint64_t kSizes[5] = {8, 3, 4, 3, 2};
constexpr uint32_t kSides[5] = {12, 5, 6, 2, 2};  // of the box

TensorMap map_of_rank(const float* base, int rank) {
  TiledMap map{.name = "ranks", .base = base, .element = MapElement::float32, .rank = rank};
  uint64_t stride = 4;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rank); ++i) {
    map.size[i] = kSizes[i];
    map.stride_bytes[i] = stride;
    map.box[i] = kSides[i];
    stride *= kSizes[i];
  }
  return make_tensor_map(map);
}
uint32_t box_elements(int rank) {
  uint32_t count = 1;
  for (int i = 0; i < rank; ++i) count *= kSides[i];
  return count;
}

Words run_ranks(const Stream& stream) {
  std::vector<float> values;
  for (int i = 0; i < 8 * 3 * 4 * 3 * 2; ++i) values.push_back(static_cast<float>(i + 1));
  const DeviceArray<float> tensor = on_device(stream, values, "tensor");
  const auto corner = [](int rank) { return Corner{{-1, -1, -1, -1, -1}, box_elements(rank) * 4, 0, 0}; };
  Words words = loaded<1>(stream, map_of_rank(tensor.data(), 1), corner(1));
  append(words, loaded<2>(stream, map_of_rank(tensor.data(), 2), corner(2)));
  append(words, loaded<3>(stream, map_of_rank(tensor.data(), 3), corner(3)));
  append(words, loaded<4>(stream, map_of_rank(tensor.data(), 4), corner(4)));
  append(words, loaded<5>(stream, map_of_rank(tensor.data(), 5), corner(5)));
  return words;
}
Words expect_ranks() {
  Words words;
  for (int rank = 1; rank <= 5; ++rank) {
    append(words, generate(box_elements(rank), [rank](uint32_t i) {
             uint32_t element = 0, stride = 1;
             for (int d = 0; d < rank; ++d) {
               const int coordinate = static_cast<int>(i % kSides[d]) - 1;
               i /= kSides[d];
               if (coordinate < 0 || coordinate >= static_cast<int>(kSizes[d])) return 0U;
               element += static_cast<uint32_t>(coordinate) * stride;
               stride *= static_cast<uint32_t>(kSizes[d]);
             }
             return bits_of(static_cast<float>(element + 1));
           }));
  }
  return words;
}

// ---- swizzles: 24 lines of one span each; 16-byte chunk n is expected at chunk n XOR (line of 128 bytes,
// masked)

constexpr uint32_t kLines = 24;

Words run_swizzles(const Stream& stream) {
  const DeviceArray<uint32_t> tensor = on_device(stream, generate(std::size_t{kLines} * 32, input), "tensor");
  Words words;
  for (const Swizzle swizzle : {Swizzle::none, Swizzle::bytes32, Swizzle::bytes64, Swizzle::bytes128}) {
    const uint32_t bytes = swizzle == Swizzle::none ? 128 : span_bytes(swizzle);
    const TensorMap map = make_tensor_map(TiledMap{.name = "swizzles",
                                                   .base = tensor.data(),
                                                   .element = MapElement::bf16,
                                                   .rank = 2,
                                                   .size = {64, kLines},
                                                   .stride_bytes = {0, 128},
                                                   .box = {bytes / 2, kLines},
                                                   .swizzle = swizzle});
    append(words, loaded<2>(stream, map, {{0, 0}, bytes * kLines, 0, 0}));
  }
  return words;
}
Words expect_swizzles() {
  Words words;
  for (const uint32_t bytes : {16U, 32U, 64U, 128U}) {
    const uint32_t chunks = bytes / 16, line = bytes == 16 ? 128 : bytes;
    append(words, generate(std::size_t{kLines} * line / 4, [=](uint32_t i) {
             const uint32_t chunk = i / 4 ^ (i * 4 / 128 & (chunks - 1)), word = chunk * 4 + i % 4;
             return input(word / (line / 4) * 32 + word % (line / 4));
           }));
  }
  return words;
}

// ---- the mark: bf16 elements outside read as 0x7FFF

Words run_mark(const Stream& stream) {
  const DeviceArray<uint32_t> tensor = on_device(stream, generate(8 * 4, input), "tensor");
  const TensorMap map = make_tensor_map(TiledMap{.name = "mark",
                                                 .base = tensor.data(),
                                                 .rank = 2,
                                                 .size = {16, 4},
                                                 .stride_bytes = {0, 32},
                                                 .box = {16, 6},
                                                 .fill = MapFill::mark});
  return loaded<2>(stream, map, {{2, -1}, 16 * 6 * 2, 0, 0});
}
Words expect_mark() {
  return generate(8 * 6, [](uint32_t i) {
    const uint32_t row = i / 8, pair = i % 8 + 1;
    return row < 1 || row > 4 || pair > 7 ? 0x7FFF7FFFU : input((row - 1) * 8 + pair);
  });
}

// ---- columns of pixels: 2 images of 5 x 4 pixels of 8 channels; element (n, h, w, c) holds its number

constexpr uint32_t kChannels = 8, kWidth = 5, kHeight = 4, kImages = 2, kPixels = 24;

struct Column {
  int lower, upper;  // of both corners
  uint32_t step;
  int w, h, n;  // the first pixel
  uint16_t offset_w, offset_h;
};
constexpr Column kColumns[] = {
    {-1, -1, 1, -1, -1, 0, 0, 0},  // 3x3 filter, padding 1, first tap
    {-1, -1, 1, 2, 1, 0, 2, 1},    // from within a line, tap (1, 2), into the next image and past the last
    {0, 0, 1, 0, 0, 1, 0, 0},      // 1x1 filter
    {-1, -1, 2, -1, 1, 0, 1, 2},   // stride 2
    {0, -2, 1, 0, 0, 0, 2, 2},     // 3x3 filter without padding
};

Words run_im2col(const Stream& stream) {
  std::vector<uint16_t> values;
  for (uint32_t i = 0; i < kChannels * kWidth * kHeight * kImages; ++i)
    values.push_back(static_cast<uint16_t>(i + 1));
  const DeviceArray<uint16_t> tensor = on_device(stream, values, "pixels");
  Words words;
  for (const Column& column : kColumns) {
    const TensorMap map = make_tensor_map(Im2colMap{.name = "im2col",
                                                    .base = tensor.data(),
                                                    .channels = kChannels,
                                                    .width = kWidth,
                                                    .height = kHeight,
                                                    .images = kImages,
                                                    .lower_w = column.lower,
                                                    .lower_h = column.lower,
                                                    .upper_w = column.upper,
                                                    .upper_h = column.upper,
                                                    .step = column.step,
                                                    .box_channels = kChannels,
                                                    .box_pixels = kPixels});
    append(
        words,
        loaded<4, true>(
            stream, map,
            {{0, column.w, column.h, column.n}, kPixels * kChannels * 2, column.offset_w, column.offset_h}));
  }
  return words;
}
Words expect_im2col() {
  Words words;
  for (const Column& column : kColumns) {
    // Corner positions along w and h: lower, lower + step, .. up to size - 1 + upper.
    const auto step = static_cast<int>(column.step);
    const int across = (static_cast<int>(kWidth) - 1 + column.upper - column.lower) / step + 1;
    const int down = (static_cast<int>(kHeight) - 1 + column.upper - column.lower) / step + 1;
    const int first =
        (column.n * down + (column.h - column.lower) / step) * across + (column.w - column.lower) / step;
    for (int pixel = first; pixel < first + static_cast<int>(kPixels); ++pixel) {
      const int w = column.lower + pixel % across * step + column.offset_w;
      const int h = column.lower + pixel / across % down * step + column.offset_h;
      const int n = pixel / across / down;
      const bool inside = w >= 0 && w < static_cast<int>(kWidth) && h >= 0 && h < static_cast<int>(kHeight) &&
                          n < static_cast<int>(kImages);
      for (uint32_t c = 0; c < kChannels; c += 2) {
        const uint32_t element = static_cast<uint32_t>((n * 4 + h) * 5 + w) * kChannels + c;
        words.push_back(inside ? (element + 1) | (element + 2) << 16 : 0);
      }
    }
  }
  return words;
}

// ---- a store of a box that hangs over the tensor's edges

constexpr uint32_t kStoreWidth = 8, kStoreHeight = 6;

ALDER_KERNEL(kWarp)
store_box(uint32_t*, ALDER_PARAMETER TensorMap map) {
  if constexpr (isa::kHopper) {
    auto& box = isa::shared<Box>();
    for (uint32_t i = isa::thread() * 4; i < 8 * 8; i += kWarp * 4) {
      isa::store(&box.words[i], isa::U32x4{{i, i + 1, i + 2, i + 3}});
    }
    isa::fence_async_proxy();
    isa::sync_block();
    if (isa::thread() == 0) {
      isa::tma_store(map, box.words, {-2, 3});
      isa::bulk_store_commit();
      isa::bulk_store_wait_read<0>();
    }
  }
}
Words run_store_box(const Stream& stream) {
  const DeviceArray<uint32_t> tensor(std::size_t{kStoreWidth} * kStoreHeight, "tensor");
  fill(stream, tensor.data(), 0xFF, tensor.size() * 4);
  const TensorMap map = make_tensor_map(TiledMap{.name = "store",
                                                 .base = tensor.data(),
                                                 .element = MapElement::float32,
                                                 .rank = 2,
                                                 .size = {kStoreWidth, kStoreHeight},
                                                 .stride_bytes = {0, kStoreWidth * 4},
                                                 .box = {8, 8}});
  run_kernel(stream, {.name = "store_box", .threads = kWarp, .shared_bytes = sizeof(Box)}, 1, store_box, map);
  Words words(tensor.size());
  tensor.download(stream, words);
  return words;
}
Words expect_store_box() {
  return generate(std::size_t{kStoreWidth} * kStoreHeight, [](uint32_t i) {
    const uint32_t column = i % kStoreWidth, row = i / kStoreWidth;
    return row < 3 || column >= 6 ? 0xFFFFFFFFU : (row - 3) * 8 + column + 2;
  });
}

constexpr Case kCases[] = {
    {"mbarriers", 90, run_mbarriers, expect_mbarriers},
    {"bulk_copies", 90, run_plain_copies, expect_plain_copies},
    {"tensor_ranks", 90, run_ranks, expect_ranks},
    {"tensor_swizzles", 90, run_swizzles, expect_swizzles},
    {"tensor_mark", 90, run_mark, expect_mark},
    {"tensor_im2col", 90, run_im2col, expect_im2col},
    {"tensor_store", 90, run_store_box, expect_store_box},
};

}  // namespace

std::span<const Case> bulk_cases() {
  return kCases;
}

}  // namespace alder::ALDER_BACKEND::conformance
