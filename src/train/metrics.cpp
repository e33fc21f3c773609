#include "train/metrics.hpp"

#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "base/file.hpp"

namespace alder::train {

Json shortest(float value) {
  return Json::parse(fmt::format("{}", value));
}

Json finite_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

namespace {

// A crash may have left half a line, which must not run into the next one.
void drop_partial_line(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_text(path);
  const std::size_t whole = text.rfind('\n') + 1;  // 0 when there is none
  if (whole < text.size()) std::filesystem::resize_file(path, whole);
}

}  // namespace

MetricsLog::MetricsLog(const std::filesystem::path& path, bool append) : path_(path) {
  if (append) drop_partial_line(path);
  file_ = std::fopen(path.c_str(), append ? "ae" : "we");
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
