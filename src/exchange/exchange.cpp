#include "exchange/exchange.hpp"

#include <fmt/format.h>

namespace alder {

std::string_view to_string(Arrival arrival) {
  switch (arrival) {
    case Arrival::arrived:
      return "arrived";
    case Arrival::late:
      return "late";
    case Arrival::failed:
      return "failed";
  }
  return "unknown";
}

std::string describe_wait(const Wait& wait) {
  std::string text = fmt::format("worker {} waited {:.1f} s for {} of generation {}:", wait.waiter,
                                 wait.seconds, wait.what, wait.generation.value());
  const char* separator = " ";
  for (std::size_t k = 0; k < wait.neighbours.size(); ++k) {
    if (wait.arrivals[k] == Arrival::arrived) continue;
    text += fmt::format("{}worker {} {}", separator, wait.neighbours[k],
                        wait.arrivals[k] == Arrival::late ? "is late" : "has failed");
    separator = ", ";
  }
  if (separator[0] == ' ') text += " all arrived";
  return text;
}

}  // namespace alder
