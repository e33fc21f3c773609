// CIFAR-10 and CIFAR-100 in their official binary layout.
// Source: Krizhevsky, "Learning multiple layers of features from tiny images", technical report,
// University of Toronto, 2009; https://www.cs.toronto.edu/~kriz/cifar.html.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "data/dataset.hpp"

namespace alder::data {

// A record: `label_limits.size()` label bytes, each below its limit, then 1024 R, 1024 G, 1024 B. The
// last label byte is the one that is trained on (CIFAR-100: coarse, then fine).
struct RecordLayout {
  std::vector<int> label_limits;
  std::size_t bytes() const { return label_limits.size() + 3 * 32 * 32; }
};

RecordLayout cifar10_layout();
RecordLayout cifar100_layout();

// Appends every record of `bytes` to `pictures`. `file` names the bytes in messages. Throws Error for
// a length that is not a whole number of records, or a label out of range (file, record, value).
void parse_records(std::span<const std::byte> bytes, const RecordLayout& layout, std::string_view file,
                   Pictures& pictures);

// Reads the official files from `folder`, or from its official subfolder. Checks length and labels
// always and, with `verify`, the SHA-256 of every file. Throws Error.
Dataset load_cifar10(const std::filesystem::path& folder, bool verify);
Dataset load_cifar100(const std::filesystem::path& folder, bool verify);

}  // namespace alder::data
