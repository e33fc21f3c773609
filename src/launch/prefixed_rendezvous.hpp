// A part of a job's rendezvous with keys of its own, so that several things can be set up over one job, one
// after another.
#pragma once

#include <string>
#include <utility>

#include "launch/rendezvous.hpp"

namespace alder {

class PrefixedRendezvous final : public Rendezvous {
 public:
  // `whole` outlives this. A prefix is used once.
  PrefixedRendezvous(Rendezvous& whole, std::string prefix) : whole_(whole), prefix_(std::move(prefix)) {}
  Rank rank() const override { return whole_.rank(); }
  int size() const override { return whole_.size(); }
  std::string host(Rank rank) const override { return whole_.host(rank); }
  std::string description() const override { return whole_.description(); }
  void put(std::string_view key, std::span<const std::byte> value) override { whole_.put(own(key), value); }
  void fence(std::chrono::milliseconds deadline) override { whole_.fence(deadline); }
  std::vector<std::byte> get(Rank rank, std::string_view key, std::chrono::milliseconds deadline) override {
    return whole_.get(rank, own(key), deadline);
  }
  std::vector<Rank> take_failures() override { return whole_.take_failures(); }

 private:
  std::string own(std::string_view key) const { return prefix_ + "." + std::string(key); }

  Rendezvous& whole_;
  std::string prefix_;
};

}  // namespace alder
