#include "train/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"

namespace alder {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

using Json = nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeaderBytes = 100'000'000;  // the format's own bound
constexpr std::string_view kMetadata = "__metadata__";

struct DTypeRow {
  DType type;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array kDTypes = {DTypeRow{DType::f32, "F32", 4}, DTypeRow{DType::f64, "F64", 8},
                                DTypeRow{DType::i32, "I32", 4}, DTypeRow{DType::i64, "I64", 8},
                                DTypeRow{DType::u8, "U8", 1},   DTypeRow{DType::bf16, "BF16", 2},
                                DTypeRow{DType::u64, "U64", 8}};

const DTypeRow& row_of(DType type) {
  return *std::ranges::find(kDTypes, type, &DTypeRow::type);
}

// What a file holds may be long or hold line breaks; an error is one line.
std::string shortened(std::string text) {
  constexpr std::size_t kLongest = 400;
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

std::string escaped(const std::string& name) {
  const std::string text = Json(name).dump(-1, ' ', true, Json::error_handler_t::replace);
  return shortened(text.substr(1, text.size() - 2));
}

std::string in_quotes(const std::string& name) {
  return "'" + escaped(name) + "'";
}

std::string text_of(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

// Bytes of a tensor, or nothing when that does not fit 64 bits or a dimension is negative.
std::optional<uint64_t> bytes_of(DType type, std::span<const int64_t> shape) {
  uint64_t bytes = size_of(type);
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(dimension), &bytes)) return {};
  }
  return bytes;
}

struct HeaderEntry {
  std::optional<DType> type;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::vector<uint64_t>> offsets;  // begin and end, from the end of the header
};

// Reads the header event by event. The form is fixed and flat, so what is nested too deep, doubled or of
// another type is refused where it begins, and no tree is ever built of it.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  std::map<std::string, HeaderEntry> entries;
  std::map<std::string, std::string> metadata;
  std::string problem;  // set when a handler returned false

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::shape && place_ != Place::offsets) return unexpected("a number");
    if (place_ == Place::offsets) {
      entry_->offsets->push_back(value);
      return true;
    }
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return unexpected("a huge number");
    entry_->shape->push_back(static_cast<int64_t>(value));
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      metadata[field_] = value;
      return true;
    }
    if (place_ != Place::tensor || field_ != "dtype") return unexpected("a string");
    const auto found = std::ranges::find(kDTypes, value, &DTypeRow::name);
    if (found == kDTypes.end()) {
      return refuse(fmt::format("dtype {} is not supported", in_quotes(value)));
    }
    entry_->type = found->type;
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::top;
      return true;
    }
    if (place_ != Place::top) return unexpected("an object");
    place_ = name_ == kMetadata ? Place::metadata : Place::tensor;
    if (place_ == Place::tensor) entry_ = &entries[name_];
    return true;
  }

  bool key(string_t& value) override {
    if (place_ == Place::top) {
      name_ = value;
      field_.clear();
      if (!names_.insert(value).second) return refuse("appears twice");
      return true;
    }
    field_ = value;
    if (place_ == Place::metadata) return !metadata.contains(value) || doubled();
    if (value == "dtype") return !entry_->type || doubled();
    if (value == "shape") return !entry_->shape || doubled();
    if (value == "data_offsets") return !entry_->offsets || doubled();
    return refuse(fmt::format("key {} is not known (dtype, shape, data_offsets)", in_quotes(value)));
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || field_ == "dtype") return unexpected("a list");
    place_ = field_ == "shape" ? Place::shape : Place::offsets;
    if (place_ == Place::shape) entry_->shape.emplace();
    if (place_ == Place::offsets) entry_->offsets.emplace();
    return true;
  }

  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }

  bool end_object() override {
    place_ = place_ == Place::top ? Place::outside : Place::top;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    problem = shortened(fmt::format("its header is no JSON at byte {}: {}", position, error.what()));
    return false;
  }

 private:
  enum class Place { outside, top, tensor, metadata, shape, offsets };

  bool refuse(const std::string& what) {
    problem = fmt::format("tensor {}: {}", in_quotes(name_), what);
    return false;
  }
  bool doubled() { return refuse(in_quotes(field_) + " appears twice"); }
  bool unexpected(std::string_view what) {
    if (field_.empty()) return refuse(std::string(what) + " where an object is expected");
    return refuse(fmt::format("{} is {}, which cannot be", in_quotes(field_), what));
  }

  Place place_ = Place::outside;
  std::string name_, field_;
  std::set<std::string> names_;
  HeaderEntry* entry_ = nullptr;
};

