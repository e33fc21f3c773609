#include "rdma/nic.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/error.hpp"

namespace alder::rdma {
namespace {

constexpr std::size_t kRememberedEvents = 4;

CompletionQueue make_queue(const Context& context, const Path& path, uint32_t entries,
                           const CompletionChannel& channel) {
  ibv_device_attr_ex device{};
  if (const int error = context.verbs().query_device_ex(context.get(), &device)) {
    fail("ibv_query_device_ex of {}: {}", path.device, errno_text(error));
  }
  const auto most = static_cast<uint32_t>(std::max(device.orig_attr.max_cqe, 0));
  if (entries > most) {
    fail(
        "{} has completion queues of up to {} entries, and its edges need {}; lower send_depth, "
        "data_queue_pairs or spare_connections, or use more rails",
        path.device, most, entries);
  }
  return create_cq(context, static_cast<int>(entries), channel);
}

}  // namespace

Nic::Nic(Verbs& verbs, Path path, uint32_t entries)
    : verbs_(&verbs),
      path_(std::move(path)),
      context_(open_device(verbs, path_.device)),
      pd_(alloc_pd(context_)),
      channel_(create_channel(context_)),
      cq_(make_queue(context_, path_, entries, channel_)) {
  look_at_port();
  if (!port_active_) {
    fail("port {} is not active; see `ibv_devinfo`, the cable, and on InfiniBand the subnet manager",
         name_of(path_));
  }
}

uint32_t Nic::add(Lane& lane) {
  lanes_.push_back(&lane);
  return static_cast<uint32_t>(lanes_.size() - 1);
}

void Nic::remove(uint32_t index) {
  lanes_[index] = nullptr;
}

bool Nic::poll() {
  std::array<Completion, 16> batch;
  bool any = false;
  while (broken_.empty()) {
    const int count = verbs_->poll_cq(cq_.cq(), batch);
    if (count < 0) {
      broken_ =
          fmt::format("the completion queue of {} is broken: ibv_poll_cq gives {}", name_of(path_), count);
      return true;
    }
    completions_ += static_cast<uint64_t>(count);
    any = any || count > 0;
    for (int k = 0; k < count; ++k) {
      const Completion& completion = batch[static_cast<std::size_t>(k)];
      const uint32_t index = lane_of(completion.id);
      if (index < lanes_.size() && lanes_[index] != nullptr) lanes_[index]->handle(completion);
    }
    if (static_cast<std::size_t>(count) < batch.size()) break;
  }
  return any;
}

void Nic::look_at_port() {
  ibv_port_attr port{};
  const int error = verbs_->query_port(context_.get(), path_.port, &port);
  port_active_ = error == 0 && port.state == IBV_PORT_ACTIVE;
}

void Nic::poll_events(int64_t now_ns) {
  ibv_async_event event{};
  while (verbs_->get_async_event(context_.get(), &event) == 0) {
    handle(event, now_ns);
    verbs_->ack_async_event(&event);
  }
  // A port that comes back may do so without an event that we get to see.
  if (!port_active_) look_at_port();
}

void Nic::handle(const ibv_async_event& event, int64_t now_ns) {
  if (events_.size() == kRememberedEvents) events_.erase(events_.begin());
  events_.push_back({event.event_type, now_ns});
  switch (event.event_type) {
    case IBV_EVENT_PORT_ERR:
    case IBV_EVENT_PORT_ACTIVE:
    case IBV_EVENT_LID_CHANGE:
      if (event.element.port_num == path_.port) look_at_port();
      break;
    case IBV_EVENT_GID_CHANGE: {
      ibv_gid_entry entry{};
      const int error = verbs_->query_gid_ex(context_.get(), path_.port, path_.gid_index, &entry);
      if (error != 0 || std::memcmp(entry.gid.raw, path_.gid.raw, sizeof entry.gid.raw) != 0) {
        changed_gid_ = fmt::format("GID {} of {} was {} and is {} now", path_.gid_index, name_of(path_),
                                   to_string(path_.gid), error != 0 ? "none" : to_string(entry.gid));
      }
      break;
    }
    case IBV_EVENT_DEVICE_FATAL:
      broken_ = fmt::format("device {} has failed (device fatal event)", path_.device);
      break;
    case IBV_EVENT_CQ_ERR:
      broken_ = fmt::format("the completion queue of {} overran (CQ error event): a bug in its size",
                            name_of(path_));
      break;
    default:
      // What befalls one queue pair also comes as a completion with an error.
      break;
  }
}

std::string Nic::recent_events(int64_t now_ns) const {
  std::string text;
  for (const Event& event : events_) {
    text += fmt::format("{}{} {:.1f} s ago", text.empty() ? "" : ", ", ibv_event_type_str(event.type),
                        static_cast<double>(now_ns - event.when_ns) * 1e-9);
  }
  if (!changed_gid_.empty()) text += fmt::format("{}{}", text.empty() ? "" : "; ", changed_gid_);
  return text;
}

bool Nic::arm() {
  // Events that were asked for and came: take them, or the descriptor stays readable.
  ibv_cq* cq = nullptr;
  unsigned taken = 0;
  while (verbs_->get_cq_event(channel_.get(), &cq) == 0) ++taken;
  if (taken > 0) verbs_->ack_cq_events(cq_.get(), taken);
  return verbs_->req_notify_cq(cq_.get()) == 0;
}

}  // namespace alder::rdma
