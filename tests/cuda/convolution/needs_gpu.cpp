// main() of a test program for a GPU: where there is none it says so and leaves with 77, which CTest shows as
// skipped.
#include <gtest/gtest.h>

#include <cstdio>

#include "cuda/runtime.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const alder::ALDER_BACKEND::DeviceCount count = alder::ALDER_BACKEND::count_devices();
  if (count.devices == 0) {
    std::printf("skipped: no GPU (%s)\n", count.why_none.c_str());
    return 77;
  }
  return RUN_ALL_TESTS();
}
