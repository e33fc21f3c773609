#include "train/metrics.hpp"

#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/error.hpp"

namespace alder::train {

Json finite_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

MetricsLog::MetricsLog(const std::filesystem::path& path, bool append)
    : path_(path), file_(std::fopen(path.c_str(), append ? "ae" : "we")) {
  if (file_ == nullptr) fail("cannot open {}: {}; choose another --out", path.string(), std::strerror(errno));
}

MetricsLog::~MetricsLog() {
  std::fclose(file_);
}

void MetricsLog::write(const Json& line) {
  const std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
    fail("cannot write {}: {}", path_.string(), std::strerror(errno));
  }
}

void MetricsLog::event(long step, const std::string& text) {
  write({{"kind", "event"}, {"step", step}, {"text", text}});
}

}  // namespace alder::train
