#include "train/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.hpp"
#include "base/file.hpp"

namespace alder {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

namespace fs = std::filesystem;

// A file as bytes: length, header as it stands, `data_bytes` bytes 0, 1, 2, ...
std::vector<std::byte> file_of(std::string_view header, std::size_t data_bytes) {
  const uint64_t length = header.size();
  std::vector<std::byte> bytes(sizeof(length) + header.size() + data_bytes);
  std::memcpy(bytes.data(), &length, sizeof(length));
  std::ranges::transform(header, bytes.begin() + sizeof(length), [](char c) { return std::byte(c); });
  for (std::size_t i = 0; i < data_bytes; ++i) bytes[sizeof(length) + header.size() + i] = std::byte(i);
  return bytes;
}

template <typename Value>
TensorView view(DType type, std::vector<int64_t> shape, const std::vector<Value>& values) {
  return {type, std::move(shape), std::as_bytes(std::span(values))};
}

class SafeTensorsFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              (std::string("safetensors_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path file() const { return folder_ / "x.safetensors"; }

  fs::path folder_;
};

TEST_F(SafeTensorsFile, ComesBackAsItWasWritten) {
  const std::vector<float> weights = {1.5F, -2.0F, 0.0F, 3.25F, 1e-38F, 7.0F};
  const std::vector<uint8_t> pixels = {1, 2, 3};
  const std::vector<int64_t> labels = {-1, int64_t{1} << 40};
  const std::vector<float> scalar = {42.0F}, none;
  write_safetensors(file(),
                    {{"a.pixels", view(DType::u8, {3}, pixels)},
                     {"b.weight", view(DType::f32, {2, 3}, weights)},
                     {"labels", view(DType::i64, {2}, labels)},
                     {"loss", view(DType::f32, {}, scalar)},
                     {"nothing", view(DType::f32, {0, 5}, none)}},
                    {{"step", "12"}, {"quote \" and\nline", "\xC3\xA9"}});

  const SafeTensors read = SafeTensors::read(file());
  EXPECT_EQ(read.tensors().size(), 5U);
  EXPECT_TRUE(std::ranges::equal(read.floats("b.weight", std::vector<int64_t>{2, 3}), weights));
  EXPECT_THAT(read.floats("loss", {}), ElementsAre(42.0F));
  EXPECT_TRUE(read.floats("nothing", std::vector<int64_t>{0, 5}).empty());
  EXPECT_TRUE(std::ranges::equal(read.at("labels").bytes, std::as_bytes(std::span(labels))));
  EXPECT_TRUE(std::ranges::equal(read.at("a.pixels").bytes, std::as_bytes(std::span(pixels))));
  EXPECT_EQ(read.at("a.pixels").type, DType::u8);
  EXPECT_EQ(read.metadata().at("step"), "12");
  EXPECT_EQ(read.metadata().at("quote \" and\nline"), "\xC3\xA9");
  EXPECT_TRUE(read.contains("loss"));
  EXPECT_FALSE(read.contains("los"));
}

TEST_F(SafeTensorsFile, HoldsNothingWhenNothingWasWritten) {
  write_safetensors(file(), {}, {});
  EXPECT_TRUE(SafeTensors::read(file()).tensors().empty());
}

// Other readers map the file and read its numbers in place.
TEST_F(SafeTensorsFile, PutsEachTensorAtAMultipleOfItsElement) {
  const std::vector<uint8_t> odd = {1, 2, 3};
  const std::vector<float> floats = {1, 2, 3};
  const std::vector<int64_t> longs = {1};
  write_safetensors(file(),
                    {{"a", view(DType::u8, {3}, odd)},
                     {"b", view(DType::f32, {3}, floats)},
                     {"c", view(DType::i64, {1}, longs)}},
                    {});
  const std::vector<std::byte> bytes = read_file(file());
  const std::string text(reinterpret_cast<const char*>(bytes.data()) + 8, bytes.size() - 8);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  EXPECT_EQ(length % 8, 0U);
  EXPECT_THAT(text, AllOf(HasSubstr(R"("c":{"dtype":"I64","shape":[1],"data_offsets":[0,8]})"),
                          HasSubstr(R"("b":{"dtype":"F32","shape":[3],"data_offsets":[8,20]})"),
                          HasSubstr(R"("a":{"dtype":"U8","shape":[3],"data_offsets":[20,23]})")));
}

TEST_F(SafeTensorsFile, IsNotWrittenWhenBytesAndShapeDisagree) {
  const std::vector<float> floats = {1, 2, 3};
  EXPECT_THAT(
      [&] {
        write_safetensors(file(), {{"w", view(DType::f32, {2}, floats)}}, {});
      },
      ThrowsMessage<Error>(AllOf(HasSubstr("'w'"), HasSubstr("[2] of F32"), HasSubstr("12 bytes"))));
  EXPECT_THAT(
      [&] {
        write_safetensors(file(), {{"__metadata__", view(DType::f32, {3}, floats)}}, {});
      },
      ThrowsMessage<Error>(HasSubstr("__metadata__")));
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(SafeTensorsFile, IsNamedWhenMissing) {
  EXPECT_THAT([&] { SafeTensors::read(file()); }, ThrowsMessage<Error>(HasSubstr(file().string())));
}

// Whatever the number of bytes that are left of a file, reading says so and nothing else happens.
TEST_F(SafeTensorsFile, IsRefusedWhenCutAnywhere) {
  const std::vector<float> floats = {1, 2, 3};
  write_safetensors(file(), {{"w", view(DType::f32, {3}, floats)}}, {{"k", "v"}});
  const std::vector<std::byte> whole = read_file(file());
  for (std::size_t kept = 0; kept < whole.size(); ++kept) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(kept));
    EXPECT_THAT([&] { SafeTensors::parse(cut, "cut.safetensors"); },
                ThrowsMessage<Error>(AllOf(HasSubstr("cut.safetensors: "), HasSubstr("cut short"))))
        << kept;
  }
}

// Headers of other writers are not padded and may order tensors so that numbers lie at odd places.
TEST(SafeTensors, MovesTensorsThatLieAtOddPlaces) {
  const SafeTensors read = SafeTensors::parse(file_of(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},
                  "b":{"data_offsets":[3,11],"shape":[2],"dtype":"F32"}}  )",
                                                      11),
                                              "odd");
  const std::span<const float> floats = read.floats("b", std::vector<int64_t>{2});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(floats.data()) % alignof(float), 0U);
  EXPECT_THAT(std::as_bytes(floats), ElementsAre(std::byte{3}, std::byte{4}, std::byte{5}, std::byte{6},
                                                 std::byte{7}, std::byte{8}, std::byte{9}, std::byte{10}));
  EXPECT_THAT(read.at("a").bytes, ElementsAre(std::byte{0}, std::byte{1}, std::byte{2}));
}

