#include "report/compare.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "report/format.hpp"

namespace alder::report {
namespace {

// The newest value of a column of `means`, or nothing.
Number newest(const std::vector<MeanEpoch>& means, Number MeanEpoch::*number) {
  for (auto epoch = means.rbegin(); epoch != means.rend(); ++epoch) {
    if ((*epoch).*number) return (*epoch).*number;
  }
  return std::nullopt;
}

// The mean of the known values of a column of `means`, or nothing.
Number mean_of(const std::vector<MeanEpoch>& means, Number MeanEpoch::*number) {
  double sum = 0;
  int known_ones = 0;
  for (const MeanEpoch& epoch : means) {
    if (!(epoch.*number)) continue;
    sum += *(epoch.*number);
    ++known_ones;
  }
  return known_ones == 0 ? Number() : Number(sum / known_ones);
}

void find_target(const Run& run, double target, Figures& figures) {
  // Epoch and step at which the target was first met.
  std::optional<std::pair<int64_t, Step>> met;
  if (newest(run.means, &MeanEpoch::test_accuracy)) {
    const auto at = std::ranges::find_if(run.means, [&](const MeanEpoch& epoch) {
      return epoch.test_accuracy && *epoch.test_accuracy >= target;
    });
    if (at != run.means.end()) met = {at->epoch, at->step};
  } else {
    const auto curve = mean_over_workers(run, &WorkerEpoch::test_accuracy);
    const auto at = std::ranges::find_if(curve, [&](const EpochValue& p) { return p.value >= target; });
    if (at != curve.end()) met = {at->epoch, at->step};
  }
  if (!met) return;
  figures.steps_to_target = static_cast<double>(met->second);
  const auto mean = std::ranges::find(run.means, met->first, &MeanEpoch::epoch);
  if (mean != run.means.end()) figures.bytes_to_target = mean->bytes_exchanged;
}

void accuracies_from_workers(const Run& run, Figures& figures) {
  double sum = 0;
  int known_ones = 0;
  for (const Number& accuracy : final_accuracies(run)) {
    if (!accuracy) continue;
    sum += *accuracy;
    ++known_ones;
    figures.workers_worst = std::min(figures.workers_worst.value_or(*accuracy), *accuracy);
    figures.workers_best = std::max(figures.workers_best.value_or(*accuracy), *accuracy);
  }
  if (known_ones > 0) figures.workers_mean = sum / known_ones;
}

std::string whole_count(double number) {
  return count(std::llround(number));
}
std::string percent_text(double fraction) {
  return percent(fraction);
}
// A worker that was not there to be tested has null, which is read as a number that is not finite.
std::string accuracy_or_lost(double accuracy) {
  return std::isfinite(accuracy) ? percent(accuracy) : "lost";
}

// A column that no run can fill only widens the table (runs of before it was recorded, order `paper`).
bool known_to_any(const std::vector<Figures>& figures, Number Figures::*value) {
  return std::ranges::any_of(figures, [&](const Figures& row) { return (row.*value).has_value(); });
}

// One column of the comparison: how it is called, read and written, and which end of it is good.
struct Criterion {
  std::string title;
  Number Figures::*value;
  std::string (*write)(double);
  bool higher_is_better;
};

std::vector<Criterion> criteria(double target) {
  std::vector<Criterion> list{
      {"averaged model", &Figures::averaged_model, percent_text, true},
      {"workers' mean", &Figures::workers_mean, percent_text, true},
      {"worst", &Figures::workers_worst, percent_text, true},
      {"best", &Figures::workers_best, percent_text, true},
      {"consensus distance", &Figures::consensus_distance, plain, false},
      {"variance inflation", &Figures::variance_inflation, plain, false},
      {"exchanged", &Figures::bytes_exchanged, bytes, false},
      {"time", &Figures::seconds, duration, false},
      {"images/s", &Figures::images_per_second, plain, true},
  };
  if (target > 0) {
    const std::string goal = percent(target, target * 100 == std::round(target * 100) ? 0 : 1);
    list.push_back({"steps to " + goal, &Figures::steps_to_target, whole_count, false});
    list.push_back({"bytes to " + goal, &Figures::bytes_to_target, bytes, false});
  }
  return list;
}

// Marks the cells that read like the best one: two runs that print alike are equally good.
void mark_best(Table& table, std::size_t column, const std::vector<Run>& runs,
               const std::vector<Figures>& figures, const Criterion& criterion) {
  Number best;
  std::set<std::string> texts;
  const auto competes = [&](std::size_t i) {
    const Number& value = figures[i].*criterion.value;
    return runs[i].finished() && value && std::isfinite(*value);
  };
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!competes(i)) continue;
    const double value = *(figures[i].*criterion.value);
    if (!best || (criterion.higher_is_better ? value > *best : value < *best)) best = value;
    texts.insert(table.rows[i][column].text);
  }
  if (texts.size() < 2) return;
  const std::string text = criterion.write(*best);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    table.rows[i][column].best = competes(i) && table.rows[i][column].text == text;
  }
}

}  // namespace

