// Who led when: which ranks the workers followed, by epoch.
#pragma once

#include <map>
#include <string>

#include "report/run.hpp"

namespace alder::report {

class Markup;

// A <figure> about `counts` = &WorkerEpoch::leader_best or leader_degree; nothing when none was recorded.
//  - Up to eight workers: a row for each follower; a cell is divided by the shares of the ranks that
//    it followed, each rank in its own colour.
//  - More: colours would run out, so a row is a leader and a cell's shade the share of all workers'
//    choices that fell on it.
void draw_leaders(const Run& run, std::map<Rank, int64_t> WorkerEpoch::*counts, const std::string& title,
                  Markup& page);

}  // namespace alder::report
