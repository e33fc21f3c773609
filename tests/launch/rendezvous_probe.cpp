// One process of a job, for pmix_rendezvous_test: rendezvous_probe TASK. Prints lines that the test looks
// for.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "launch/pmix_rendezvous.hpp"

namespace {

using namespace std::chrono_literals;
using alder::Rank;

std::filesystem::path folder;

void leave_file(const std::string& name) {
  std::ofstream(folder / name).put('x');
}
void await_file(const std::string& name) {
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!std::filesystem::exists(folder / name)) {
    if (std::chrono::steady_clock::now() > until) alder::fail("no file {} in 60 s", name);
    std::this_thread::sleep_for(5ms);
  }
}

std::vector<std::byte> value_of(Rank rank, int round) {
  const std::string text = fmt::format("rank {} round {}", rank, round) + std::string(2000, '\0');
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void exchange(alder::PmixRendezvous& meeting) {
  for (int round = 0; round < 2; ++round) {
    const std::string key = fmt::format("value.{}", round);
    meeting.put(key, value_of(meeting.rank(), round));
    meeting.fence(60s);
    for (Rank rank = 0; rank < meeting.size(); ++rank) {
      if (meeting.get(rank, key, 60s) != value_of(rank, round)) alder::fail("another value of rank {}", rank);
    }
  }
  fmt::print("rank {} of {}: {} ranks here, host {}, {}: exchanged\n", meeting.rank(), meeting.size(),
             meeting.local_ranks().size(), meeting.host(0), meeting.description());
}

// The last rank stays away until the others have complained.
void miss_a_fence(alder::PmixRendezvous& meeting) {
  const Rank last = meeting.size() - 1;
  if (meeting.rank() == last) {
    for (Rank rank = 0; rank < last; ++rank) await_file(fmt::format("complained-{}", rank));
    return;
  }
  try {
    meeting.fence(500ms);
  } catch (const alder::Error& error) {
    fmt::print("{}\n", error.what());
  }
  leave_file(fmt::format("complained-{}", meeting.rank()));
}

void ask_in_vain(alder::PmixRendezvous& meeting) {
  meeting.fence(60s);
  try {
    meeting.get(0, "nobody puts this", 300ms);
  } catch (const alder::Error& error) {
    fmt::print("{}\n", error.what());
  }
}

// Is rank 0 until a second process has tried to be.
void hold() {
  leave_file("held");
  await_file("tried");
}

// Everybody parts with the launcher, one dies, the others have things to do.
void die_after_leaving(alder::PmixRendezvous& meeting) {
  exchange(meeting);
  meeting.fence(60s);
  meeting.leave();
  std::fflush(stdout);
  if (meeting.rank() == meeting.size() - 1) ::kill(::getpid(), SIGKILL);
  ::sleep(2);  // in which the launcher would take the job down, if it did
  fmt::print("rank {} survives\n", meeting.rank());
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string task = argc > 1 ? argv[1] : "";
  folder = argc > 2 ? argv[2] : ".";
  const auto meeting = alder::make_pmix_rendezvous(alder::process_environment(), "rendezvous_probe");
  if (task == "exchange") exchange(*meeting);
  if (task == "miss-a-fence") miss_a_fence(*meeting);
  if (task == "ask-in-vain") ask_in_vain(*meeting);
  if (task == "die-after-leaving") die_after_leaving(*meeting);
  if (task == "hold") hold();
  std::fflush(stdout);
  return 0;
} catch (const std::exception& error) {
  fmt::print("error: {}\n", error.what());
  return 2;
}