std::vector<EpochValue> mean_over_workers(const Run& run, Number WorkerEpoch::*number) {
  struct Sum {
    Step step = 0;
    double sum = 0;
    int workers = 0;
  };
  std::map<int64_t, Sum> by_epoch;
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      if (!(epoch.*number)) continue;
      Sum& sum = by_epoch[epoch.epoch];
      sum.step = epoch.step;
      sum.sum += *(epoch.*number);
      ++sum.workers;
    }
  }
  std::vector<EpochValue> curve;
  for (const auto& [epoch, sum] : by_epoch) curve.push_back({epoch, sum.step, sum.sum / sum.workers});
  return curve;
}

std::vector<Number> final_accuracies(const Run& run) {
  const auto workers = static_cast<std::size_t>(run.workers);
  if (run.summary && run.summary->test_accuracy_workers.size() == workers) {
    return run.summary->test_accuracy_workers;
  }
  int64_t newest_epoch = 0;
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      if (epoch.test_accuracy) newest_epoch = std::max(newest_epoch, epoch.epoch);
    }
  }
  std::vector<Number> accuracies(workers);
  for (std::size_t rank = 0; rank < workers; ++rank) {
    const auto at = std::ranges::find(run.history[rank], newest_epoch, &WorkerEpoch::epoch);
    if (at != run.history[rank].end()) accuracies[rank] = at->test_accuracy;
  }
  return accuracies;
}

Figures figures_of(const Run& run, double target_accuracy) {
  Figures figures;
  accuracies_from_workers(run, figures);
  figures.averaged_model = newest(run.means, &MeanEpoch::test_accuracy);
  figures.consensus_distance = newest(run.means, &MeanEpoch::consensus_distance);
  figures.variance_inflation = mean_of(run.means, &MeanEpoch::variance_inflation);
  figures.bytes_exchanged = newest(run.means, &MeanEpoch::bytes_exchanged);
  figures.seconds = newest(run.means, &MeanEpoch::seconds);
  figures.images_per_second = newest(run.means, &MeanEpoch::images_per_second);
  if (run.summary) {
    const auto prefer = [](Number& figure, const Number& from) { figure = from ? from : figure; };
    prefer(figures.averaged_model, run.summary->test_accuracy_averaged_model);
    prefer(figures.workers_mean, run.summary->test_accuracy_mean);
    prefer(figures.workers_worst, run.summary->test_accuracy_worst);
    prefer(figures.workers_best, run.summary->test_accuracy_best);
    prefer(figures.consensus_distance, run.summary->consensus_distance);
    prefer(figures.variance_inflation, run.summary->variance_inflation);
    prefer(figures.bytes_exchanged, run.summary->bytes_exchanged);
    prefer(figures.seconds, run.summary->seconds);
    prefer(figures.images_per_second, run.summary->images_per_second);
  }
  if (target_accuracy > 0) find_target(run, target_accuracy, figures);
  return figures;
}

Table comparison_table(const std::vector<Run>& runs, double target_accuracy) {
  std::vector<Figures> figures;
  for (const Run& run : runs) figures.push_back(figures_of(run, target_accuracy));
  std::vector<Criterion> columns = criteria(target_accuracy);
  if (!known_to_any(figures, &Figures::variance_inflation)) {
    std::erase_if(columns, [](const Criterion& c) { return c.value == &Figures::variance_inflation; });
  }
  const std::vector<std::string> names = labels(runs);
  Table table{.columns = {{"run", false}}, .rows = {}};
  for (const Criterion& column : columns) table.columns.push_back({column.title, true});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::vector<Cell> row{{names[i] + (runs[i].finished() ? "" : " (unfinished)")}};
    for (const Criterion& column : columns) row.push_back({known(figures[i].*column.value, column.write)});
    table.rows.push_back(std::move(row));
  }
  for (std::size_t c = 0; c < columns.size(); ++c) mark_best(table, c + 1, runs, figures, columns[c]);
  return table;
}

Table worker_table(const Run& run) {
  Table table{.columns = {{"worker", false}, {"test accuracy"}, {"distance to mean"}, {"bytes sent"}},
              .rows = {}};
  const std::vector<Number> accuracies = final_accuracies(run);
  for (std::size_t rank = 0; rank < accuracies.size(); ++rank) {
    Number distance;
    double sent = 0;
    for (const WorkerEpoch& epoch : run.history[rank]) {
      if (epoch.distance_to_mean) distance = epoch.distance_to_mean;
      for (const auto& [neighbour, size] : epoch.bytes_sent) sent += static_cast<double>(size);
    }
    table.rows.push_back({{std::to_string(rank)},
                          {known(accuracies[rank], accuracy_or_lost)},
                          {known(distance, plain)},
                          {bytes(sent)}});
  }
  const Figures figures = figures_of(run, 0);
  table.rows.push_back({{"all workers"},
                        {known(figures.workers_mean, percent_text)},
                        {known(figures.consensus_distance, plain)},
                        {known(figures.bytes_exchanged, bytes)}});
  table.rows.push_back(
      {{"averaged model"}, {known(figures.averaged_model, percent_text)}, {kUnknown}, {kUnknown}});
  return table;
}

}  // namespace alder::report
