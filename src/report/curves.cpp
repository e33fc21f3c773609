#include "report/curves.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/compare.hpp"
#include "report/format.hpp"

namespace alder::report {
namespace {

using Points = std::vector<std::pair<double, double>>;

Points points_of(const std::vector<MeanEpoch>& means, Number MeanEpoch::*number) {
  Points points;
  for (const MeanEpoch& mean : means) {
    if (mean.*number) points.emplace_back(static_cast<double>(mean.epoch), *(mean.*number));
  }
  return points;
}

Points mean_points(const Run& run, Number WorkerEpoch::*number) {
  Points points;
  for (const EpochValue& p : mean_over_workers(run, number))
    points.emplace_back(static_cast<double>(p.epoch), p.value);
  return points;
}

std::vector<Series> per_worker(const Run& run, Number WorkerEpoch::*number) {
  std::vector<Series> list;
  for (Rank rank = 0; rank < run.workers; ++rank) {
    Series series{.name = fmt::format("worker {}", rank),
                  .key = fmt::format("worker-{}", rank),
                  .colour = worker_colour(run.workers, rank),
                  .points = {}};
    for (const WorkerEpoch& epoch : run.history[static_cast<std::size_t>(rank)]) {
      if (epoch.*number) series.points.emplace_back(static_cast<double>(epoch.epoch), *(epoch.*number));
    }
    list.push_back(std::move(series));
  }
  return list;
}

Series strong(std::string name, std::string colour, Points points) {
  return {.name = std::move(name),
          .key = {},
          .colour = std::move(colour),
          .points = std::move(points),
          .strong = true};
}

// Accuracy of the averaged model against what had been sent for it, in `unit`.
Points by_bytes(const Run& run, const Unit& unit) {
  Points points;
  for (const MeanEpoch& mean : run.means) {
    if (mean.test_accuracy && mean.bytes_exchanged) {
      points.emplace_back(*mean.bytes_exchanged / unit.size, *mean.test_accuracy);
    }
  }
  return points;
}

Unit common_unit(const std::vector<Run>& runs) {
  double largest = 0;
  for (const Run& run : runs) {
    for (const MeanEpoch& mean : run.means) largest = std::max(largest, mean.bytes_exchanged.value_or(0));
  }
  return byte_unit(largest);
}

template <typename Make>
std::vector<Series> per_run(const std::vector<Run>& runs, Make make) {
  const std::vector<std::string> names = labels(runs);
  std::vector<Series> list;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    list.push_back({.name = names[i],
                    .key = fmt::format("run-{}", i),
                    .colour = run_colour(i),
                    .points = make(runs[i])});
  }
  return list;
}

}  // namespace

std::string worker_colour(int workers, Rank rank) {
  return workers <= kColouredWorkers ? fmt::format("k{}", rank) : "many";
}

std::string run_colour(std::size_t index) {
  return fmt::format("run k{}{}", index % 8,
                     index / 8 == 0 ? "" : fmt::format(" dash{}", std::min<std::size_t>(index / 8, 2)));
}

std::vector<LineChart> worker_charts(const Run& run) {
  std::vector<LineChart> charts;
  const auto add = [&](std::string title, std::string y_label, Quantity quantity,
                       Number WorkerEpoch::*number) -> LineChart& {
    charts.push_back({.title = std::move(title),
                      .x_label = "epoch",
                      .y_label = std::move(y_label),
                      .quantity = quantity,
                      .series = per_worker(run, number)});
    return charts.back();
  };
  const auto add_mean = [&](LineChart& chart, Number WorkerEpoch::*number) {
    chart.series.push_back(strong("workers' mean", "mean", mean_points(run, number)));
  };
  add_mean(add("Training loss", "cross-entropy, nats", Quantity::plain, &WorkerEpoch::train_loss),
           &WorkerEpoch::train_loss);
  add_mean(add("Training accuracy", "share of pictures", Quantity::percent, &WorkerEpoch::train_accuracy),
           &WorkerEpoch::train_accuracy);
  LineChart& test = add("Test accuracy", "share of pictures", Quantity::percent, &WorkerEpoch::test_accuracy);
  add_mean(test, &WorkerEpoch::test_accuracy);
  test.series.push_back(strong("averaged model", "average", points_of(run.means, &MeanEpoch::test_accuracy)));
  LineChart& distance = add("Consensus", "distance of a worker to the mean of all models", Quantity::plain,
                            &WorkerEpoch::distance_to_mean);
  distance.may_be_logarithmic = true;
  distance.series.push_back(
      strong("all (RMS)", "mean", points_of(run.means, &MeanEpoch::consensus_distance)));
  return charts;
}

std::vector<LineChart> comparison_charts(const std::vector<Run>& runs) {
  const Unit unit = common_unit(runs);
  const auto accuracy = [](const Run& run) { return points_of(run.means, &MeanEpoch::test_accuracy); };
  return {
      {.title = "Averaged model",
       .x_label = "epoch",
       .y_label = "test accuracy",
       .quantity = Quantity::percent,
       .series = per_run(runs, accuracy)},
      {.title = "Averaged model by traffic",
       .x_label = fmt::format("{} exchanged by all workers", unit.name),
       .y_label = "test accuracy",
       .quantity = Quantity::percent,
       .whole_x = false,
       .series = per_run(runs, [&](const Run& run) { return by_bytes(run, unit); })},
      {.title = "Training loss",
       .x_label = "epoch",
       .y_label = "cross-entropy, nats, mean of the workers",
       .series = per_run(runs, [](const Run& run) { return mean_points(run, &WorkerEpoch::train_loss); })},
      {.title = "Consensus distance",
       .x_label = "epoch",
       .y_label = "root mean square over workers",
       .may_be_logarithmic = true,
       .series = per_run(
           runs, [](const Run& run) { return points_of(run.means, &MeanEpoch::consensus_distance); })}};
}

}  // namespace alder::report
