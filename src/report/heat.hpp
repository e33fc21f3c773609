// Pictures whose colour carries a number: who led when, and bytes from worker to worker.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "report/run.hpp"

namespace alder::report {

class Markup;

// Step 0 .. 8 of the sequential colours for a value in low .. high (the middle when all are alike).
int heat_step(double value, double low, double high);

// Colours for ranks: all different up to 8 workers; beyond, the seven most followed ranks have one
// each and the others share grey.
struct RankColours {
  std::vector<std::string> of_rank;  // CSS class by rank
  std::vector<Rank> named;           // the ranks with a colour of their own, in order of rank
};
RankColours colours_by_count(int workers, const std::map<Rank, int64_t>& followed);

// A strip: a row for each follower, a column for each epoch (or several, when there are many), each
// cell divided by the shares of the ranks that were followed.
// `counts` is &WorkerEpoch::leader_best or leader_degree. Draws nothing when no counts were recorded.
void draw_leader_strip(const Run& run, std::map<Rank, int64_t> WorkerEpoch::*counts, const std::string& title,
                       const RankColours& colours, Markup& page);

// Payload bytes of the whole run from each worker (row) to each other (column).
void draw_byte_matrix(const Run& run, Markup& page);

}  // namespace alder::report
