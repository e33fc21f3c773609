#include "rdma/failure.hpp"

#include <fmt/format.h>

namespace alder::rdma {

std::string to_string(const LinkEnd& end) {
  std::string numbers;
  for (const uint32_t number : end.queue_pairs) numbers += fmt::format(" {:#x}", number);
  return fmt::format("worker {} ({} {}, LID {}, GID {}, queue pairs{})", end.rank, end.host, end.port,
                     end.lid, end.gid, numbers.empty() ? " none" : numbers);
}

std::string describe(const FailureReport& report) {
  std::string text =
      fmt::format("edge {}-{}: {}. {} to {}, connection {}", report.self.rank, report.neighbour.rank,
                  report.cause, to_string(report.self), to_string(report.neighbour), report.epoch);
  if (report.breaks > 0) text += fmt::format(" after {} that broke", report.breaks);
  text += fmt::format(". Buckets posted {}, sent {}, received {}", report.buckets_posted, report.buckets_sent,
                      report.buckets_received);
  if (report.anything_sent) {
    text += fmt::format("; last posted: generation {}, bucket {}", report.last_generation_sent,
                        report.last_bucket_sent);
  }
  if (report.anything_received) {
    text += fmt::format("; last received: generation {} (mod 65536), bucket {}", report.last_tag_received,
                        report.last_bucket_received);
  }
  if (report.flushed > 0) text += fmt::format("; {} requests flushed", report.flushed);
  text += fmt::format(". Last sign of life {:.1f} s ago", report.seconds_silent);
  if (!report.events.empty()) text += fmt::format("; device events: {}", report.events);
  if (!report.likely.empty()) text += fmt::format(". Likely, most likely first: {}", report.likely);
  return text;
}

std::string status_text(ibv_wc_status status, uint32_t vendor_error) {
  return fmt::format("ended with '{}' ({}), vendor error {:#x}", ibv_wc_status_str(status),
                     static_cast<int>(status), vendor_error);
}

std::string likely_causes(ibv_wc_status status, uint8_t link_layer) {
  switch (status) {
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
      return link_layer == IBV_LINK_LAYER_ETHERNET ? "the neighbour's process has ended; its port or cable "
                                                     "is down; a firewall drops UDP port 4791; "
                                                     "packets are lost for want of flow control (PFC, ECN)"
                                                   : "the neighbour's process has ended; its port or cable "
                                                     "is down; the subnet manager has lost the "
                                                     "route";
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return "receives were not posted in time, which is a bug of this program";
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
      return "a registration of memory is gone or too short; the PCIe path refuses the access (ACS, IOMMU)";
    case IBV_WC_LOC_QP_OP_ERR:
      return "the port of this end went down (Soft-RoCE tells it so); the queue pair ran into an error "
             "before";
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_REM_INV_REQ_ERR:
      return "a message longer than a port allows; MTUs that differ along the way; an ACK timeout too short "
             "for a "
             "busy Soft-RoCE";
    case IBV_WC_REM_ACCESS_ERR:
      return "the neighbour has withdrawn its slots because it dropped this edge; the ends run different "
             "programs";
    case IBV_WC_REM_OP_ERR:
    case IBV_WC_REM_ABORT_ERR:
      return "the neighbour's device could not write its memory";
    case IBV_WC_WR_FLUSH_ERR:
      return "the queue pair was stopped by an event of the device or by the neighbour's error";
    default:
      return "the device's own logs (dmesg)";
  }
}

}  // namespace alder::rdma
