// What the doctor found: one line for each thing looked at, worst first in meaning, not in order.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace alder::rdma {

enum class Level : uint8_t {
  skip,  // could not be looked at, or does not matter here
  pass,
  warn,  // works, but slower or less safe than it could
  fail,  // training over RDMA will not work, or not as asked for
};
std::string_view to_string(Level level);

struct Finding {
  std::string check;    // "mtu"; the words of docs/doctor.md
  std::string subject;  // "mlx5_0:1"; empty: the machine
  Level level = Level::pass;
  std::string measured;              // what was seen
  std::string remedy;                // what to do; empty for pass
  std::vector<std::string> details;  // further lines: candidates, what was left out
};

// How a GPU and a card work together.
struct GpuCardPair {
  std::string gpu, card;  // PCI address; device name
  std::string distance;   // "PIX"
  std::string path;       // "dma-buf", "nvidia-peermem", "none"
  std::string why;        // why not a better one
};

struct DoctorReport {
  std::string host, version;
  double seconds = 0;
  std::vector<Finding> findings;
  std::vector<GpuCardPair> pairs;

  void add(Finding finding) { findings.push_back(std::move(finding)); }
  Level worst() const;
};

// 0: everything passes or is skipped; 3: warnings; 4: failures. (1 and 2 are what every alder command returns
// when it breaks, or does not understand its options.)
int exit_code(const DoctorReport& report);

// A table with the remedies under their lines, and a line of totals. Subjects of which the same is said share
// a line.
std::string to_text(const DoctorReport& report);
// docs/doctor.md describes the object.
nlohmann::json to_json(const DoctorReport& report);

}  // namespace alder::rdma
