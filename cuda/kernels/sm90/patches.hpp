// How pixels lie in shared memory for wgmma: patches that serve all taps of a filter.
//
// A patch is kept in planes of eight channels, each pixel one 16-byte chunk of a plane:
//
//     plane 0   [ p0 | p1 | p2 | .. ] pad        plane c holds channels 8c .. 8c+7 of the slab
//     plane 1   [ p0 | p1 | p2 | .. ] pad        pad: planes are 16 mod 128 bytes apart, so that eight
//     threads
//     ..                                         that write a pixel's eight chunks meet eight groups of banks
//
// Eight pixels that follow each other are 128 adjacent bytes: a core matrix of a wgmma operand without
// swizzle. Four *cells* of 8x8 pixels are the 64 rows of four products; the next line of a cell is `pitch`
// pixels on. With a halo of one pixel around the cells, tap (r, s) of the filter is the same patch read (r-1)
// lines and (s-1) pixels further: nine start addresses instead of nine copies. Three kinds:
//
//   picture   16x16 pixels of one picture and their halo        four pictures of up to 8x8, one below the
//   other;
//             18 x 18, pitch 18                    pictures     they share halos: 37 lines of pitch 9, and
//             one
//             +--+-----+-----+--+                               +-+------+
//             |  | halo      |  |                               | |      |   line -1 (zeros)
//             +--+-----+-----+--+                               |0| cell |   column -1 is the column behind
//             |  |cell0|cell1|  |                               |0|   0  |   the last pixel of the line above
//             +  +-----+-----+  +                               | +------+
//             |  |cell2|cell3|  |                               | |      |   zeros, for both neighbours
//             +--+-----+-----+--+                               |0| cell |
//
//   rows      256 rows of a lattice, no halo: each tap is a patch of its own (1x1 filters, strides, small
//   maps)
#pragma once

#include "cuda/isa/isa.hpp"
#include "cuda/kernels/lattice.hpp"

namespace alder::ALDER_BACKEND::convolution::sm90 {

enum class PatchKind : uint8_t { picture, pictures, rows };

inline constexpr int kCell = 8;  // pixels along each side
inline constexpr int kCells = 4, kCellPixels = kCell * kCell, kPatchRows = kCells * kCellPixels;
inline constexpr int kSlab = 64;  // channels of a patch
inline constexpr int kPlanes = kSlab / 8;

constexpr int plane_bytes(int pixels) {
  return (pixels * 16 + 127) / 128 * 128 + 16;
}
inline constexpr int kPicturePitch = 2 * kCell + 2, kPicturePixels = kPicturePitch * kPicturePitch;
inline constexpr int kPicturesPitch = kCell + 1;
inline constexpr int kPicturesLines = kCells * (kCell + 1) + 1;
inline constexpr int kPicturesPixels = kPicturesLines * kPicturesPitch + 1;
inline constexpr int kMostPixels = kPicturesPixels;
static_assert(kMostPixels >= kPicturePixels && kMostPixels >= kPatchRows);

// One patch of a result.
struct Patch {
  const Lattice* lattice;
  int image, y, x;  // picture: its first pixel; pictures: its first image
  int first_row;    // rows
};

// All patches of a problem, and how they lie in shared memory.
struct Patches {
  PatchKind kind = PatchKind::rows;
  int count = 0;
  Lattices lattices;
  int first_patch[Lattices::kMax] = {};  // rows: of each lattice
  Divider per_image, per_line;           // picture: patches

  int pixels = 0, pitch = 0;           // in a patch
  int cell_right = 0, cell_below = 0;  // pixels from one cell to the next: cells are numbered along lines
  int plane = 0;                       // bytes from plane to plane
  int taps_at_once = 0;                // that a patch serves: all of the lattice's, or one

  ALDER_HOST_DEVICE int bytes() const { return kPlanes * plane; }
  ALDER_HOST_DEVICE int patch_taps(const Patch& patch) const {  // patches for one slab
    return taps_at_once == 1 ? patch.lattice->taps : 1;
  }