// Length of the JSON header; its bytes are inside `bytes`.
std::size_t header_length(std::span<const std::byte> bytes, const std::string& origin) {
  if (bytes.size() < kLengthBytes) {
    fail("{}: {} bytes are too few for a safetensors file; is it cut short?", origin, bytes.size());
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kMaxHeaderBytes) {
    fail("{}: a header of {} bytes cannot be (at most {}); is it a safetensors file?", origin, length,
         kMaxHeaderBytes);
  }
  if (length > bytes.size() - kLengthBytes) {
    fail("{}: the header has {} bytes but only {} follow; the file was cut short", origin, length,
         bytes.size() - kLengthBytes);
  }
  if (length == 0 || bytes[kLengthBytes] != std::byte{'{'}) {
    fail("{}: no header begins at byte 8; is it a safetensors file?", origin);
  }
  return static_cast<std::size_t>(length);
}

// A view of one tensor, checked against its own shape and the data's size.
TensorView view_of(const std::string& name, const HeaderEntry& entry, std::span<const std::byte> data,
                   const std::string& origin) {
  if (!entry.type || !entry.shape || !entry.offsets) {
    fail("{}: tensor {} lacks {}", origin, in_quotes(name),
         !entry.type    ? "dtype"
         : !entry.shape ? "shape"
                        : "data_offsets");
  }
  if (entry.offsets->size() != 2) {
    fail("{}: tensor {}: data_offsets has {} numbers, not 2", origin, in_quotes(name), entry.offsets->size());
  }
  const uint64_t begin = entry.offsets->front(), end = entry.offsets->back();
  if (begin > end || end > data.size()) {
    fail("{}: tensor {}: data_offsets [{}, {}] are outside the {} bytes of data; was the file cut short?",
         origin, in_quotes(name), begin, end, data.size());
  }
  if (bytes_of(*entry.type, *entry.shape) != end - begin) {
    fail("{}: tensor {}: shape {} of {} does not fill its {} bytes", origin, in_quotes(name),
         shortened(text_of(*entry.shape)), name_of(*entry.type), end - begin);
  }
  return {*entry.type, *entry.shape, data.subspan(begin, end - begin)};
}

// Every byte of the data belongs to exactly one tensor.
void check_cover(const std::map<std::string, TensorView>& tensors, std::span<const std::byte> data,
                 const std::string& origin) {
  std::vector<std::pair<const std::string*, std::span<const std::byte>>> pieces;
  for (const auto& [name, view] : tensors) pieces.emplace_back(&name, view.bytes);
  std::ranges::sort(pieces, {},
                    [](const auto& piece) { return std::pair(piece.second.data(), piece.second.size()); });
  const std::byte* covered = data.data();
  for (const auto& [name, bytes] : pieces) {
    if (bytes.data() < covered) fail("{}: tensor {} overlaps another one", origin, in_quotes(*name));
    if (bytes.data() > covered) {
      fail("{}: {} bytes before tensor {} belong to no tensor", origin, bytes.data() - covered,
           in_quotes(*name));
    }
    covered = bytes.data() + bytes.size();
  }
  const auto rest = data.data() + data.size() - covered;
  if (rest > 0) fail("{}: {} bytes at the end belong to no tensor", origin, rest);
}

bool aligned(const TensorView& view) {
  return reinterpret_cast<uintptr_t>(view.bytes.data()) % size_of(view.type) == 0;
}

