#include "data/cifar.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.hpp"

namespace alder::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string message_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// A folder of official names and lengths, all bytes zero (sparse files: quick to make).
class CifarFolder : public ::testing::Test {
 protected:
  CifarFolder() : folder_(fs::path(::testing::TempDir()) / ("alder-cifar-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_ / "cifar-10-batches-bin");
    for (const char* name : {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                             "data_batch_5.bin", "test_batch.bin"}) {
      zeros(file(name), 30'730'000);
    }
  }
  ~CifarFolder() override { fs::remove_all(folder_); }
  fs::path file(const std::string& name) const { return folder_ / "cifar-10-batches-bin" / name; }
  static void zeros(const fs::path& path, uint64_t bytes) {
    std::ofstream{path};
    fs::resize_file(path, bytes);
  }
  static void put(const fs::path& path, uint64_t offset, char value) {
    std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(offset));
    stream.put(value);
  }
  const fs::path folder_;
};

std::vector<std::byte> record(const RecordLayout& layout, std::initializer_list<int> labels) {
  std::vector<std::byte> bytes(layout.bytes());
  std::size_t i = 0;
  for (const int label : labels) bytes[i++] = std::byte(label);
  for (; i < bytes.size(); ++i) bytes[i] = std::byte(i % 251);
  return bytes;
}

TEST(CifarRecords, OfBothSetsGiveTheTrainedLabelAndThePlanesInOrder) {
  const struct {
    RecordLayout layout;
    std::initializer_list<int> labels;
    int32_t label;
    std::size_t label_bytes;
  } cases[] = {{cifar10_layout(), {9}, 9, 1}, {cifar100_layout(), {19, 99}, 99, 2}};
  for (const auto& [layout, labels, label, label_bytes] : cases) {
    Pictures pictures;
    const auto bytes = record(layout, labels);
    parse_records(bytes, layout, "x.bin", pictures);
    parse_records(bytes, layout, "x.bin", pictures);
    ASSERT_EQ(pictures.count(), 2);
    EXPECT_EQ(pictures.labels[1], label);
    EXPECT_EQ(pictures.pixels.size(), 2U * 3072);
    EXPECT_EQ(pictures.picture(1)[2048], (2048 + label_bytes) % 251);
  }
}

TEST(CifarRecords, WithALabelOutOfRangeNameFileRecordAndValue) {
  Pictures pictures;
  auto bytes = record(cifar10_layout(), {3});
  const auto bad = record(cifar10_layout(), {10});
  bytes.insert(bytes.end(), bad.begin(), bad.end());
  EXPECT_EQ(message_of([&] { parse_records(bytes, cifar10_layout(), "x.bin", pictures); }),
            "x.bin: record 1 has label 10, outside 0..9");
  EXPECT_EQ(message_of([&] {
              parse_records(record(cifar100_layout(), {20, 5}), cifar100_layout(), "y.bin", pictures);
            }),
            "y.bin: record 0 has label 20, outside 0..19");
}

TEST(CifarRecords, CutShortAreRefused) {
  Pictures pictures;
  auto bytes = record(cifar10_layout(), {3});
  bytes.pop_back();
  EXPECT_EQ(message_of([&] { parse_records(bytes, cifar10_layout(), "x.bin", pictures); }),
            "x.bin has 3072 bytes, which is not a whole number of records of 3073 bytes");
}

