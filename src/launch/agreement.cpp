#include "launch/agreement.hpp"

#include <fmt/format.h>
#include <link.h>

#include <algorithm>

#include "base/file.hpp"

namespace alder {
namespace {

// The first object of the process is the program itself. ELF notes: three words, a padded name, padded
// content.
int find_build_id(dl_phdr_info* object, std::size_t, void* out) {
  constexpr auto padded = [](std::size_t bytes) { return (bytes + 3) & ~std::size_t{3}; };
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const unsigned char*>(object->dlpi_addr + segment.p_vaddr);
    const auto* end = at + segment.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const auto* name = at + sizeof *note;
      const auto* content = name + padded(note->n_namesz);
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
        auto& text = *static_cast<std::string*>(out);
        for (std::size_t k = 0; k < note->n_descsz; ++k) text += fmt::format("{:02x}", content[k]);
        return 1;
      }
      at = content + padded(note->n_descsz);
    }
  }
  return 1;  // look at no other object
}

}  // namespace

Bytes pack(std::span<const Fact> facts) {
  ByteWriter out;
  out.number(static_cast<uint32_t>(facts.size()));
  for (const Fact& fact : facts) {
    out.text(fact.name);
    out.text(fact.value);
  }
  return out.take();
}

std::vector<Fact> unpack_facts(ByteReader& reader) {
  std::vector<Fact> facts;
  for (auto left = reader.number<uint32_t>(); left > 0; --left) {
    std::string name = reader.text();
    facts.push_back({std::move(name), reader.text()});
  }
  return facts;
}

std::optional<std::string> difference(std::span<const Fact> theirs, const std::string& who,
                                      std::span<const Fact> ours, const std::string& whose) {
  const auto value = [](std::span<const Fact> facts, const std::string& name) -> std::string {
    const auto found = std::ranges::find(facts, name, &Fact::name);
    return found == facts.end() ? "absent" : found->value;
  };
  const auto compare = [&](const std::string& name) -> std::optional<std::string> {
    const std::string there = value(theirs, name), here = value(ours, name);
    if (there == here) return std::nullopt;
    return fmt::format("{} is {} on {} and {} on {}", name, there, who, here, whose);
  };
  for (const auto& facts : {ours, theirs}) {
    for (const Fact& fact : facts) {
      if (auto text = compare(fact.name)) return text;
    }
  }
  return std::nullopt;
}

std::string program_id() {
  std::string id;
  ::dl_iterate_phdr(find_build_id, &id);
  return id.empty() ? sha256(read_file("/proc/self/exe")) : id;
}

}  // namespace alder
