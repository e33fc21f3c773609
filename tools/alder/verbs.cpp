#include "verbs.hpp"

#include <cmath>

#include "base/error.hpp"
#include "rdma/run/run_exchange.hpp"

namespace alder::tools {
namespace {

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

}  // namespace

struct VerbsOptions::Words {
  rdma::RunExchangeOptions run;
  std::string wire = "fp32", notify = "with-data", same_node = "auto", flush = "auto";
  double bucket_mib = 8;
  uint32_t chunk_kib = 0;
  double heartbeat_seconds = 0.1, grace_seconds = 2.8, close_seconds = 5;
  bool strict_ordering = false;
};

VerbsOptions::VerbsOptions() : words_(std::make_unique<Words>()) {}
VerbsOptions::~VerbsOptions() = default;

void VerbsOptions::add_to(CLI::App& command) {
  Words& words = *words_;
  rdma::PathWish& paths = words.run.paths;
  rdma::Tuning& tuning = words.run.tuning;
  const char* group = "Exchange over InfiniBand or RoCE (--exchange verbs)";
  const auto add = [&](const char* name, auto& value, const char* what) {
    return command.add_option(name, value, what)->group(group);
  };
  add("--rdma-devices", paths.devices,
      "Devices to use: mlx5_0, mlx5_0:1, mlx5_*; exact names unless there is a *; none: all that can be used")
      ->delimiter(',');
  add("--rails", paths.rails, "Ports for each worker");
  add("--gid-index", paths.gid.index, "GID index on every port; -1: by the rules (alder doctor shows them)");
  add("--gid", paths.gid.address, "GID by address or prefix, such as 10.1.0.0/16");
  add("--service-level", paths.service_level, "Service level, 0 to 15");
  add("--traffic-class", paths.traffic_class, "Traffic class, 0 to 255; on RoCE four times the DSCP");
  add("--pkey", paths.pkey, "Partition key; -1: the first");
  add("--same-node", words.same_node, "Neighbours on the same node: auto (shared memory), verbs, shm");
  add("--wire", words.wire, "How parameters travel: fp32 or bf16");
  add("--bucket-mib", words.bucket_mib, "Part of a model that is exchanged at a time, MiB");
  add("--queue-pairs", tuning.data_queue_pairs, "Data queue pairs of an edge on each port");
  add("--chunk-kib", words.chunk_kib, "Longest write, KiB; 0: as long as the ports allow");
  add("--notify", words.notify, "with-data, or after-data for fabrics with adaptive routing");
  add("--send-depth", tuning.send_depth, "Requests that a queue pair may have in flight");
  add("--ack-timeout", tuning.ack_timeout, "Until a request is repeated: 4.096 us times 2 to this, 1 to 31");
  add("--retry-count", tuning.retry_count, "Repetitions before a connection counts as broken, 0 to 7");
  add("--spare-connections", tuning.spare_connections, "Kept ready for every edge, to replace a broken one");
  add("--heartbeat", words.heartbeat_seconds, "Seconds after which an idle edge gives a sign of life");
  add("--grace", words.grace_seconds, "Seconds without a sign of life after which a neighbour is given up");
  add("--close-wait", words.close_seconds, "Seconds for neighbours to take what is left at the end");
  add("--spin", tuning.spin_polls, "Polls before the progress thread yields its core");
  command.add_flag("--pin", tuning.pin, "Keep the progress thread on the CPUs near its port")->group(group);
  add("--flush", words.flush, "How arrivals in GPU memory are made visible: auto, none, cuda, rdma-read");
  command.add_flag("--strict-ordering", words.strict_ordering, "No relaxed ordering of PCIe writes")
      ->group(group);
  command
      .add_flag("--allow-staging", words.run.allow_staging,
                "Copy through host memory where GPU memory cannot be registered")
      ->group(group);
}

void VerbsOptions::check(train::TrainOptions& options) const {
  Words& words = *words_;
  rdma::Tuning& tuning = words.run.tuning;
  const auto choose = [](const char* option, const std::string& word, const char* first, const char* second) {
    if (word == first) return false;
    if (word == second) return true;
    const std::vector<std::string> known{first, second};
    throw UsageError(unknown_name(std::string(option) + " value", word, known));
  };
  tuning.wire_type =
      choose("--wire", words.wire, "fp32", "bf16") ? rdma::WireType::bf16 : rdma::WireType::fp32;
  tuning.notify = choose("--notify", words.notify, "with-data", "after-data") ? rdma::Notify::after_data
                                                                              : rdma::Notify::with_data;
  words.run.same_node = rdma::parse_same_node(words.same_node);
  words.run.flush = rdma::parse_flush_wish(words.flush);
  words.run.relaxed_ordering = !words.strict_ordering;
  tuning.chunk_bytes = words.chunk_kib * 1024;
  tuning.heartbeat = milliseconds_of(words.heartbeat_seconds);
  tuning.grace = milliseconds_of(words.grace_seconds);
  tuning.close_deadline = milliseconds_of(words.close_seconds);
  tuning.connect_deadline = milliseconds_of(options.connect_seconds);
  rdma::check(tuning);
  rdma::check_wish(words.run.paths);
  if (!(words.bucket_mib > 0)) usage_error("--bucket-mib {}: more than 0", words.bucket_mib);
  options.bucket_bytes = static_cast<std::size_t>(words.bucket_mib * (1 << 20));
  options.least_buckets = static_cast<std::size_t>(std::max(1, words.run.paths.rails));
}

std::unique_ptr<Exchange> VerbsOptions::make(const train::ExchangeParts& parts) const {
  rdma::RunExchangePlan plan{.edges = {},
                             .buckets = parts.buckets,
                             .graph_hash = parts.graph_hash,
                             .configuration_hash = parts.configuration_hash,
                             .first_generation = parts.first_generation,
                             .cuda_device = parts.cuda_device};
  for (const train::Neighbour& neighbour : parts.neighbours) {
    plan.edges.push_back(
        {.neighbour = neighbour.rank, .sends = neighbour.hears_us, .receives = neighbour.is_heard});
  }
  return rdma::make_run_exchange(*parts.rendezvous, plan, words_->run);
}

}  // namespace alder::tools
