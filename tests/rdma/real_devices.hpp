// The RDMA devices of this machine, for tests on real verbs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rdma/path.hpp"
#include "rdma/tuning.hpp"
#include "rdma/verbs.hpp"
#include "tests/rdma/joint_exchange.hpp"

namespace alder::rdma {

struct RealDevices {
  std::unique_ptr<Verbs> verbs;
  std::vector<Path> paths;  // of every active port, in the library's order
  std::string why_none;     // if there are none
};
// Looked up once.
const RealDevices& real_devices();

// `workers` ways to the network with `rails` ports each, dealt round over the devices.
std::vector<Access> real_access(int workers, std::size_t rails);

// Patient enough for an emulated machine whose cores are shared by all workers.
Tuning patient();

}  // namespace alder::rdma