TEST(SafeTensors, KeepsItsViewsWhenMoved) {
  SafeTensors first =
      SafeTensors::parse(file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2), "x");
  const SafeTensors second = std::move(first);
  EXPECT_THAT(second.at("a").bytes, ElementsAre(std::byte{0}, std::byte{1}));
}

TEST(SafeTensors, SaysWhatItHasInsteadOfWhatWasAsked) {
  const SafeTensors read =
      SafeTensors::parse(file_of(R"({"conv1.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},
                  "labels":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})",
                                 16),
                         "f");
  const auto floats = [&](const std::string& name, const std::vector<int64_t>& shape) {
    return [&read, name, shape] { (void)read.floats(name, shape); };
  };
  EXPECT_THAT(floats("conv2.weight", {2, 1}),
              ThrowsMessage<Error>(AllOf(HasSubstr("f: "), HasSubstr("did you mean conv1.weight"))));
  EXPECT_THAT(
      floats("conv1.weight", {1, 2}),
      ThrowsMessage<Error>(AllOf(HasSubstr("'conv1.weight'"), HasSubstr("[2, 1]"), HasSubstr("[1, 2]"))));
  EXPECT_THAT(floats("labels", {1}), ThrowsMessage<Error>(AllOf(HasSubstr("I64"), HasSubstr("F32"))));
}

struct Damage {
  const char* name;
  std::string header;
  std::size_t data_bytes;
  const char* message;
};

std::string one(const std::string& inside) {
  return R"({"w":{)" + inside + "}}";
}
std::string nested(int depth) {
  std::string text = R"({"w":{"shape":)" + std::string(static_cast<std::size_t>(depth), '[');
  return text + std::string(static_cast<std::size_t>(depth), ']') + "}}";
}

class DamagedHeader : public testing::TestWithParam<Damage> {};

