#include "rdma/verbs_exchange.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.hpp"
#include "rdma/verbs_link.hpp"

namespace alder::rdma {
namespace {

// Buckets of rail `index`: b with b % rails == index.
std::vector<uint32_t> buckets_of_rail(const SlotLayout& layout, uint32_t index, uint32_t rails) {
  std::vector<uint32_t> buckets;
  for (uint32_t b = index; b < layout.buckets(); b += rails) buckets.push_back(b);
  return buckets;
}

// More than the orders and events that can be outstanding: a few generations of everything on every edge.
std::size_t ring_capacity(std::size_t edges, std::size_t buckets) {
  return std::max<std::size_t>(1024, 6 * std::max<std::size_t>(edges, 1) * (buckets + 4));
}

void check_plan(const ExchangePlan& plan) {
  check(plan.tuning);
  if (plan.rank < 0 || plan.rank >= plan.workers) {
    usage_error("worker {} of {} asks for a verbs exchange", plan.rank, plan.workers);
  }
  Rank previous = -1;
  for (const EdgePlan& edge : plan.edges) {
    if (edge.neighbour <= previous || edge.neighbour >= plan.workers || edge.neighbour == plan.rank) {
      usage_error(
          "the edges of worker {} of {} name worker {} after worker {}; they must be sorted, without itself",
          plan.rank, plan.workers, edge.neighbour, previous);
    }
    previous = edge.neighbour;
  }
  if (plan.paths.size() > kMaxRails) {
    usage_error("worker {} uses {} ports; up to {} are possible", plan.rank, plan.paths.size(), kMaxRails);
  }
  if (plan.buckets.size() < plan.paths.size()) {
    usage_error("worker {} uses {} ports for {} buckets; there must be a bucket for each", plan.rank,
                plan.paths.size(), plan.buckets.size());
  }
}

}  // namespace

VerbsExchange::VerbsExchange(Verbs& verbs, Rendezvous& rendezvous, ExchangePlan plan,
                             const ExchangeSeams& seams)
    : verbs_(verbs),
      rendezvous_(rendezvous),
      plan_(std::move(plan)),
      layout_(plan_.buckets, plan_.tuning.wire_type),
      link_maker_(seams.links),
      own_registrar_(seams.registrar != nullptr ? nullptr : make_host_registrar()),
      registrar_(seams.registrar != nullptr ? seams.registrar : own_registrar_.get()),
      time_(seams.time != nullptr ? seams.time : &own_time_),
      made_ns_(time_->now_ns()),
      sources_(*registrar_, plan_.tuning.wire_type) {
  check_plan(plan_);
  make_slots();
  make_rails();
  make_edges();
  for (std::size_t e = 0; e < plan_.edges.size(); ++e) {
    if (links_[0][e] != nullptr) rendezvous_.put(key(plan_.edges[e].neighbour), serialize(descriptor(e)));
  }
  endpoint_ = std::make_unique<VerbsEndpoint>(VerbsEndpoint::Parts{.plan = &plan_,
                                                                   .layout = &layout_,
                                                                   .slots = slot_addresses_,
                                                                   .rails_of_edge = rails_of_edge_,
                                                                   .rails = rail_pointers_,
                                                                   .sources = &sources_,
                                                                   .bell = &bell_,
                                                                   .time = time_,
                                                                   .rendezvous = &rendezvous_});
}

bool VerbsExchange::by_verbs(const EdgePlan& edge) const {
  return link_maker_ == nullptr || !link_maker_->serves(edge);
}

// One arena for all edges that verbs serve and that bring something.
void VerbsExchange::make_slots() {
  slots_.resize(plan_.edges.size());
  slot_addresses_.resize(plan_.edges.size());
  uint64_t bytes = 0;
  for (const EdgePlan& edge : plan_.edges)
    bytes += by_verbs(edge) && edge.receives ? layout_.edge_bytes() : 0;
  if (bytes == 0) return;
  arena_ = registrar_->allocate_slots(bytes);
  auto* next = static_cast<std::byte*>(arena_->address);
  for (std::size_t e = 0; e < plan_.edges.size(); ++e) {
    if (!by_verbs(plan_.edges[e]) || !plan_.edges[e].receives) continue;
    slots_[e] = {
        .address = next, .bytes = layout_.edge_bytes(), .kind = arena_->kind, .device = arena_->device};
    slot_addresses_[e] = next;
    next += layout_.edge_bytes();
  }
}

void VerbsExchange::make_rails() {
  const auto verbs_edges = static_cast<uint32_t>(
      std::ranges::count_if(plan_.edges, [this](const EdgePlan& edge) { return by_verbs(edge); }));
  if (verbs_edges > 0 && plan_.paths.empty()) {
    fail("worker {} has {} neighbours to reach by verbs, and no port to do it with", plan_.rank, verbs_edges);
  }
  const auto rails = static_cast<uint32_t>(std::max<std::size_t>(plan_.paths.size(), 1));
  const std::size_t capacity = ring_capacity(plan_.edges.size(), layout_.buckets());
  chunk_bytes_ = plan_.tuning.chunk_bytes > 0 ? plan_.tuning.chunk_bytes : UINT32_MAX;
  for (uint32_t r = 0; r < rails; ++r) {
    std::unique_ptr<Nic> nic;
    std::unique_ptr<Flusher> flusher;
    if (verbs_edges > 0) {
      const Path& path = plan_.paths[r];
      const auto buckets = static_cast<uint32_t>(buckets_of_rail(layout_, r, rails).size());
      // Besides the connections in use and to spare, one an edge that is draining.
      const uint32_t connections = verbs_edges * (plan_.tuning.spare_connections + 2);
      const bool flushes = path.flush == FlushPolicy::rdma_read && arena_ != nullptr;
      nic = std::make_unique<Nic>(verbs_, path,
                                  connections * completions_of_connection(plan_.tuning, buckets) +
                                      (flushes ? Flusher::completions() : 0));
      if (flushes) flusher = std::make_unique<Flusher>(*nic, *registrar_, *arena_, plan_.tuning);
      if (path.max_message_bytes > 0) chunk_bytes_ = std::min(chunk_bytes_, path.max_message_bytes);
    }
    Rail& rail = rails_.emplace_back(r, std::move(nic), capacity, bell_);
    rail.set_flusher(std::move(flusher));
    if (r == 0 && link_maker_ != nullptr) rail.set_wake_fd(link_maker_->wake_fd());
    rail_pointers_.push_back(&rail);
  }
}

void VerbsExchange::make_edges() {
  const auto rails = static_cast<uint32_t>(rails_.size());
  links_.resize(rails);
  for (std::size_t e = 0; e < plan_.edges.size(); ++e) {
    rails_of_edge_.push_back(by_verbs(plan_.edges[e]) ? rails : 1);
    for (uint32_t r = 0; r < rails; ++r) make_edge(r, e);
  }
}

void VerbsExchange::make_edge(uint32_t r, std::size_t e) {
  const EdgePlan& plan = plan_.edges[e];
  Rail& rail = rails_[r];
  links_[r].push_back(nullptr);
  if (r >= rails_of_edge_[e]) {
    rail.add_no_edge();
    return;
  }
  Edge& edge = rail.add_edge({.edge = static_cast<uint32_t>(e),
                              .self = plan_.rank,
                              .neighbour = plan.neighbour,
                              .neighbour_host = rendezvous_.host(plan.neighbour),
                              .sends = plan.sends,
                              .receives = plan.receives,
                              .first_generation = plan_.first_generation,
                              .buckets = buckets_of_rail(layout_, r, rails_of_edge_[e])});
  if (!by_verbs(plan)) {
    LinkMaker::Made made = link_maker_->make(plan, layout_, plan_.tuning, edge);
    slot_addresses_[e] = made.slots;
    edge.set_link(std::move(made.link));
    return;
  }
  auto link = std::make_unique<VerbsLink>(*rail.nic(), *registrar_, rail.flusher(),
                                          LinkPlan{.self = plan_.rank,
                                                   .neighbour = plan.neighbour,
                                                   .self_host = rendezvous_.host(plan_.rank),
                                                   .neighbour_host = rendezvous_.host(plan.neighbour),
                                                   .layout = &layout_,
                                                   .tuning = &plan_.tuning,
                                                   .chunk_bytes = chunk_bytes_,
                                                   .rail = r,
                                                   .rails = rails_of_edge_[e],
                                                   .slots = slots_[e],
                                                   .sources = &rail.sources()},
                                          edge);
  links_[r].back() = link.get();
  edge.set_link(std::move(link));
}

std::string VerbsExchange::key(Rank to) const {
  return fmt::format("verbs.{}", to);
}

Descriptor VerbsExchange::descriptor(std::size_t edge) const {
  Descriptor one{.from = plan_.rank,
                 .to = plan_.edges[edge].neighbour,
                 .host = rendezvous_.host(plan_.rank),
                 .table_hash = layout_.hash(),
                 .graph_hash = plan_.graph_hash,
                 .configuration_hash = plan_.configuration_hash,
                 .first_generation = plan_.first_generation.value(),
                 .slot_bytes = layout_.slot_bytes(),
                 .wire_type = layout_.type(),
                 .buckets = layout_.buckets(),
                 .chunk_bytes = chunk_bytes_,
                 .data_queue_pairs = plan_.tuning.data_queue_pairs,
                 .notify = plan_.tuning.notify,
                 .rails = {}};
  for (std::size_t r = 0; r < links_.size(); ++r) {
    const Path& path = plan_.paths[r];
    one.rails.push_back({.device = path.device,
                         .port = path.port,
                         .link_layer = path.link_layer,
                         .mtu = path.mtu,
                         .lid = path.lid,
                         .gid = path.gid,
                         .connections = links_[r][edge]->addresses()});
  }
  return one;
}

void VerbsExchange::connect() {
  for (std::size_t e = 0; e < plan_.edges.size(); ++e) {
    const EdgePlan& edge = plan_.edges[e];
    if (links_[0][e] == nullptr) {
      link_maker_->connect(edge, rails_[0].edge(e).link());
      continue;
    }
    const std::vector<std::byte> bytes = rendezvous_.get(edge.neighbour, key(plan_.rank), patience());
    Descriptor theirs;
    try {
      theirs = parse_descriptor(bytes);
    } catch (const Error& error) {
      fail("edge {}-{}: the descriptor of worker {} on {} is of no use to worker {} on {}: {}", plan_.rank,
           edge.neighbour, edge.neighbour, rendezvous_.host(edge.neighbour), plan_.rank,
           rendezvous_.host(plan_.rank), error.what());
    }
    const Descriptor ours = descriptor(e);
    check_agreement(ours, theirs);
    std::ranges::move(mtu_warnings(ours, theirs), std::back_inserter(remarks_));
    for (std::size_t r = 0; r < links_.size(); ++r) {
      try {
        links_[r][e]->connect(theirs.rails[r], theirs.chunk_bytes);
      } catch (const Error& error) {
        fail("edge {}-{}, {} on {} to {}:{} on {}: {}", plan_.rank, edge.neighbour, name_of(plan_.paths[r]),
             rendezvous_.host(plan_.rank), theirs.rails[r].device, theirs.rails[r].port, theirs.host,
             error.what());
      }
    }
  }
}

void VerbsExchange::start() {
  const int64_t now = time_->now_ns();
  for (const auto& of_rail : links_) {
    for (VerbsLink* link : of_rail) {
      if (link != nullptr) link->start(now);
    }
  }
  if (!time_->threads()) return;
  for (std::size_t r = 0; r < rails_.size(); ++r) {
    const std::vector<int> cpus = r < plan_.paths.size() ? plan_.paths[r].cpus : std::vector<int>{};
    threads_.push_back(std::make_unique<ProgressThread>(rails_[r], *time_, plan_.tuning, cpus));
  }
}

void VerbsExchange::await_edges() {
  // A little longer than the links themselves wait, so that they get to say what is wrong.
  const auto until =
      Deadline(std::chrono::nanoseconds(time_->now_ns()) + patience() + std::chrono::seconds(2));
  if (endpoint_->await_edges_up(until)) return;
  for (const EdgeNotice& notice : take_notices()) {
    if (notice.lost) fail("{}", notice.text);
  }
  fail("worker {} on {}: its edges did not stand within {} ms", plan_.rank, rendezvous_.host(plan_.rank),
       patience().count());
}

VerbsExchange::~VerbsExchange() {
  // Nobody to hear an exception here, and the teardown goes on whatever a neighbour does.
  try {
    const bool started = !threads_.empty() || !time_->threads();
    const auto until = Deadline(std::chrono::nanoseconds(time_->now_ns()) + plan_.tuning.close_deadline);
    if (endpoint_ != nullptr && started) endpoint_->close(until);
  } catch (const std::exception&) {
  }
}

VerbsEndpoint& VerbsExchange::endpoint(Rank local_rank) {
  if (local_rank != plan_.rank) fail("worker {} does not live here; worker {} does", local_rank, plan_.rank);
  return *endpoint_;
}

void VerbsExchange::attach(Rank local_rank, std::span<const Region> sources) {
  endpoint(local_rank);
  sources_.attach(sources, rail_pointers_);
  if (link_maker_ != nullptr) link_maker_->attach(sources);
}

void VerbsExchange::mark_failed(Rank local_rank) {
  endpoint(local_rank).worker_failed();
}

std::vector<EdgeNotice> VerbsExchange::take_notices() {
  std::vector<EdgeNotice> notices;
  for (Rail& rail : rails_) {
    for (Rail::Notice& notice : rail.take_notices()) {
      if (notice.over && notice.orderly) continue;
      notices.push_back({.worker = plan_.rank,
                         .neighbour = plan_.edges[notice.edge].neighbour,
                         .lost = notice.over,
                         .generation = endpoint_->last_opened(),
                         .seconds = seconds_between(made_ns_, time_->now_ns()),
                         .text = std::move(notice.text)});
    }
  }
  return notices;
}

std::string VerbsExchange::description() const {
  std::string ports;
  for (const Path& path : plan_.paths) {
    ports += fmt::format("{}{} ({}, {} bytes MTU, GID {})", ports.empty() ? "" : ", ", name_of(path),
                         link_layer_name(path.link_layer), mtu_bytes(path.mtu), to_string(path.gid));
  }
  return fmt::format(
      "verbs: worker {} of {} on {}, {} edges over {}; {} on the wire, {} data queue pairs an edge, "
      "{} connections to spare",
      plan_.rank, plan_.workers, rendezvous_.host(plan_.rank), plan_.edges.size(),
      ports.empty() ? "no port" : ports, to_string(layout_.type()), plan_.tuning.data_queue_pairs,
      plan_.tuning.spare_connections);
}

WireFacts VerbsExchange::wire() const {
  WireFacts facts{.ports = {}, .element_bytes = static_cast<int>(layout_.element_bytes())};
  for (const Path& path : plan_.paths) facts.ports.push_back(name_of(path));
  return facts;
}

std::vector<EdgeState> VerbsExchange::edge_states() {
  std::vector<EdgeState> states;
  for (std::size_t r = 0; r < rails_.size(); ++r) {
    // Without threads whoever calls is the one that turns the rails.
    const auto of_rail = time_->threads() ? rails_[r].ask_state() : rails_[r].state(time_->now_ns());
    if (of_rail) {
      states.insert(states.end(), of_rail->begin(), of_rail->end());
      continue;
    }
    for (const EdgePlan& edge : plan_.edges) {
      states.push_back(
          {plan_.rank, edge.neighbour,
           fmt::format("edge {}-{}: the progress thread of rail {} does not answer: it hangs or gets no "
                       "CPU",
                       plan_.rank, edge.neighbour, r)});
    }
  }
  return states;
}

bool VerbsExchange::step() {
  bool busy = false;
  for (Rail& rail : rails_) busy = rail.step(time_->now_ns()) || busy;
  return busy;
}

std::unique_ptr<Exchange> make_verbs_exchange(Verbs& verbs, Rendezvous& rendezvous, const ExchangePlan& plan,
                                              const ExchangeSeams& seams) {
  auto exchange = std::make_unique<VerbsExchange>(verbs, rendezvous, plan, seams);
  rendezvous.fence(plan.tuning.connect_deadline);
  exchange->connect();
  // Nobody speaks before everybody can hear.
  rendezvous.fence(plan.tuning.connect_deadline);
  exchange->start();
  exchange->await_edges();
  return exchange;
}

uint64_t registered_bytes(const ExchangePlan& plan, uint64_t attached_bytes) {
  const SlotLayout layout(plan.buckets, plan.tuning.wire_type);
  uint64_t edges = 0;
  for (const EdgePlan& edge : plan.edges) edges += edge.receives ? layout.edge_bytes() : 0;
  const uint64_t records =
      plan.edges.size() * (plan.tuning.spare_connections + 1) * sizeof(ConnectionRecords);
  const uint64_t sources = plan.tuning.wire_type == WireType::bf16 ? attached_bytes / 2 : attached_bytes;
  return std::max<std::size_t>(plan.paths.size(), 1) * (edges + records + sources);
}

}  // namespace alder::rdma
