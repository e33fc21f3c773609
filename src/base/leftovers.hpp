// Names of what outlives a killed process, so that it can be found again: shared memory in /dev/shm, and
// socket files in /tmp.
//
// The form is alder-PID-START-PURPOSE. PID and START (clock ticks between boot and the start of the process,
// /proc/PID/stat) name the maker even after its process id has been given to another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/sysfs.hpp"

namespace alder {

inline constexpr std::string_view kSharedPrefix = "alder-";

// A name for a thing that this process makes: shared_name("slots") -> "alder-4711-882134-slots". Throws Error
// where /proc does not tell when the process started.
std::string shared_name(std::string_view purpose);

struct Leftover {
  std::string path;
  int64_t bytes = 0;
  uint32_t owner = 0;  // user id
  bool is_socket = false;
  bool leaked = false;  // its maker is gone; otherwise in use, or its name does not tell
  std::string why;      // "process 4711 is gone"
};

// Everything under our prefix in /dev/shm and /tmp, by path. A process in another container cannot be seen:
// what it made in a /dev/shm shared with this one looks leaked.
std::vector<Leftover> find_leftovers(const Sysfs& files);

}  // namespace alder