  ALDER_HOST_DEVICE Patch at(int index) const {
    if (kind == PatchKind::rows) {
      int i = lattices.count - 1;
      while (index < first_patch[i]) --i;
      return {&lattices.at[i], 0, 0, 0, (index - first_patch[i]) * kPatchRows};
    }
    if (kind == PatchKind::pictures) return {&lattices.at[0], index * kCells, 0, 0, 0};
    const int image = per_image.quotient(index), rest = index - image * per_image.divisor();
    const int line = per_line.quotient(rest);
    return {&lattices.at[0], image, line * 2 * kCell, (rest - line * per_line.divisor()) * 2 * kCell, 0};
  }

  // Where pixel `index` of the patch comes from, and for which taps it is a pixel at all. Patches with a halo
  // serve all taps and have one bit.
  ALDER_HOST_DEVICE Lattice::Source source(const Patch& patch, int index) const {
    const Lattice& lattice = *patch.lattice;
    if (kind == PatchKind::rows) {
      const int row = patch.first_row + index;
      return row < lattice.rows ? lattice.source(row) : Lattice::Source{0, 0};
    }
    int image = patch.image, y = index / pitch - 1, x = index % pitch - 1;
    if (kind == PatchKind::picture) {
      y += patch.y;
      x += patch.x;
    } else {
      // Line 0 of a picture's nine is the one above it.
      image += (y + 1) / (kCell + 1);
      y = (y + 1) % (kCell + 1) - 1;
    }
    const bool some = image * lattice.per_image.divisor() < lattice.rows &&
                      static_cast<uint32_t>(y) < static_cast<uint32_t>(lattice.source_height) &&
                      static_cast<uint32_t>(x) < static_cast<uint32_t>(lattice.source_width);
    return {(image * lattice.source_height + y) * lattice.source_width + x, some ? 1U : 0U};
  }

  // In bytes of a plane: from the patch's beginning to the first pixel that a cell reads at the filter's
  // upper left corner, and at another tap.
  ALDER_HOST_DEVICE int cell_start(int cell) const {
    return (cell % 2 * cell_right + cell / 2 * cell_below) * 16;
  }
  ALDER_HOST_DEVICE int cell_start(const Patch& patch, int cell, int tap) const {
    if (kind == PatchKind::rows) return cell_start(cell);
    const int lines = patch.lattice->tap_y[tap] + 1, columns = patch.lattice->tap_x[tap] + 1;
    return cell_start(cell) + (lines * pitch + columns) * 16;
  }
  ALDER_HOST_DEVICE int line_bytes() const { return pitch * 16; }

  // The pixel of the result that row 0 .. 63 of a cell is, or -1.
  ALDER_HOST_DEVICE int result_pixel(const Patch& patch, int cell, int row) const {
    const Lattice& lattice = *patch.lattice;
    if (kind == PatchKind::rows) {
      const int at = patch.first_row + cell * kCellPixels + row;
      return at < lattice.rows ? lattice.result_pixel(at) : -1;
    }
    int image = patch.image, y = row / kCell, x = row % kCell;
    if (kind == PatchKind::picture) {
      y += patch.y + cell / 2 * kCell;
      x += patch.x + cell % 2 * kCell;
    } else {
      image += cell;
    }
    const bool some = image * lattice.per_image.divisor() < lattice.rows && y < lattice.result_height &&
                      x < lattice.result_width;
    return some ? (image * lattice.result_height + y) * lattice.result_width + x : -1;
  }

  // How many rows of cells 2 * half and 2 * half + 1 are pixels of the result.
  ALDER_HOST_DEVICE int result_rows(const Patch& patch, int half) const {
    const auto within = [](int left, int most) { return left < 0 ? 0 : left < most ? left : most; };
    const Lattice& lattice = *patch.lattice;
    if (kind == PatchKind::rows) {
      return within(lattice.rows - patch.first_row - half * 2 * kCellPixels, 2 * kCellPixels);
    }
    if (kind == PatchKind::picture) {
      return within(lattice.result_height - patch.y - half * kCell, kCell) *
             within(lattice.result_width - patch.x, 2 * kCell);
    }
    const int of_image = lattice.per_image.divisor();
    return within(lattice.rows / of_image - patch.image - half * 2, 2) * of_image;
  }
};

// How a problem is best cut into patches. `lattices`: its rows.
Patches make_patches(const Problem& problem, const Lattices& lattices);

}  // namespace alder::ALDER_BACKEND::convolution::sm90
