#include "report/byte_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/format.hpp"
#include "report/rank_matrix.hpp"

namespace alder::report {

void draw_byte_matrix(const Run& run, Markup& page) {
  std::vector<std::map<Rank, double>> sent(static_cast<std::size_t>(run.workers));
  double largest = 0;
  for (const auto& worker : run.history) {
    for (const WorkerEpoch& epoch : worker) {
      for (const auto& [to, size] : epoch.bytes_sent) {
        double& sum = sent[static_cast<std::size_t>(epoch.worker)][to];
        sum += static_cast<double>(size);
        largest = std::max(largest, sum);
      }
    }
  }
  const Unit unit = byte_unit(largest);
  draw_rank_matrix({.title = "Bytes per edge",
                    .unit = fmt::format("{} sent in the whole run", unit.name),
                    .sides = "to worker (columns), from worker (rows)",
                    .description = "Bytes sent from each worker (row) to each other (column)",
                    .nothing = "No bytes were sent to a neighbour.",
                    .rows = std::move(sent),
                    .title_of =
                        [](Rank from, Rank to, double size) {
                          return fmt::format("Worker {} to worker {}: {}", from, to, bytes(size));
                        },
                    .short_text = [unit](double size) { return fmt::format("{:.3g}", size / unit.size); }},
                   page);
}

}  // namespace alder::report
