// alder doctor in a build that cannot look at RDMA devices.
#include "base/error.hpp"
#include "commands.hpp"
#include "config_file.hpp"

namespace alder::tools {

void add_doctor(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("doctor", "Whether this machine is set up right for training over RDMA");
  add_config_option(*command);
  command->callback([] {
    fail(
        "this alder was built without libibverbs or hwloc; install libibverbs-dev and libhwloc-dev and build "
        "again");
  });
}

}  // namespace alder::tools