TEST_P(DamagedHeader, IsRefusedInOneLineThatNamesTheFault) {
  const auto read = [] {
    SafeTensors::parse(file_of(GetParam().header, GetParam().data_bytes), "bad.safetensors");
  };
  EXPECT_THAT(read, ThrowsMessage<Error>(AllOf(HasSubstr("bad.safetensors: "), HasSubstr(GetParam().message),
                                               Not(HasSubstr("\n")))));
}

const Damage kDamages[] = {
    {"Empty", "", 0, "no header"},
    {"List", "[]", 0, "no header"},
    {"Text", "{\"w\" 3}", 0, "no JSON"},
    {"Trailing", "{} {}", 0, "no JSON"},
    {"NotUtf8", "{\"\xFF\":{}}", 0, "no JSON"},
    {"LineBreakInName", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4]},"a\nb":{)"), 4,
     R"('a\nb' lacks)"},
    {"TensorIsNumber", R"({"w":1})", 0, "'w': a number where an object is expected"},
    {"TensorIsNull", R"({"w":null})", 0, "'w': null where"},
    {"UnknownDType", one(R"("dtype":"F7","shape":[],"data_offsets":[0,4])"), 4,
     "dtype 'F7' is not supported"},
    {"DTypeIsNumber", one(R"("dtype":4)"), 4, "'dtype' is a number"},
    {"NoDType", one(R"("shape":[1],"data_offsets":[0,4])"), 4, "lacks dtype"},
    {"NoShape", one(R"("dtype":"F32","data_offsets":[0,4])"), 4, "lacks shape"},
    {"NoOffsets", one(R"("dtype":"F32","shape":[1])"), 4, "lacks data_offsets"},
    {"UnknownKey", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"stride":1)"), 4,
     "'stride' is not known"},
    {"NegativeDimension", one(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 4, "a negative number"},
    {"FractionalDimension", one(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), 4, "a fraction"},
    {"HugeDimension", one(R"("dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,4])"), 4, "huge"},
    {"OverflowingShape", one(R"("dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0])"), 0,
     "does not fill"},
    {"ShapeTooLarge", one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 4,
     "[2] of F32 does not fill its 4"},
    {"ShapeTooSmall", one(R"("dtype":"U8","shape":[3],"data_offsets":[0,4])"), 4, "does not fill"},
    {"OneOffset", one(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), 4, "1 numbers, not 2"},
    {"ThreeOffsets", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), 4, "3 numbers, not 2"},
    {"OffsetsPastTheEnd", one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 4, "outside the 4 bytes"},
    {"OffsetsBackwards", one(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 4, "outside the 4 bytes"},
    {"OffsetsWrapAround", one(R"("dtype":"U8","shape":[2],"data_offsets":[18446744073709551615,1])"), 4,
     "outside"},
    {"HoleBefore", one(R"("dtype":"U8","shape":[2],"data_offsets":[2,4])"), 4, "2 bytes before tensor 'w'"},
    {"HoleAfter", one(R"("dtype":"U8","shape":[2],"data_offsets":[0,2])"), 4, "2 bytes at the end"},
    {"Overlap",
     R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
     4, "'b' overlaps"},
    {"SameTensorTwice",
     R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
     2, "'a': appears twice"},
    {"SameKeyTwice", one(R"("dtype":"F32","dtype":"I32")"), 4, "'dtype' appears twice"},
    {"SameMetadataTwice", R"({"__metadata__":{"k":"1","k":"2"}})", 0, "'k' appears twice"},
    {"MetadataIsNumber", R"({"__metadata__":{"k":1}})", 0, "'k' is a number"},
    {"MetadataIsNested", R"({"__metadata__":{"k":{}}})", 0, "'k' is an object"},
    {"NestedALittle", nested(2), 0, "'shape' is a list"},
    {"NestedDeep", nested(1'000'000), 0, "'shape' is a list"},
};

INSTANTIATE_TEST_SUITE_P(Faults, DamagedHeader, testing::ValuesIn(kDamages),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(SafeTensors, BelievesNoHeaderLengthBeyondItsBounds) {
  for (const uint64_t length : {uint64_t{100'000'001}, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    std::vector<std::byte> bytes(64, std::byte{'{'});
    std::memcpy(bytes.data(), &length, sizeof(length));
    EXPECT_THAT([&] { SafeTensors::parse(bytes, "x"); }, ThrowsMessage<Error>(HasSubstr("cannot be")))
        << length;
  }
}

}  // namespace
}  // namespace alder