// The same tensors in a new array, each at a multiple of 8 bytes. Files of other writers may need it.
std::vector<std::byte> repacked(std::map<std::string, TensorView>& tensors) {
  const auto padded = [](std::size_t bytes) { return (bytes + 7) / 8 * 8; };
  std::size_t total = 0;
  for (const auto& [name, view] : tensors) total += padded(view.bytes.size());
  std::vector<std::byte> packed(total);
  std::size_t offset = 0;
  for (auto& [name, view] : tensors) {
    std::ranges::copy(view.bytes, packed.begin() + static_cast<std::ptrdiff_t>(offset));
    view.bytes = std::span(packed).subspan(offset, view.bytes.size());
    offset += padded(view.bytes.size());
  }
  return packed;
}

// Header text of a file whose data hold `order` one after another.
std::string header_text(const std::vector<std::pair<const std::string*, const TensorView*>>& order,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(kMetadata)] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, view] : order) {
    header[*name] = {{"dtype", name_of(view->type)},
                     {"shape", view->shape},
                     {"data_offsets", {offset, offset + view->bytes.size()}}};
    offset += view->bytes.size();
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

std::size_t size_of(DType type) {
  return row_of(type).bytes;
}
std::string_view name_of(DType type) {
  return row_of(type).name;
}

SafeTensors SafeTensors::read(const std::filesystem::path& path) {
  return parse(read_file(path), path.string());
}

std::string SafeTensors::digest() const {
  return sha256(bytes_);
}

SafeTensors SafeTensors::parse(std::vector<std::byte> bytes, std::string origin) {
  SafeTensors result;
  result.origin_ = std::move(origin);
  result.bytes_ = std::move(bytes);
  const std::size_t length = header_length(result.bytes_, result.origin_);
  const std::span<const std::byte> all = result.bytes_;
  const auto* text = reinterpret_cast<const char*>(all.data()) + kLengthBytes;
  HeaderReader header;
  if (!Json::sax_parse(text, text + length, &header)) fail("{}: {}", result.origin_, header.problem);

  const std::span<const std::byte> data = all.subspan(kLengthBytes + length);
  for (const auto& [name, entry] : header.entries) {
    result.tensors_.emplace(name, view_of(name, entry, data, result.origin_));
  }
  check_cover(result.tensors_, data, result.origin_);
  result.metadata_ = std::move(header.metadata);
  if (!std::ranges::all_of(result.tensors_, [](const auto& item) { return aligned(item.second); })) {
    result.bytes_ = repacked(result.tensors_);
  }
  return result;
}

const TensorView& SafeTensors::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, view] : tensors_) names.push_back(escaped(known));
  fail("{}: {}", origin_, shortened(unknown_name("tensor", name, names)));
}

std::span<const float> SafeTensors::floats(const std::string& name, std::span<const int64_t> shape) const {
  const TensorView& view = at(name);
  if (view.type != DType::f32) {
    fail("{}: tensor {} is {}, F32 is needed", origin_, in_quotes(name), name_of(view.type));
  }
  if (!std::ranges::equal(view.shape, shape)) {
    fail("{}: tensor {} has shape {}, {} is needed", origin_, in_quotes(name), shortened(text_of(view.shape)),
         text_of(shape));
  }
  return {reinterpret_cast<const float*>(view.bytes.data()), view.bytes.size() / sizeof(float)};
}

std::string write_safetensors(const std::filesystem::path& path,
                              const std::map<std::string, TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<const std::string*, const TensorView*>> order;
  for (const auto& [name, view] : tensors) {
    if (name == kMetadata) fail("{}: a tensor cannot be called {}", path.string(), name);
    if (bytes_of(view.type, view.shape) != view.bytes.size()) {
      fail("{}: tensor {}: shape {} of {} does not fill its {} bytes", path.string(), in_quotes(name),
           text_of(view.shape), name_of(view.type), view.bytes.size());
    }
    order.emplace_back(&name, &view);
  }
  std::ranges::stable_sort(order, std::greater{},
                           [](const auto& item) { return size_of(item.second->type); });

  const std::string header = header_text(order, metadata);
  const uint64_t length = header.size();
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(&length, 1)),
                                                   std::as_bytes(std::span(header))};
  for (const auto& [name, view] : order) parts.push_back(view->bytes);
  write_atomically(path, parts);
  return sha256(parts);
}

}  // namespace alder
