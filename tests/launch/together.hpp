// Ranks of a job as threads of this process, each with its place at one meeting.
#pragma once

#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "launch/local_rendezvous.hpp"

namespace alder {

// Runs part(rendezvous) for every rank at once; what each threw, as text ("" for nothing).
inline std::vector<std::string> together(int ranks, const std::function<void(Rendezvous&)>& part,
                                         std::vector<std::string> hosts = {}) {
  LocalMeeting meeting(ranks, std::move(hosts));
  std::vector<std::string> errors(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const auto place = meeting.join(rank);
        part(*place);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

}  // namespace alder
