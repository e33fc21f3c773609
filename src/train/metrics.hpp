// Writers of a run folder's records; docs/metrics.md is their schema.
#pragma once

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace alder::train {

using Json = nlohmann::ordered_json;

// A float as a person would write it: 0.3, not 0.30000001192092896. The value must be finite.
Json shortest(float value);

// A JSON number, or null when the value is not finite (JSON has no NaN).
Json finite_or_null(double value);

// Appends one object a line and flushes it, so that a run can be watched and a crash loses at most a line.
// Throws Error naming the file and the reason.
class MetricsLog {
 public:
  // `append`: a resumed run; else an existing file is replaced.
  MetricsLog(const std::filesystem::path& path, bool append);
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;
  ~MetricsLog();

  void write(const Json& line);
  void event(long step, const std::string& text);

 private:
  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
};

}  // namespace alder::train
