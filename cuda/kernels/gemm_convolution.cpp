// Convolutions as matrix products of the library (blas.hpp). A 1x1 convolution of stride 1 is one as it
// stands; for all others the patches of x that meet a filter are laid out as rows first ("im2col"):
//
//   columns[pixel of y][tap * channels + c] = x[the pixel that the tap sees there][c], 0 outside
//
//   forward          y       = columns . weights^T
//   weight gradient  dw      = dy^T . columns
//   data gradient    patches = dy . weights in float32;  dx[pixel] = sum of the patches' parts that met it
//                    (each pixel gathers: nothing is scattered, so the order of the sum is fixed)
//
// Rows are made for a few images at a time, so that the scratch stays small.
#include <algorithm>

#include "cuda/blas.hpp"
#include "cuda/isa/isa.hpp"
#include "cuda/kernels/convolution_variants.hpp"
#include "cuda/kernels/vectors.hpp"
#include "cuda/launch.hpp"

namespace alder::ALDER_BACKEND::convolution {
namespace {

constexpr uint32_t kThreads = 256;
constexpr int kWidth = kWideChannels;  // channels of a thread

// ---- kernels; grid: vectors of channels by pixels, taps

ALDER_KERNEL(kThreads)
columns_kernel(ALDER_PARAMETER Problem p, const uint16_t* x, uint16_t* columns) {
  const auto vectors = static_cast<uint32_t>(p.channels / kWidth);
  const uint32_t i = isa::block_x() * kThreads + isa::thread();
  const int pixel = static_cast<int>(i / vectors), c = static_cast<int>(i % vectors) * kWidth;
  if (pixel >= p.out_pixels()) return;
  const int tap = static_cast<int>(isa::block_y());
  const int column = pixel % p.out_width(), row = pixel / p.out_width() % p.out_height();
  const int image = pixel / (p.out_width() * p.out_height());
  const int h = row * p.stride + tap / p.kernel - p.pad(), w = column * p.stride + tap % p.kernel - p.pad();
  PackedChannels<kWidth> values{};
  if (h >= 0 && h < p.height && w >= 0 && w < p.width) {
    values = load_packed<kWidth>(x + ((image * p.height + h) * p.width + w) * p.channels + c);
  }
  store_packed(
      columns + (std::size_t(pixel) * std::size_t(p.taps()) + std::size_t(tap)) * std::size_t(p.channels) + c,
      values);
}

ALDER_KERNEL(kThreads)
gather_kernel(ALDER_PARAMETER Problem p, const float* patches, uint16_t* dx) {
  const auto vectors = static_cast<uint32_t>(p.channels / kWidth);
  const uint32_t i = isa::block_x() * kThreads + isa::thread();
  const int pixel = static_cast<int>(i / vectors), c = static_cast<int>(i % vectors) * kWidth;
  if (pixel >= p.in_pixels()) return;
  const int w = pixel % p.width, h = pixel / p.width % p.height, image = pixel / (p.width * p.height);
  Channels<kWidth> sum{};
  for (int tap = 0; tap < p.taps(); ++tap) {
    const int down = h + p.pad() - tap / p.kernel, right = w + p.pad() - tap % p.kernel;
    const int row = down / p.stride, column = right / p.stride;
    if (down < 0 || right < 0 || row * p.stride != down || column * p.stride != right ||
        row >= p.out_height() || column >= p.out_width()) {
      continue;
    }
    const int from = (image * p.out_height() + row) * p.out_width() + column;
    const auto part = load_channels<kWidth>(
        patches + (std::size_t(from) * std::size_t(p.taps()) + std::size_t(tap)) * std::size_t(p.channels) +
        c);
    ALDER_UNROLL
    for (int j = 0; j < kWidth; ++j) sum.v[j] += part.v[j];
  }
  store_channels(dx + pixel * p.channels + c, sum);
}

// ---- chunks of images

// Whether x itself is the matrix of rows.
bool direct(const Problem& p) {
  return p.kernel == 1 && p.stride == 1;
}

int64_t row_values(const Problem& p) {
  return int64_t{p.taps()} * p.channels;
}

std::size_t image_row_bytes(const Problem& p, Direction direction) {
  const std::size_t value = direction == Direction::data_gradient ? sizeof(float) : sizeof(uint16_t);
  return std::size_t(p.out_height()) * std::size_t(p.out_width()) * std::size_t(row_values(p)) * value;
}

// Calls body(part, x offset, y offset) for every `step` images, `part` being the problem of these images.
template <typename Body>
void for_chunks(const Problem& p, int step, const Body& body) {
  for (int first = 0; first < p.images; first += step) {
    Problem part = p, before = p;
    part.images = std::min(step, p.images - first);
    before.images = first;
    body(part, before.x_values(), before.y_values());
  }
}

LaunchShape shape_of(const char* name, const Problem& p, int pixels, int taps) {
  const auto vectors = static_cast<uint32_t>(pixels) * static_cast<uint32_t>(p.channels / kWidth);
  return {.name = name,
          .grid = {(vectors + kThreads - 1) / kThreads, static_cast<uint32_t>(taps)},
          .threads = kThreads};
}

// The workspace: the library's part, then the rows.
template <typename T>
T* rows_in(const Workspace& workspace) {
  return reinterpret_cast<T*>(static_cast<std::byte*>(workspace.data) + blas_workspace_bytes());
}

const uint16_t* make_columns(const Stream& stream, const Problem& p, const uint16_t* x,
                             const Workspace& workspace) {
  if (direct(p)) return x;
  auto* columns = rows_in<uint16_t>(workspace);
  launch(stream, shape_of("columns", p, p.out_pixels(), p.taps()), columns_kernel, p, x, columns);
  return columns;
}

class Gemm final : public Variant {
 public:
  explicit Gemm(std::size_t row_bytes) : row_bytes_(row_bytes) {}

