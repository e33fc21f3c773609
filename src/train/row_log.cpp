#include "train/row_log.hpp"

namespace alder::train {

void RowLog::add(std::span<const gossip::RowEntry> row) {
  packed_.number(static_cast<uint32_t>(row.size()));
  for (const gossip::RowEntry& entry : row) {
    packed_.number(static_cast<int32_t>(entry.rank));
    packed_.number(entry.weight);
  }
}

Json RowLog::take() {
  const Bytes bytes = packed_.take();
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
  return Json::binary(std::vector<uint8_t>(begin, begin + bytes.size()));
}

std::vector<std::vector<gossip::WeightedRank>> unpack_rows(const Json& packed) {
  const std::vector<uint8_t>& bytes = packed.get_binary();
  ByteReader in(std::as_bytes(std::span(bytes)), "a record of rows");
  std::vector<std::vector<gossip::WeightedRank>> rows;
  while (!in.empty()) {
    auto& row = rows.emplace_back();
    for (auto left = in.number<uint32_t>(); left > 0; --left) {
      const Rank rank = in.number<int32_t>();
      row.push_back({rank, static_cast<double>(in.number<float>())});
    }
  }
  return rows;
}

}  // namespace alder::train
