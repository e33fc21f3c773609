#include "data/cifar.hpp"

#include <string>

#include "base/error.hpp"
#include "base/file.hpp"

namespace alder::data {
namespace {

struct OfficialFile {
  const char* name;
  int64_t records;
  const char* sha256;  // as listed by torchvision-ruby for the members of the official archive
};

struct OfficialSet {
  std::string_view name, subfolder, archive;
  RecordLayout layout;
  std::vector<OfficialFile> train, test;
};

OfficialSet official_cifar10() {
  return {
      .name = "cifar10",
      .subfolder = "cifar-10-batches-bin",
      .archive = "cifar-10-binary.tar.gz",
      .layout = cifar10_layout(),
      .train =
          {{"data_batch_1.bin", 10000, "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"},
           {"data_batch_2.bin", 10000, "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"},
           {"data_batch_3.bin", 10000, "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"},
           {"data_batch_4.bin", 10000, "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"},
           {"data_batch_5.bin", 10000, "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"}},
      .test = {
          {"test_batch.bin", 10000, "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"}}};
}

OfficialSet official_cifar100() {
  return {.name = "cifar100",
          .subfolder = "cifar-100-binary",
          .archive = "cifar-100-binary.tar.gz",
          .layout = cifar100_layout(),
          .train = {{"train.bin", 50000, "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"}},
          .test = {{"test.bin", 10000, "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"}}};
}

// The folder that holds the set's files: `folder` itself or its official subfolder.
std::filesystem::path find_folder(const std::filesystem::path& folder, const OfficialSet& set) {
  const std::string first = set.train.front().name;
  for (const auto& candidate : {folder, folder / set.subfolder}) {
    if (std::filesystem::exists(candidate / first)) return candidate;
  }
  fail(
      "{} not found in {} nor in its subfolder {}; get {} from https://www.cs.toronto.edu/~kriz/cifar.html "
      "and unpack it there",
      first, folder.string(), set.subfolder, set.archive);
}

void read_official(const std::filesystem::path& folder, const OfficialSet& set, const OfficialFile& file,
                   bool verify, Pictures& pictures) {
  const std::filesystem::path path = folder / file.name;
  const auto remedy =
      fmt::format("unpack {} from https://www.cs.toronto.edu/~kriz/cifar.html again", set.archive);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) fail("{} is missing; {}", path.string(), remedy);
  // Size before content, so that a wrong, huge file is never read.
  const uint64_t expected = static_cast<uint64_t>(file.records) * set.layout.bytes();
  const uint64_t seen = std::filesystem::file_size(path, error);
  if (error) fail("cannot read {}: {}", path.string(), error.message());
  if (seen != expected) fail("{} has {} bytes instead of {}; {}", path.string(), seen, expected, remedy);
  const std::vector<std::byte> bytes = read_file(path);
  // Labels before the checksum: a bad label has the more precise message.
  parse_records(bytes, set.layout, path.string(), pictures);
  if (!verify) return;
  const std::string digest = sha256(bytes);
  if (digest != file.sha256) {
    fail("{} has SHA-256 {} instead of {}; {}", path.string(), digest, file.sha256, remedy);
  }
}

Pictures read_files(const std::filesystem::path& folder, const OfficialSet& set,
                    std::span<const OfficialFile> files, bool verify) {
  Pictures pictures;
  int64_t records = 0;
  for (const OfficialFile& file : files) records += file.records;
  pictures.pixels.reserve(records * pictures.bytes_per_picture());
  pictures.labels.reserve(records);
  for (const OfficialFile& file : files) read_official(folder, set, file, verify, pictures);
  return pictures;
}

Dataset load(const std::filesystem::path& folder, const OfficialSet& set, bool verify) {
  const std::filesystem::path found = find_folder(folder, set);
  Dataset dataset;
  dataset.name = set.name;
  dataset.classes = set.layout.label_limits.back();
  dataset.train = read_files(found, set, set.train, verify);
  dataset.test = read_files(found, set, set.test, verify);
  return dataset;
}

// The names of CIFAR-100 live beside the data; they are for people only, so numbers do when the file is
// absent.
std::vector<std::string> fine_label_names(const std::filesystem::path& folder, int classes) {
  std::vector<std::string> names;
  for (const auto& candidate : {folder, folder / official_cifar100().subfolder}) {
    const auto path = candidate / "fine_label_names.txt";
    if (!std::filesystem::is_regular_file(path)) continue;
    const std::string text = read_text(path);
    for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (end > begin) names.push_back(text.substr(begin, end - begin));
    }
    if (std::ssize(names) == classes) return names;
    names.clear();
  }
  for (int label = 0; label < classes; ++label) names.push_back(std::to_string(label));
  return names;
}

}  // namespace

RecordLayout cifar10_layout() {
  return {.label_limits = {10}};
}
RecordLayout cifar100_layout() {
  return {.label_limits = {20, 100}};
}

void parse_records(std::span<const std::byte> bytes, const RecordLayout& layout, std::string_view file,
                   Pictures& pictures) {
  const std::size_t size = layout.bytes(), labels = layout.label_limits.size();
  if (bytes.size() % size != 0) {
    fail("{} has {} bytes, which is not a whole number of records of {} bytes", file, bytes.size(), size);
  }
  for (std::size_t record = 0; record < bytes.size() / size; ++record) {
    const auto content = bytes.subspan(record * size, size);
    for (std::size_t i = 0; i < labels; ++i) {
      const int value = std::to_integer<int>(content[i]);
      if (value >= layout.label_limits[i]) {
        fail("{}: record {} has label {}, outside 0..{}", file, record, value, layout.label_limits[i] - 1);
      }
    }
    const auto* pixels = reinterpret_cast<const uint8_t*>(content.data());
    pictures.labels.push_back(pixels[labels - 1]);
    pictures.pixels.insert(pictures.pixels.end(), pixels + labels, pixels + size);
  }
}

Dataset load_cifar10(const std::filesystem::path& folder, bool verify) {
  Dataset dataset = load(folder, official_cifar10(), verify);
  dataset.class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                         "dog",      "frog",       "horse", "ship", "truck"};
  dataset.mean = {0.4914F, 0.4822F, 0.4465F};
  dataset.deviation = {0.2470F, 0.2435F, 0.2616F};
  return dataset;
}

Dataset load_cifar100(const std::filesystem::path& folder, bool verify) {
  Dataset dataset = load(folder, official_cifar100(), verify);
  dataset.class_names = fine_label_names(folder, dataset.classes);
  dataset.mean = {0.5071F, 0.4865F, 0.4409F};
  dataset.deviation = {0.2673F, 0.2564F, 0.2762F};
  return dataset;
}

}  // namespace alder::data
