#include "rdma/node/node_links.hpp"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.hpp"
#include "launch/bytes.hpp"

namespace alder::rdma {
namespace {

constexpr std::size_t kPage = 4096;

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

// More than can be on its way: two generations, their credits, a farewell.
uint32_t mailbox_capacity(const SlotLayout& layout) {
  return std::bit_ceil(2 * (layout.buckets() + 1) + 8);
}

// What a worker publishes of its end of an edge.
struct Card {
  std::string segment, wake;
  uint64_t bytes = 0;
  std::vector<std::byte> handle;  // of its slots, where they are not in the segment
};

Bytes pack(const Card& card) {
  ByteWriter out;
  out.text(card.segment);
  out.text(card.wake);
  out.number(card.bytes);
  out.number(static_cast<uint32_t>(card.handle.size()));
  out.raw(card.handle);
  return out.take();
}

Card unpack_card(std::span<const std::byte> bytes) {
  ByteReader in(bytes, "the card of a worker on this node");
  Card card;
  card.segment = in.text();
  card.wake = in.text();
  card.bytes = in.number<uint64_t>();
  const auto handle = in.raw(in.number<uint32_t>());
  card.handle.assign(handle.begin(), handle.end());
  in.finish();
  return card;
}

// An address in the abstract name space, which leaves no file behind.
std::pair<sockaddr_un, socklen_t> abstract_address(const std::string& name) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::size_t length = std::min(name.size(), sizeof(address.sun_path) - 1);
  name.copy(address.sun_path + 1, length);
  return {address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length)};
}

// Sends a byte; where that cannot be done at once, the other side has enough to wake up by.
std::function<void()> waker(int socket, const std::string& name) {
  return [socket, to = abstract_address(name)] {
    const char byte = 0;
    ::sendto(socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to.first),
             to.second);
  };
}

class HostNodeMemory final : public NodeMemory {
 public:
  std::byte* allocate_slots(std::size_t) override { return nullptr; }
  std::vector<std::byte> handle_of(const std::byte*) override { return {}; }
  std::unique_ptr<SlotWriter> open(std::span<const std::byte> handle, std::byte* in_segment) override {
    if (!handle.empty() || in_segment == nullptr)
      fail("the neighbour's slots are not in shared memory; start all workers on the same kind of device");
    return std::make_unique<HostSlotWriter>(in_segment);
  }
  std::string description() const override { return "shared memory"; }
};

}  // namespace

std::unique_ptr<NodeMemory> make_host_node_memory() {
  return std::make_unique<HostNodeMemory>();
}

NodeLinks::NodeLinks(Rendezvous& rendezvous, NodeMemory& memory, NodeAgreement agreement)
    : rendezvous_(rendezvous), memory_(memory), agreement_(agreement) {
  uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) fail("getrandom: no random bytes");
  wake_name_ = fmt::format("alder/{}/wake/{:016x}", ::getpid(), random);
  wake_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto [address, length] = abstract_address(wake_name_);
  if (wake_ < 0 || ::bind(wake_, reinterpret_cast<const sockaddr*>(&address), length) != 0)
    fail("a socket for waking on this node: {}", std::strerror(errno));
}

NodeLinks::~NodeLinks() {
  ::close(wake_);
}

std::string NodeLinks::key(Rank to) const {
  return fmt::format("node.{}", to);
}

bool NodeLinks::serves(const EdgePlan& edge) const {
  return rendezvous_.host(edge.neighbour) == rendezvous_.host(rendezvous_.rank());
}

