// A rendezvous for workers that share a process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/rendezvous.hpp"

namespace alder {

// The board that all ranks of a process meet at. Outlives what join() hands out.
//
// Threads: join, mark_ended and every Rendezvous may be used by threads of their own. A value can be read as
// soon as it was put, so that one thread can also serve all ranks in turn, without fences.
class LocalMeeting {
 public:
  // `hosts`: one name a rank, or empty: all on "localhost".
  explicit LocalMeeting(int size, std::vector<std::string> hosts = {});
  ~LocalMeeting();
  std::unique_ptr<Rendezvous> join(Rank rank);
  // As if the launcher had seen this rank's process end.
  void mark_ended(Rank rank);

 private:
  struct Board;
  std::unique_ptr<Board> board_;
};

}  // namespace alder
