// What every endpoint checks of its caller, whatever the transport.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "exchange/exchange.hpp"

namespace alder {

// An error of the program, not of a run: the message names who did what.
template <typename... Args>
[[noreturn]] void misuse(fmt::format_string<Args...> format, Args&&... args) {
  throw std::logic_error(fmt::format(format, std::forward<Args>(args)...));
}

// Both lists strictly increasing, within 0 .. workers-1, without `self`; else std::logic_error.
void check_live_edges(Rank self, int workers, const LiveEdges& live);

}  // namespace alder