LinkMaker::Made NodeLinks::make(const EdgePlan& edge, const SlotLayout& layout, const Tuning& tuning,
                                LinkEvents& events) {
  const uint32_t capacity = mailbox_capacity(layout);
  const std::size_t slots_offset = whole_pages(records_bytes(capacity));
  std::byte* slots = edge.receives ? memory_.allocate_slots(layout.edge_bytes()) : nullptr;
  const bool in_segment = edge.receives && slots == nullptr;
  const std::size_t slots_bytes = in_segment ? layout.edge_bytes() : 0;
  SharedSegment segment = SharedSegment::make(fmt::format("edge-{}-{}", rendezvous_.rank(), edge.neighbour),
                                              slots_offset + slots_bytes);
  if (in_segment) slots = segment.data() + slots_offset;
  fill_in(segment, edge, layout, slots_offset, slots_bytes);
  const Card card{
      .segment = segment.name(),
      .wake = wake_name_,
      .bytes = segment.bytes(),
      .handle = slots != nullptr && !in_segment ? memory_.handle_of(slots) : std::vector<std::byte>{}};
  rendezvous_.put(key(edge.neighbour), pack(card));
  auto link = std::make_unique<NodeLink>(NodeLinkPlan{.self = rendezvous_.rank(),
                                                      .neighbour = edge.neighbour,
                                                      .host = rendezvous_.host(rendezvous_.rank()),
                                                      .memory = memory_.description(),
                                                      .receives = edge.receives,
                                                      .capacity = capacity,
                                                      .layout = &layout,
                                                      .tuning = &tuning},
                                         std::move(segment), events);
  made_[edge.neighbour] = {link.get(), &layout, tuning.connect_deadline};
  return {.link = std::move(link), .slots = slots};
}

void NodeLinks::fill_in(const SharedSegment& segment, const EdgePlan& edge, const SlotLayout& layout,
                        uint64_t slots_offset, uint64_t slots_bytes) const {
  auto& records = *new (segment.data()) NodeRecords{};
  records.owner = rendezvous_.rank();
  records.neighbour = edge.neighbour;
  records.layout_hash = layout.hash();
  records.graph_hash = agreement_.graph_hash;
  records.configuration_hash = agreement_.configuration_hash;
  records.first_generation = agreement_.first_generation.value();
  records.slots_offset = slots_offset;
  records.slots_bytes = slots_bytes;
  records.capacity = mailbox_capacity(layout);
  records.version = NodeRecords::kVersion;
  records.magic = NodeRecords::kMagic;
}

void NodeLinks::check(const SharedSegment& segment, const EdgePlan& edge, const SlotLayout& layout) const {
  const auto& records = *reinterpret_cast<const NodeRecords*>(segment.data());
  const auto same = [&](const char* what, uint64_t theirs, uint64_t ours) {
    if (theirs == ours) return;
    fail(
        "edge {}-{} on {}: {} is {:#x} at worker {} and {:#x} at worker {}; start all with the same program "
        "and "
        "options",
        rendezvous_.rank(), edge.neighbour, rendezvous_.host(edge.neighbour), what, theirs, edge.neighbour,
        ours, rendezvous_.rank());
  };
  same("the mark of the shared memory", records.magic, NodeRecords::kMagic);
  same("the protocol version", records.version, NodeRecords::kVersion);
  same("the owner", static_cast<uint64_t>(records.owner), static_cast<uint64_t>(edge.neighbour));
  same("the neighbour", static_cast<uint64_t>(records.neighbour), static_cast<uint64_t>(rendezvous_.rank()));
  same("the bucket table", records.layout_hash, layout.hash());
  same("the graph", records.graph_hash, agreement_.graph_hash);
  same("the configuration", records.configuration_hash, agreement_.configuration_hash);
  same("the first generation", records.first_generation, agreement_.first_generation.value());
  same("the mailbox", records.capacity, mailbox_capacity(layout));
  const bool in_segment = records.slots_bytes > 0;
  same("the place of the slots", records.slots_offset, whole_pages(records_bytes(mailbox_capacity(layout))));
  same("the size of the slots", records.slots_bytes, in_segment ? layout.edge_bytes() : 0);
  same("the size of the shared memory", segment.bytes(), records.slots_offset + records.slots_bytes);
}

void NodeLinks::connect(const EdgePlan& edge, Link& link) {
  const Made_& made = made_.at(edge.neighbour);
  if (made.link != &link) throw std::logic_error("a link of another maker");
  const Card card = unpack_card(rendezvous_.get(edge.neighbour, key(rendezvous_.rank()), made.patience));
  SharedSegment theirs = SharedSegment::open(card.segment, card.bytes);
  check(theirs, edge, *made.layout);
  const auto& records = *reinterpret_cast<const NodeRecords*>(theirs.data());
  std::byte* in_segment = records.slots_bytes > 0 ? theirs.data() + records.slots_offset : nullptr;
  std::unique_ptr<SlotWriter> writer;
  if (edge.sends) writer = memory_.open(card.handle, in_segment);
  made.link->connect(std::move(theirs), std::move(writer), waker(wake_, card.wake));
}

void NodeLinks::attach(std::span<const Region>) {}  // a source is read where it lies

}  // namespace alder::rdma
