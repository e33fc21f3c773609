#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "rdma/pairs/pairs.hpp"

namespace alder::rdma {
namespace {

constexpr double kMuchSlower = 0.5;  // of the median rate

bool measured(const PairResult& result) {
  return result.trouble.empty();
}

double median_rate(const PairReport& report) {
  std::vector<double> rates;
  for (const PairResult& result : report.results) {
    if (measured(result)) rates.push_back(result.gigabytes_per_second);
  }
  if (rates.empty()) return 0;
  std::ranges::sort(rates);
  return rates[rates.size() / 2];
}

bool slow(const PairResult& result, double median) {
  return measured(result) && result.gigabytes_per_second < kMuchSlower * median;
}

// `value` of each pair, a row for each receiver, "-" on the diagonal.
template <typename Value>
std::string matrix(const PairReport& report, const char* title, Value value) {
  const std::size_t workers = report.hosts.size();
  std::string text = fmt::format("{}\n{:>8}", title, "from");
  for (std::size_t from = 0; from < workers; ++from) text += fmt::format("{:>9}", from);
  text += "\n";
  std::size_t next = 0;
  for (std::size_t to = 0; to < workers; ++to) {
    text += fmt::format("{:>8}", fmt::format("to {}", to));
    for (std::size_t from = 0; from < workers; ++from) {
      if (from == to) {
        text += fmt::format("{:>9}", "-");
        continue;
      }
      const PairResult& result = report.results[next++];
      text += measured(result) ? fmt::format("{:>9.4g}", value(result)) : fmt::format("{:>9}", "failed");
    }
    text += "\n";
  }
  return text;
}

std::string who(const PairReport& report, const PairResult& result) {
  return fmt::format("worker {} ({}) from worker {} ({})", result.rank,
                     report.hosts[static_cast<std::size_t>(result.rank)], result.partner,
                     report.hosts[static_cast<std::size_t>(result.partner)]);
}

}  // namespace

int exit_code(const PairReport& report) {
  const double median = median_rate(report);
  int code = 0;
  for (const PairResult& result : report.results) {
    if (!measured(result) || result.wrong > 0) return 4;
    if (slow(result, median)) code = 3;
  }
  return code;
}

std::string to_text(const PairReport& report) {
  std::string text;
  for (const std::string& remark : report.remarks) text += remark + "\n";
  text += matrix(report, "GB/s received while as much is sent",
                 [](const PairResult& r) { return r.gigabytes_per_second; });
  text += matrix(report, "one way of 64 bytes and a header, us",
                 [](const PairResult& r) { return r.one_way_us; });
  const double median = median_rate(report);
  for (const PairResult& result : report.results) {
    if (!measured(result)) text += fmt::format("FAIL {}: {}\n", who(report, result), result.trouble);
    if (result.wrong > 0) {
      text +=
          fmt::format("FAIL {}: {} values are not those that were sent\n", who(report, result), result.wrong);
    }
    if (slow(result, median)) {
      text += fmt::format("WARN {}: {:.3g} GB/s, the median of all pairs is {:.3g}\n", who(report, result),
                          result.gigabytes_per_second, median);
    }
  }
  if (exit_code(report) == 0) {
    text += fmt::format("{} pairs: all data right, none slower than {:.0f} % of the median {:.3g} GB/s\n",
                        report.results.size() / 2, 100 * kMuchSlower, median);
  }
  return text;
}

nlohmann::json to_json(const PairReport& report) {
  nlohmann::json pairs = nlohmann::json::array();
  for (const PairResult& result : report.results) {
    nlohmann::json pair{{"to", result.rank}, {"from", result.partner}};
    if (measured(result)) {
      pair["gigabytes_per_second"] = result.gigabytes_per_second;
      pair["one_way_us"] = result.one_way_us;
      pair["wrong"] = result.wrong;
    } else {
      pair["trouble"] = result.trouble;
    }
    pairs.push_back(std::move(pair));
  }
  return {{"hosts", report.hosts},
          {"remarks", report.remarks},
          {"pairs", pairs},
          {"exit_code", exit_code(report)}};
}

}  // namespace alder::rdma
