// The Verbs of one host of the fabric.
#pragma once

#include <memory>

#include "rdma/fabric/fabric.hpp"

namespace alder::rdma::fabric {

std::unique_ptr<Verbs> make_host_verbs(State& state, Host host);

}  // namespace alder::rdma::fabric
