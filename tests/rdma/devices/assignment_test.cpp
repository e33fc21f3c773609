#include "rdma/devices/assignment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>

namespace alder::rdma {
namespace {

using Chosen = std::vector<std::vector<std::size_t>>;

DistanceTable table_of(const Topology& topology, const std::vector<const char*>& gpus,
                       const std::vector<const char*>& cards) {
  DistanceTable table;
  for (const char* gpu : gpus) {
    auto& row = table.emplace_back();
    for (const char* card : cards) {
      row.push_back(topology.distance(parse_pci_address(gpu).value(), parse_pci_address(card).value()));
    }
  }
  return table;
}

Topology machine(const std::string& name) {
  return Topology::from_xml(MACHINES "/" + name + ".xml");
}

TEST(AssignmentTest, OnADgxEveryGpuGetsTheCardOfItsSwitch) {
  // Cards in the order of their names (mlx5_0, mlx5_10, mlx5_11, mlx5_3, ...), which is not that of the
  // buses.
  const std::vector<const char*> cards{"14:00.0", "74:00.0", "84:00.0", "24:00.0",
                                       "34:00.0", "44:00.0", "54:00.0", "64:00.0"};
  const std::vector<const char*> gpus{"13:00.0", "23:00.0", "33:00.0", "43:00.0",
                                      "53:00.0", "63:00.0", "73:00.0", "83:00.0"};
  EXPECT_EQ(assign_cards(table_of(machine("dgx"), gpus, cards), 1),
            (Chosen{{0}, {3}, {4}, {5}, {6}, {7}, {1}, {2}}));
}

TEST(AssignmentTest, AWorkerLeavesItsNearCardToOneThatNeedsItMore) {
  // GPU 17 shares a switch with the only near card, GPU 14 comes first and would take it.
  const auto table = table_of(machine("two_sockets"), {"14:00.0", "17:00.0"}, {"18:00.0", "31:00.0"});
  ASSERT_EQ(table, (DistanceTable{{Distance::pxb, Distance::node}, {Distance::pix, Distance::node}}));
  EXPECT_EQ(assign_cards(table, 1), (Chosen{{1}, {0}}));
}

TEST(AssignmentTest, OneFarWorkerCostsMoreThanManyLessNearOnes) {
  using enum Distance;
  // Taking its PIX card would leave worker 2 with SYS.
  const DistanceTable table{{pix, phb, sys}, {phb, pix, phb}, {pix, sys, sys}};
  EXPECT_EQ(assign_cards(table, 1), (Chosen{{1}, {2}, {0}}));
}

TEST(AssignmentTest, CardsAreSharedEvenlyWhenThereAreFewerThanWorkers) {
  const DistanceTable table(8, std::vector<Distance>(2, Distance::node));
  const Chosen chosen = assign_cards(table, 1);
  EXPECT_EQ(std::ranges::count(chosen, std::vector<std::size_t>{0}), 4);
  EXPECT_EQ(chosen.front(), std::vector<std::size_t>{0}) << "in the workers' order";
}

TEST(AssignmentTest, OneWorkerWithTwoRailsGetsItsTwoNearestCards) {
  using enum Distance;
  EXPECT_EQ(assign_cards({{sys, pxb, node, pix}}, 2), (Chosen{{3, 1}}));
}

TEST(AssignmentTest, EqualCardsFollowTheOrderOfTheWorkers) {
  const DistanceTable table(4, std::vector<Distance>(4, Distance::unknown));
  EXPECT_EQ(assign_cards(table, 1), (Chosen{{0}, {1}, {2}, {3}}));
}

TEST(AssignmentTest, NoWorkersNeedNoCards) {
  EXPECT_TRUE(assign_cards({}, 1).empty());
}

// How many pairs fall into each class, worst first: what is to be least.
std::vector<int> classes_of(const DistanceTable& table, const Chosen& chosen) {
  std::vector<int> counts(6);
  for (std::size_t worker = 0; worker < chosen.size(); ++worker) {
    for (const std::size_t card : chosen[worker]) ++counts[5 - static_cast<std::size_t>(table[worker][card])];
  }
  return counts;
}

// By trying everything: the least counts that any permitted assignment of one card each has.
std::vector<int> least_classes(const DistanceTable& table, std::size_t seats) {
  std::vector<int> least(6, 1000);
  Chosen chosen(table.size());
  std::vector<std::size_t> taken(table.front().size());
  const std::function<void(std::size_t)> place = [&](std::size_t worker) {
    if (worker == table.size()) {
      least = std::min(least, classes_of(table, chosen));
      return;
    }
    for (std::size_t card = 0; card < taken.size(); ++card) {
      if (taken[card] == seats) continue;
      ++taken[card];
      chosen[worker] = {card};
      place(worker + 1);
      --taken[card];
    }
  };
  place(0);
  return least;
}

TEST(AssignmentTest, NoOtherAssignmentIsBetterAndNoCardIsOverbooked) {
  std::mt19937 random(7);  // NOLINT: the same tables every time
  for (std::size_t workers = 1; workers <= 5; ++workers) {
    for (std::size_t cards = 1; cards <= 4; ++cards) {
      for (int trial = 0; trial < 20; ++trial) {
        DistanceTable table(workers, std::vector<Distance>(cards));
        for (auto& row : table) {
          for (Distance& distance : row) distance = static_cast<Distance>(random() % 6);
        }
        const std::size_t seats = (workers + cards - 1) / cards;
        EXPECT_EQ(classes_of(table, assign_cards(table, 1)), least_classes(table, seats))
            << workers << " workers, " << cards << " cards, trial " << trial;
        for (std::size_t rails = 1; rails <= cards; ++rails) {
          const Chosen chosen = assign_cards(table, rails);
          std::vector<std::size_t> taken(cards);
          for (const auto& own : chosen) {
            EXPECT_EQ(std::set(own.begin(), own.end()).size(), rails) << "different cards";
            for (const std::size_t card : own) ++taken[card];
          }
          EXPECT_LE(*std::ranges::max_element(taken), (workers * rails + cards - 1) / cards);
        }
      }
    }
  }
}

}  // namespace
}  // namespace alder::rdma