TEST_F(CifarFolder, IsReadFromItselfOrFromItsParent) {
  put(file("data_batch_2.bin"), 3073, 7);  // the second record of the second file
  for (const fs::path& folder : {folder_, folder_ / "cifar-10-batches-bin"}) {
    const Dataset dataset = load_cifar10(folder, false);
    EXPECT_EQ(dataset.train.count(), 50'000);
    EXPECT_EQ(dataset.test.count(), 10'000);
    EXPECT_EQ(dataset.train.labels[10'001], 7);
    EXPECT_EQ(dataset.class_names[7], "horse");
  }
}

TEST_F(CifarFolder, MissingSaysWhereToGetTheFiles) {
  EXPECT_THAT(
      message_of([&] { load_cifar10(folder_ / "none", true); }),
      AllOf(HasSubstr("data_batch_1.bin not found in " + (folder_ / "none").string()),
            HasSubstr("cifar-10-binary.tar.gz"), HasSubstr("https://www.cs.toronto.edu/~kriz/cifar.html")));
  EXPECT_THAT(message_of([&] { load_cifar100(folder_, true); }), HasSubstr("cifar-100-binary.tar.gz"));
  fs::remove(file("test_batch.bin"));
  EXPECT_THAT(message_of([&] { load_cifar10(folder_, false); }), HasSubstr("test_batch.bin is missing"));
}

TEST_F(CifarFolder, WithATruncatedFileNamesBytesSeenAndExpected) {
  fs::resize_file(file("data_batch_1.bin"), 1000);
  EXPECT_THAT(message_of([&] { load_cifar10(folder_, false); }),
              HasSubstr("data_batch_1.bin has 1000 bytes instead of 30730000"));
}

TEST_F(CifarFolder, WithOtherContentFailsItsChecksumUnlessToldNotToVerify) {
  EXPECT_THAT(message_of([&] { load_cifar10(folder_, true); }),
              AllOf(HasSubstr("data_batch_1.bin has SHA-256 "), HasSubstr("instead of cee91656")));
  EXPECT_EQ(message_of([&] { load_cifar10(folder_, false); }), "no error");
}

TEST_F(CifarFolder, WithABadLabelNamesTheRecordBeforeTheChecksum) {
  put(file("data_batch_1.bin"), 3073 * 42, 77);
  EXPECT_THAT(message_of([&] { load_cifar10(folder_, true); }),
              HasSubstr("data_batch_1.bin: record 42 has label 77, outside 0..9"));
}

TEST_F(CifarFolder, OfCifar100IsReadWithItsClassNamesWhenTheyAreThere) {
  const fs::path hundred = folder_ / "cifar-100-binary";
  fs::create_directories(hundred);
  zeros(hundred / "train.bin", 153'700'000);
  zeros(hundred / "test.bin", 30'740'000);
  put(hundred / "train.bin", 1, 42);  // the fine label of the first record
  const Dataset unnamed = load_cifar100(folder_, false);
  EXPECT_EQ(unnamed.train.count(), 50'000);
  EXPECT_EQ(unnamed.classes, 100);
  EXPECT_EQ(unnamed.train.labels[0], 42);
  EXPECT_EQ(unnamed.class_names[42], "42");
  std::ofstream names(hundred / "fine_label_names.txt");
  for (int i = 0; i < 100; ++i) names << "name" << i << '\n';
  names.close();
  EXPECT_EQ(load_cifar100(folder_, false).class_names[42], "name42");
}

TEST(LoadDataset, RefusesWordsItDoesNotKnow) {
  const struct {
    const char *word, *message;
  } cases[] = {
      {"cifar-10:/x",
       "unknown data 'cifar-10'; did you mean cifar10, cifar100? (write cifar10:DIR, cifar100:DIR or "
       "shapes)"},
      {"shapse", "unknown data 'shapse'; did you mean shapes?"},
      {"cifar10", "data 'cifar10' names no folder; write cifar10:DIR"},
      {"cifar100:", "data 'cifar100:' names no folder; write cifar100:DIR"},
      {"shapes:/x", "data 'shapes:/x': shapes are drawn, not read"},
  };
  for (const auto& [word, message] : cases) {
    EXPECT_THAT(message_of([&] { load_dataset(word, {}); }), HasSubstr(message));
    EXPECT_THROW(load_dataset(word, {}), UsageError);
  }
}

TEST(LoadDataset, KeepsTheFirstPicturesWhenLimited) {
  const Dataset all = load_dataset("shapes", {.shapes_train = 30, .shapes_test = 20});
  const Dataset few =
      load_dataset("shapes", {.shapes_train = 30, .shapes_test = 20, .limit_train = 12, .limit_test = 50});
  EXPECT_EQ(few.train.count(), 12);
  EXPECT_EQ(few.test.count(), 20);
  EXPECT_TRUE(std::ranges::equal(few.train.picture(11), all.train.picture(11)));
  EXPECT_THROW(load_dataset("shapes", {.limit_train = -1}), UsageError);
}

}  // namespace
}  // namespace alder::data
