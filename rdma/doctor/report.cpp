#include "rdma/doctor/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace alder::rdma {

std::string_view to_string(Level level) {
  switch (level) {
    case Level::skip:
      return "skip";
    case Level::pass:
      return "pass";
    case Level::warn:
      return "warn";
    case Level::fail:
      return "fail";
  }
  return "fail";
}

Level DoctorReport::worst() const {
  Level worst = Level::skip;
  for (const Finding& finding : findings) worst = std::max(worst, finding.level);
  return worst;
}

int exit_code(const DoctorReport& report) {
  switch (report.worst()) {
    case Level::skip:
    case Level::pass:
      return 0;
    case Level::warn:
      return 3;
    case Level::fail:
      return 4;
  }
  return 4;
}

namespace {

// GPUs down, cards across: distance and path, as far as there are both.
std::string pair_table(const DoctorReport& report) {
  std::vector<std::string> gpus, cards;
  const auto remember = [](std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const GpuCardPair& pair : report.pairs) {
    remember(gpus, pair.gpu);
    remember(cards, pair.card);
  }
  if (gpus.empty()) return {};
  std::string text = fmt::format("\n{:14}", "GPU");
  for (const std::string& card : cards) text += fmt::format(" {:>9}", card);
  text += '\n';
  for (const std::string& gpu : gpus) {
    text += fmt::format("{:14}", gpu);
    for (const std::string& card : cards) {
      const auto pair = std::ranges::find_if(
          report.pairs, [&](const GpuCardPair& p) { return p.gpu == gpu && p.card == card; });
      text += fmt::format(" {:>9}", pair == report.pairs.end() ? "" : pair->distance);
    }
    text += '\n';
  }
  return text;
}

bool same_but_for_subject(const Finding& a, const Finding& b) {
  return a.check == b.check && a.level == b.level && a.measured == b.measured && a.remedy == b.remedy &&
         a.details == b.details;
}

// What is said of several subjects in the same words, said once: "mlx5_0 and 7 more".
std::vector<Finding> gathered(const std::vector<Finding>& findings) {
  std::vector<Finding> lines;
  std::vector<std::size_t> counts;
  for (const Finding& finding : findings) {
    const auto known =
        std::ranges::find_if(lines, [&](const Finding& line) { return same_but_for_subject(line, finding); });
    if (known == lines.end()) {
      lines.push_back(finding);
      counts.push_back(1);
    } else {
      ++counts[static_cast<std::size_t>(known - lines.begin())];
    }
  }
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (counts[i] > 1) lines[i].subject += fmt::format(" and {} more", counts[i] - 1);
  }
  return lines;
}

}  // namespace

std::string to_text(const DoctorReport& report) {
  const std::vector<Finding> lines = gathered(report.findings);
  std::size_t check_width = 0;
  std::size_t subject_width = 0;
  for (const Finding& line : lines) {
    check_width = std::max(check_width, line.check.size());
    subject_width = std::max(subject_width, line.subject.size());
  }
  std::string text = fmt::format("alder {} doctor on {}\n\n", report.version, report.host);
  for (const Finding& line : lines) {
    text += fmt::format("{}  {:{}}  {:{}}  {}\n", to_string(line.level), line.check, check_width,
                        line.subject, subject_width, line.measured);
    for (const std::string& detail : line.details) text += fmt::format("        {}\n", detail);
    if (!line.remedy.empty()) text += fmt::format("      > {}\n", line.remedy);
  }
  std::array<int, 4> totals{};
  for (const Finding& finding : report.findings) ++totals[static_cast<std::size_t>(finding.level)];
  text += pair_table(report);
  text += fmt::format("\n{} pass, {} warn, {} fail, {} skipped in {:.2f} s\n", totals[1], totals[2],
                      totals[3], totals[0], report.seconds);
  return text;
}

nlohmann::json to_json(const DoctorReport& report) {
  nlohmann::json checks = nlohmann::json::array();
  for (const Finding& finding : report.findings) {
    checks.push_back({{"check", finding.check},
                      {"subject", finding.subject},
                      {"level", to_string(finding.level)},
                      {"measured", finding.measured},
                      {"remedy", finding.remedy},
                      {"details", finding.details}});
  }
  nlohmann::json pairs = nlohmann::json::array();
  for (const GpuCardPair& pair : report.pairs) {
    pairs.push_back({{"gpu", pair.gpu},
                     {"card", pair.card},
                     {"distance", pair.distance},
                     {"path", pair.path},
                     {"why", pair.why}});
  }
  return {{"host", report.host},         {"version", report.version},
          {"seconds", report.seconds},   {"worst", to_string(report.worst())},
          {"checks", std::move(checks)}, {"pairs", std::move(pairs)}};
}

}  // namespace alder::rdma
