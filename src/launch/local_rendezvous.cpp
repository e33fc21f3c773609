#include "launch/local_rendezvous.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.hpp"

namespace alder {

struct LocalMeeting::Board {
  Board(int ranks, std::vector<std::string> names)
      : size(ranks), hosts(std::move(names)), fences(static_cast<std::size_t>(ranks)) {
    hosts.resize(fences.size(), "localhost");
  }

  const int size;
  std::vector<std::string> hosts;
  std::mutex mutex;  // of all that follows
  std::condition_variable changed;
  std::map<std::pair<Rank, std::string>, std::vector<std::byte>> values;
  std::vector<int64_t> fences;  // that each rank has come to
  std::vector<Rank> ended;      // in the order of their end

  class Place;
};

// One rank at the board.
class LocalMeeting::Board::Place final : public Rendezvous {
 public:
  Place(Rank rank, Board& board) : rank_(rank), board_(&board) {}

  Rank rank() const override { return rank_; }
  int size() const override { return board_->size; }
  std::string host(Rank rank) const override { return board_->hosts.at(static_cast<std::size_t>(rank)); }
  std::string description() const override { return fmt::format("{} ranks in this process", board_->size); }

  void put(std::string_view key, std::span<const std::byte> value) override {
    const std::lock_guard lock(board_->mutex);
    board_->values[{rank_, std::string(key)}] = {value.begin(), value.end()};
    board_->changed.notify_all();
  }

  void fence(std::chrono::milliseconds deadline) override {
    std::unique_lock lock(board_->mutex);
    const int64_t mine = ++board_->fences[static_cast<std::size_t>(rank_)];
    board_->changed.notify_all();
    const auto missing = [&] {
      std::vector<Rank> ranks;
      for (Rank rank = 0; rank < size(); ++rank) {
        if (board_->fences[static_cast<std::size_t>(rank)] < mine) ranks.push_back(rank);
      }
      return ranks;
    };
    if (board_->changed.wait_for(lock, deadline, [&] { return missing().empty(); })) return;
    fail("rank {} waited {} ms at fence {} for ranks {}", rank_, deadline.count(), mine,
         fmt::join(missing(), ", "));
  }

  std::vector<std::byte> get(Rank rank, std::string_view key, std::chrono::milliseconds deadline) override {
    if (rank < 0 || rank >= size()) fail("rank {} asks for rank {} of {}", rank_, rank, size());
    std::unique_lock lock(board_->mutex);
    const std::pair name(rank, std::string(key));
    if (!board_->changed.wait_for(lock, deadline, [&] { return board_->values.contains(name); })) {
      fail("rank {} waited {} ms for \"{}\" of rank {} on {}", rank_, deadline.count(), key, rank,
           host(rank));
    }
    return board_->values.at(name);
  }

  std::vector<Rank> take_failures() override {
    const std::lock_guard lock(board_->mutex);
    const std::vector<Rank> fresh(board_->ended.begin() + static_cast<std::ptrdiff_t>(told_),
                                  board_->ended.end());
    told_ = board_->ended.size();
    return fresh;
  }

 private:
  Rank rank_;
  Board* board_;
  std::size_t told_ = 0;  // of Board::ended
};

LocalMeeting::LocalMeeting(int size, std::vector<std::string> hosts)
    : board_(std::make_unique<Board>(size, std::move(hosts))) {}

LocalMeeting::~LocalMeeting() = default;

std::unique_ptr<Rendezvous> LocalMeeting::join(Rank rank) {
  return std::make_unique<Board::Place>(rank, *board_);
}

void LocalMeeting::mark_ended(Rank rank) {
  const std::lock_guard lock(board_->mutex);
  board_->ended.push_back(rank);
}

}  // namespace alder