  std::string_view name() const override { return "gemm"; }

  std::string refusal(const Problem& p, Direction, const DeviceProperties& device) const override {
    if (device.capability < 80) return "it needs compute capability 8.0";
    if (p.channels % kWidth == 0 && p.filters % kWidth == 0) return {};
    return "it needs channels and filters in eights";
  }
  Fusions fusions(const Problem&, Direction) const override { return {}; }

  WorkspaceSize workspace(const Problem& p, Direction direction, const DeviceProperties&) const override {
    std::size_t bytes = blas_workspace_bytes();
    if (!direct(p)) bytes += std::size_t(images_at_once(p, direction)) * image_row_bytes(p, direction);
    return {.bytes = bytes, .counters = 0};
  }

  void forward(const Stream& stream, const DeviceProperties&, const Problem& problem,
               const ForwardArguments& arguments) const override {
    for_chunks(problem, images_at_once(problem, Direction::forward),
               [&](const Problem& p, std::size_t x, std::size_t y) {
                 const uint16_t* columns = make_columns(stream, p, arguments.x + x, arguments.workspace);
                 multiply(stream,
                          {.rows = p.out_pixels(),
                           .columns = p.filters,
                           .inner = row_values(p),
                           .b_transposed = true,
                           .bf16_result = true},
                          columns, arguments.weights, arguments.y + y, arguments.workspace.data);
               });
  }

  void data_gradient(const Stream& stream, const DeviceProperties&, const Problem& problem,
                     const DataGradientArguments& arguments) const override {
    for_chunks(
        problem, images_at_once(problem, Direction::data_gradient),
        [&](const Problem& p, std::size_t x, std::size_t y) {
          const Product product{
              .rows = p.out_pixels(), .columns = row_values(p), .inner = p.filters, .bf16_result = direct(p)};
          if (direct(p)) {
            multiply(stream, product, arguments.dy + y, arguments.weights, arguments.dx + x,
                     arguments.workspace.data);
            return;
          }
          auto* patches = rows_in<float>(arguments.workspace);
          multiply(stream, product, arguments.dy + y, arguments.weights, patches, arguments.workspace.data);
          launch(stream, shape_of("gather", p, p.in_pixels(), 1), gather_kernel, p, patches,
                 arguments.dx + x);
        });
  }

  void weight_gradient(const Stream& stream, const DeviceProperties&, const Problem& problem,
                       const WeightGradientArguments& arguments) const override {
    for_chunks(problem, images_at_once(problem, Direction::weight_gradient),
               [&](const Problem& p, std::size_t x, std::size_t y) {
                 const uint16_t* columns = make_columns(stream, p, arguments.x + x, arguments.workspace);
                 multiply(stream,
                          {.rows = p.filters,
                           .columns = row_values(p),
                           .inner = p.out_pixels(),
                           .a_transposed = true,
                           .accumulate = x > 0},
                          arguments.dy + y, columns, arguments.dw, arguments.workspace.data);
               });
  }

 private:
  int images_at_once(const Problem& p, Direction direction) const {
    if (direct(p)) return p.images;
    return static_cast<int>(std::clamp<std::size_t>(row_bytes_ / image_row_bytes(p, direction), 1,
                                                    static_cast<std::size_t>(p.images)));
  }

  std::size_t row_bytes_;  // of scratch for rows, unless one image needs more
};

}  // namespace

const Variant& gemm_variant() {
  static const Gemm variant(std::size_t{64} << 20);
  return variant;
}

std::unique_ptr<const Variant> make_gemm_variant(std::size_t row_bytes) {
  return std::make_unique<const Gemm>(row_bytes);
}

}  // namespace alder::ALDER_BACKEND::convolution
