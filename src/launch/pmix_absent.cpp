// In place of pmix_rendezvous.cpp where the PMIx library was not found.
#include "base/error.hpp"
#include "launch/pmix_rendezvous.hpp"

namespace alder {

std::unique_ptr<PmixRendezvous> make_pmix_rendezvous(const Environment&, std::string_view option) {
  usage_error(
      "{} runs one worker per process, wired up by PMIx, and this build of alder has no PMIx: install "
      "libpmix-dev and build again, or use --exchange local",
      option);
}

}  // namespace alder
