// In place of verbs.cpp where libibverbs or hwloc was not found.
#include "base/error.hpp"
#include "verbs.hpp"

namespace alder::tools {

struct VerbsOptions::Words {};

VerbsOptions::VerbsOptions() = default;
VerbsOptions::~VerbsOptions() = default;
void VerbsOptions::add_to(CLI::App&) {}
void VerbsOptions::check(train::TrainOptions&) const {}

std::unique_ptr<Exchange> VerbsOptions::make(const train::ExchangeParts&) const {
  usage_error(
      "--exchange verbs: this build of alder has no verbs exchange; install libibverbs-dev and libhwloc-dev "
      "and "
      "build again, or use --exchange local");
}

}  // namespace alder::tools
