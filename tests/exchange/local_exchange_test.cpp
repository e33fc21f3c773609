// The in-process exchange keeps the contract of every exchange, and a little more.
#include "base/error.hpp"
#include "tests/exchange/exchange_contract.hpp"

namespace alder {
namespace {

INSTANTIATE_TEST_SUITE_P(Local, ExchangeContract, testing::Values(ExchangeCase{"local", make_local_exchange}),
                         case_name);

const Deadline kPassed{};
const LiveEdges kToOne{.send_to = {1}, .receive_from = {1}}, kToZero{.send_to = {0}, .receive_from = {0}};

template <typename Call>
std::string misuse_message(Call call) {
  try {
    call();
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "no std::logic_error";
}

TEST(LocalExchange, LendsTheNeighboursMemoryInsteadOfCopyingIt) {
  const auto exchange = make_local_exchange(2, {3});
  const std::vector<float> model = {1, 2, 3};
  exchange->endpoint(0).open(Generation(0), kToOne);
  exchange->endpoint(1).open(Generation(0), kToZero);
  exchange->endpoint(0).publish(Generation(0), Bucket(0), model);
  ASSERT_THAT(exchange->endpoint(1).await_bucket(Generation(0), Bucket(0), kPassed),
              ElementsAre(Arrival::arrived));
  EXPECT_EQ(exchange->endpoint(1).slot(0, Generation(0), Bucket(0)).data(), model.data());
}

TEST(LocalExchange, FailsAtOnceForAGenerationThatTheNeighbourPassedBy) {
  const auto exchange = make_local_exchange(2, {3});
  exchange->endpoint(1).open(Generation(0), kToZero);
  exchange->endpoint(0).open(Generation(1), kToOne);
  EXPECT_THAT(exchange->endpoint(1).await_bucket(Generation(0), Bucket(0), kPassed),
              ElementsAre(Arrival::failed));
}

TEST(LocalExchange, NamesBothEndsOfAnEdgeThatOnlyOneOfThemKnows) {
  const auto exchange = make_local_exchange(3, {3});
  exchange->endpoint(0).open(Generation(2), {.send_to = {2}, .receive_from = {}});
  exchange->endpoint(1).open(Generation(2), kToZero);
  EXPECT_THAT(misuse_message([&] { exchange->endpoint(1).await_headers(Generation(2), kPassed); }),
              testing::AllOf(testing::HasSubstr("worker 1 listens to worker 0 in generation 2"),
                             testing::HasSubstr("different schedules")));
}

TEST(LocalExchange, SaysWhoBrokeTheOrderOfGenerations) {
  const auto exchange = make_local_exchange(2, {3});
  exchange->endpoint(1).open(Generation(5), kToZero);
  EXPECT_EQ(misuse_message([&] { exchange->endpoint(1).open(Generation(3), kToZero); }),
            "worker 1 opens generation 3 after generation 5; generations must increase");
  exchange->endpoint(1).open(Generation(6), kToZero);
  EXPECT_EQ(misuse_message([&] { exchange->endpoint(1).release(Generation(6)); }),
            "worker 1 releases generation 6, but the oldest one it has open is 5");
}

TEST(LocalExchange, ForgetsGenerationsThatEverybodyHasRead) {
  const auto exchange = make_local_exchange(2, {1});
  const float model = 1;
  const uint64_t last = 3 * kRememberedGenerations;
  for (uint64_t g = 0; g <= last; ++g) {
    exchange->endpoint(0).open(Generation(g), kToOne);
    exchange->endpoint(1).open(Generation(g), kToZero);
    exchange->endpoint(0).publish(Generation(g), Bucket(0), {&model, 1});
    exchange->endpoint(0).release(Generation(g));
    exchange->endpoint(1).release(Generation(g));
  }
  Endpoint& sender = exchange->endpoint(0);
  EXPECT_THAT(sender.await_released(Generation(last + 1 - kRememberedGenerations), kPassed),
              ElementsAre(Arrival::arrived));
  EXPECT_THAT(misuse_message([&] { sender.await_released(Generation(0), kPassed); }),
              testing::HasSubstr("too long ago"));
}

TEST(LocalExchange, KeepsGenerationsThatSomebodyHasStillToRead) {
  const auto exchange = make_local_exchange(2, {1});
  std::vector<float> models(3 * kRememberedGenerations);
  std::iota(models.begin(), models.end(), 0.0F);
  for (uint64_t g = 0; g < models.size(); ++g) {
    exchange->endpoint(0).open(Generation(g), kToOne);
    exchange->endpoint(0).publish(Generation(g), Bucket(0), {&models[g], 1});
    exchange->endpoint(0).release(Generation(g));
  }
  for (uint64_t g = 0; g < models.size(); ++g) {
    Endpoint& reader = exchange->endpoint(1);
    reader.open(Generation(g), kToZero);
    ASSERT_THAT(reader.await_bucket(Generation(g), Bucket(0), kPassed), ElementsAre(Arrival::arrived));
    EXPECT_EQ(reader.slot(0, Generation(g), Bucket(0))[0], models[g]);
    reader.release(Generation(g));
  }
}

TEST(LocalExchange, NeedsAWorker) {
  EXPECT_THROW(make_local_exchange(0, {1}), UsageError);
  EXPECT_THROW(make_no_exchange(-1), UsageError);
}

}  // namespace
}  // namespace alder
