// What a person sees while a run goes on. All of it goes to standard error; results go to standard output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace alder::train {

enum class ProgressStyle { automatic, plain, none };  // automatic: a live line on a terminal, else plain

struct ProgressPoint {
  double epoch = 0, epochs = 0;
  long step = 0, steps = 0;
  double loss = 0;               // mean over workers, smoothed
  double images_per_second = 0;  // of the recent steps
  double eta_seconds = 0;
};

class Progress {
 public:
  explicit Progress(ProgressStyle style);
  // At most ten times a second is drawn on a terminal; plain style says a line every ten seconds.
  void step(const ProgressPoint& point);
  // A line that stays.
  void line(const std::string& text);

 private:
  bool live_, silent_;
  bool drawn_ = false;
  std::optional<int64_t> last_ns_;
};

// 75 -> "1:15", 3700 -> "1:01:40".
std::string duration(double seconds);

}  // namespace alder::train
