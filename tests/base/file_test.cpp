#include "base/file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "base/error.hpp"

namespace alder {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class File : public ::testing::Test {
 protected:
  File() : folder_(fs::path(::testing::TempDir()) / ("alder-file-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~File() override { fs::remove_all(folder_); }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& entry : fs::directory_iterator(folder_)) result.push_back(entry.path().filename());
    return result;
  }
  std::string message_of(const auto& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  const fs::path folder_;
};

// Like a full disk: no file of this process may grow beyond `bytes`, while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    signal_before_ = std::signal(SIGXFSZ, SIG_IGN);  // write then fails with EFBIG
    const rlimit limit{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_before_);
  }

 private:
  rlimit before_{};
  void (*signal_before_)(int) = nullptr;
};

TEST_F(File, IsWrittenWholeAndLeavesNoTemporary) {
  const std::string head = "head ", tail = "tail";
  const std::array parts{std::as_bytes(std::span(head)), std::as_bytes(std::span(tail))};
  write_atomically(folder_ / "a", parts);
  EXPECT_EQ(read_text(folder_ / "a"), "head tail");
  write_atomically(folder_ / "a", "second");
  EXPECT_EQ(read_text(folder_ / "a"), "second");
  EXPECT_THAT(names(), ::testing::ElementsAre("a"));
}

TEST_F(File, KeepsItsOldContentWhenTheDiskIsFull) {
  write_atomically(folder_ / "a", "old");
  const std::string large(100'000, 'x');
  std::string message;
  {
    const FileSizeLimit limit(4096);
    message = message_of([&] { write_atomically(folder_ / "a", large); });
  }
  EXPECT_THAT(message, HasSubstr("cannot write " + (folder_ / "a").string() + ": File too large"));
  EXPECT_EQ(read_text(folder_ / "a"), "old");
  EXPECT_THAT(names(), ::testing::ElementsAre("a"));
}

TEST_F(File, InAFolderThatIsNotThereCannotBeCreated) {
  EXPECT_THAT(message_of([&] { write_atomically(folder_ / "none" / "a", "x"); }),
              HasSubstr("cannot create " + (folder_ / "none" / "a").string()));
}

TEST_F(File, ThatCannotReplaceAFolderLeavesNoTemporary) {
  fs::create_directories(folder_ / "a" / "inside");
  EXPECT_THAT(message_of([&] { write_atomically(folder_ / "a", "x"); }), HasSubstr("cannot rename"));
  EXPECT_THAT(names(), ::testing::ElementsAre("a"));
}

TEST_F(File, ThatCannotBeReadIsNamed) {
  EXPECT_THAT(message_of([&] { read_file(folder_ / "none"); }),
              HasSubstr("cannot open " + (folder_ / "none").string() + ": No such file"));
  EXPECT_THAT(message_of([&] { read_file(folder_); }), HasSubstr("not a regular file"));
}

// FIPS 180-4 examples.
TEST(Sha256, GivesThePublishedDigests) {
  const std::string abc = "abc";
  EXPECT_EQ(sha256(std::as_bytes(std::span(abc))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(std::span<const std::byte>()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace alder
