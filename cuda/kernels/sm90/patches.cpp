#include "cuda/kernels/sm90/patches.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {
namespace {

constexpr int blocks_for(int extent, int size) {
  return (extent + size - 1) / size;
}

// With fewer useful rows than this share of a patch, rows without halo are quicker, though they fetch each
// pixel once for each tap.
constexpr double kLeastUse = 0.5;

Patches rows_of(const Lattices& lattices) {
  Patches patches{.kind = PatchKind::rows,
                  .lattices = lattices,
                  .pixels = kPatchRows,
                  .pitch = kCell,
                  .cell_right = kCellPixels,
                  .cell_below = 2 * kCellPixels,
                  .plane = plane_bytes(kPatchRows),
                  .taps_at_once = 1};
  for (int i = 0; i < lattices.count; ++i) {
    patches.first_patch[i] = patches.count;
    patches.count += blocks_for(lattices.at[i].rows, kPatchRows);
  }
  return patches;
}

}  // namespace

Patches make_patches(const Problem& p, const Lattices& lattices) {
  if (p.kernel != 3 || p.stride != 1) return rows_of(lattices);
  const double pixels = double(p.height) * p.width;
  if (p.height <= kCell && p.width <= kCell) {
    if (pixels < kLeastUse * kCellPixels) return rows_of(lattices);
    return {.kind = PatchKind::pictures,
            .count = blocks_for(p.images, kCells),
            .lattices = lattices,
            .pixels = kPicturesPixels,
            .pitch = kPicturesPitch,
            .cell_right = (kCell + 1) * kPicturesPitch,
            .cell_below = 2 * (kCell + 1) * kPicturesPitch,
            .plane = plane_bytes(kPicturesPixels),
            .taps_at_once = lattices.at[0].taps};
  }
  const int lines = blocks_for(p.height, 2 * kCell), columns = blocks_for(p.width, 2 * kCell);
  if (pixels < kLeastUse * lines * columns * kPatchRows) return rows_of(lattices);
  return {.kind = PatchKind::picture,
          .count = p.images * lines * columns,
          .lattices = lattices,
          .per_image = Divider(lines * columns),
          .per_line = Divider(columns),
          .pixels = kPicturePixels,
          .pitch = kPicturePitch,
          .cell_right = kCell,
          .cell_below = kCell * kPicturePitch,
          .plane = plane_bytes(kPicturePixels),
          .taps_at_once = lattices.at[0].taps};
}

}  // namespace alder::ALDER_BACKEND::convolution::sm90
