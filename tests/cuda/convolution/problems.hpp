// Awkward shapes: the edges of tiles and what lies beside them, single pixels and pictures, odd maps, few and
// uneven channels, and small versions of what the networks have.
#pragma once

#include <vector>

#include "cuda/kernels/convolution.hpp"

namespace alder::ALDER_BACKEND::convolution {

inline std::vector<Problem> awkward_problems() {
  // images, height, width, channels, filters, kernel, stride
  return {
      {1, 1, 1, 8, 8, 3, 1},     {1, 1, 1, 8, 16, 1, 2},    {2, 1, 3, 16, 8, 3, 2},
      {1, 2, 2, 16, 16, 3, 2},   {1, 4, 4, 8, 8, 3, 1},     {2, 5, 7, 16, 24, 3, 1},
      {1, 9, 9, 40, 72, 3, 2},   {3, 8, 8, 64, 64, 3, 1},   {2, 8, 8, 64, 128, 3, 2},
      {5, 3, 3, 8, 64, 3, 2},    {1, 7, 5, 160, 8, 1, 1},   {2, 6, 6, 24, 160, 1, 2},
      {1, 15, 17, 16, 40, 3, 1}, {1, 17, 15, 32, 16, 3, 1}, {1, 16, 16, 64, 72, 3, 1},
      {1, 1, 127, 8, 8, 3, 1},   {1, 1, 128, 16, 8, 1, 1},  {1, 1, 129, 8, 136, 1, 1},
      {1, 13, 5, 72, 64, 3, 1},  {1, 8, 8, 160, 160, 3, 1}, {4, 4, 4, 128, 64, 3, 1},
      {9, 4, 4, 64, 64, 1, 1},   {1, 12, 12, 24, 32, 3, 2}, {2, 11, 6, 8, 8, 1, 2},
      {1, 32, 32, 16, 16, 3, 1}, {1, 24, 24, 64, 64, 1, 1},
  };
}

// Pictures of three channels.
inline std::vector<Problem> stem_problems() {
  return {{1, 1, 1, 3, 8, 3, 1},   {1, 5, 7, 3, 16, 3, 1}, {2, 8, 8, 3, 64, 3, 1},
          {1, 16, 9, 3, 72, 3, 1}, {3, 7, 7, 3, 64, 3, 2}, {1, 11, 13, 3, 40, 3, 1}};
}

}  // namespace alder::ALDER_BACKEND::convolution
