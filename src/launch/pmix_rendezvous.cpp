#include "launch/pmix_rendezvous.hpp"

#include <fmt/format.h>
#include <pmix.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <sstream>
#include <utility>

#include "base/error.hpp"
#include "launch/rank_claim.hpp"

namespace alder {
namespace {

using std::chrono::milliseconds;

std::string text(pmix_status_t status) {
  return fmt::format("{} ({})", PMIx_Error_string(status), status);
}

// What an asynchronous call answers. Owned by the caller and by the library's callback: an answer that comes
// after the deadline finds its place still there.
struct Answer {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<pmix_status_t> status;  // set when it has come
  std::vector<std::byte> value;

  void come(pmix_status_t result, const pmix_value_t* content) {
    const std::lock_guard lock(mutex);
    if (result == PMIX_SUCCESS && content != nullptr && content->type == PMIX_BYTE_OBJECT) {
      const auto* begin = reinterpret_cast<const std::byte*>(content->data.bo.bytes);
      value.assign(begin, begin + content->data.bo.size);
    }
    status = result;
    changed.notify_all();
  }
  // False when the deadline passed.
  bool wait(milliseconds deadline) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, deadline, [&] { return status.has_value(); });
  }
};
using SharedAnswer = std::shared_ptr<Answer>;

void on_operation(pmix_status_t status, void* data) {
  const std::unique_ptr<SharedAnswer> answer(static_cast<SharedAnswer*>(data));
  (*answer)->come(status, nullptr);
}
void on_value(pmix_status_t status, pmix_value_t* value, void* data) {
  const std::unique_ptr<SharedAnswer> answer(static_cast<SharedAnswer*>(data));
  (*answer)->come(status, value);
}

// Starts `call(callback data)`; an immediate refusal is an answer too, and then no callback comes.
template <typename Call>
SharedAnswer ask(Call call) {
  auto answer = std::make_shared<Answer>();
  auto data = std::make_unique<SharedAnswer>(answer);
  const pmix_status_t status = call(data.get());
  if (status == PMIX_SUCCESS) {
    data.release();  // the callback owns it now
  } else {
    answer->come(status == PMIX_OPERATION_SUCCEEDED ? PMIX_SUCCESS : status, nullptr);
  }
  return answer;
}

// The library calls handlers without a pointer of ours, so what they report to is one for the process.
struct Events {
  std::mutex mutex;
  std::vector<Rank> ended;
  std::string job;
};
Events& events() {
  static Events one;
  return one;
}

void on_event(std::size_t, pmix_status_t, const pmix_proc_t* source, pmix_info_t info[], std::size_t count,
              pmix_info_t*, std::size_t, pmix_event_notification_cbfunc_fn_t done, void* done_data) {
  pmix_proc_t affected{};
  if (source != nullptr) affected = *source;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::strcmp(info[i].key, PMIX_EVENT_AFFECTED_PROC) == 0 && info[i].value.type == PMIX_PROC) {
      affected = *info[i].value.data.proc;
    }
  }
  {
    Events& record = events();
    const std::lock_guard lock(record.mutex);
    if (record.job == affected.nspace && affected.rank <= PMIX_RANK_VALID)
      record.ended.push_back(static_cast<Rank>(affected.rank));
  }
  // "Complete" keeps the library from its default, which may end this process.
  if (done != nullptr) done(PMIX_EVENT_ACTION_COMPLETE, nullptr, 0, nullptr, nullptr, done_data);
}

class Connected final : public PmixRendezvous {
 public:
  Connected(const Environment& environment, Launcher launcher);
  ~Connected() override { leave(); }
  Connected(const Connected&) = delete;
  Connected& operator=(const Connected&) = delete;

  Rank rank() const override { return static_cast<Rank>(self_.rank); }
  int size() const override { return size_; }
  std::string host(Rank rank) const override { return hosts_.at(static_cast<std::size_t>(rank)); }
  std::string description() const override;
  std::string job() const override { return self_.nspace; }
  std::vector<Rank> local_ranks() override;

  void put(std::string_view key, std::span<const std::byte> value) override;
  void fence(milliseconds deadline) override;
  std::vector<std::byte> get(Rank rank, std::string_view key, milliseconds deadline) override;
  std::vector<Rank> take_failures() override;
  void leave() override;

 private:
  pmix_proc_t process(Rank rank) const;
  std::optional<std::string> string_of(pmix_rank_t rank, const char* key) const;
  SharedAnswer ask_value(Rank rank, const std::string& key) const;
  std::string missing_at(int fence) const;
  void check_connected(const char* what) const;

  void ask_hosts();

  Launcher launcher_;
  RankClaim claim_;
  pmix_proc_t self_{};
  bool connected_ = false;
  int size_ = 0, fences_ = 0;
  std::vector<std::string> hosts_;
  std::size_t told_ = 0;  // of Events::ended
};

Rank rank_in(const Environment& environment) {
  const char* word = environment("PMIX_RANK");
  return word == nullptr ? 0 : static_cast<Rank>(std::strtol(word, nullptr, 10));
}

Connected::Connected(const Environment& environment, Launcher launcher)
    : launcher_(std::move(launcher)), claim_(environment("PMIX_NAMESPACE"), rank_in(environment)) {
  pmix_status_t status = PMIx_Init(&self_, nullptr, 0);
  if (status != PMIX_SUCCESS) {
    fail("{} started this process, but its PMIx server does not answer: PMIx_Init says {}", launcher_.name,
         text(status));
  }
  connected_ = true;
  pmix_proc_t all = process(0);
  all.rank = PMIX_RANK_WILDCARD;
  pmix_value_t* value = nullptr;
  status = PMIx_Get(&all, PMIX_JOB_SIZE, nullptr, 0, &value);
  if (status != PMIX_SUCCESS || value->type != PMIX_UINT32) {
    leave();
    fail("{} does not say how many processes the job has: {}", launcher_.name, text(status));
  }
  size_ = static_cast<int>(value->data.uint32);
  PMIX_VALUE_RELEASE(value);
  ask_hosts();
  {
    Events& record = events();
    const std::lock_guard lock(record.mutex);
    record.job = self_.nspace;
    told_ = record.ended.size();
  }
  // No codes: all events that no other handler has taken.
  PMIx_Register_event_handler(nullptr, 0, nullptr, 0, on_event, nullptr, nullptr);
}

pmix_proc_t Connected::process(Rank rank) const {
  pmix_proc_t one;
  PMIX_LOAD_PROCID(&one, self_.nspace, static_cast<pmix_rank_t>(rank));
  return one;
}

void Connected::check_connected(const char* what) const {
  if (!connected_) throw std::logic_error(fmt::format("{} after leaving the launcher", what));
}

// A word that the launcher itself knows of a process; never asked of other nodes.
std::optional<std::string> Connected::string_of(pmix_rank_t rank, const char* key) const {
  if (!connected_) return std::nullopt;
  pmix_proc_t of = process(0);
  of.rank = rank;
  pmix_info_t optional;
  PMIX_INFO_LOAD(&optional, PMIX_OPTIONAL, nullptr, PMIX_BOOL);
  pmix_value_t* value = nullptr;
  const pmix_status_t status = PMIx_Get(&of, key, &optional, 1, &value);
  PMIX_INFO_DESTRUCT(&optional);
  if (status != PMIX_SUCCESS) return std::nullopt;
  std::optional<std::string> word;
  if (value->type == PMIX_STRING && value->data.string != nullptr) word = value->data.string;
  PMIX_VALUE_RELEASE(value);
  return word;
}

void Connected::ask_hosts() {
  for (Rank rank = 0; rank < size_; ++rank) {
    const auto name = string_of(static_cast<pmix_rank_t>(rank), PMIX_HOSTNAME);
    hosts_.push_back(name.value_or("a host the launcher does not name"));
  }
}

// "OpenPMIx 4.2.2 under mpirun (Open MPI)"; the library adds the standard's versions in brackets.
std::string Connected::description() const {
  const std::string version = PMIx_Get_version();
  return fmt::format("{} under {}", version.substr(0, version.find(" (")), launcher_.name);
}

std::vector<Rank> Connected::local_ranks() {
  std::vector<Rank> ranks;
  std::stringstream list(string_of(PMIX_RANK_WILDCARD, PMIX_LOCAL_PEERS).value_or(""));
  for (std::string word; std::getline(list, word, ',');) ranks.push_back(std::atoi(word.c_str()));
  if (ranks.empty()) ranks.push_back(rank());
  std::ranges::sort(ranks);
  return ranks;
}

void Connected::put(std::string_view key, std::span<const std::byte> value) {
  check_connected("put");
  // The library copies; it only lacks a const.
  pmix_value_t one{};
  one.type = PMIX_BYTE_OBJECT;
  one.data.bo.bytes = const_cast<char*>(reinterpret_cast<const char*>(value.data()));
  one.data.bo.size = value.size();
  const std::string name = "alder." + std::string(key);
  const pmix_status_t status = PMIx_Put(PMIX_GLOBAL, name.c_str(), &one);
  if (status != PMIX_SUCCESS) {
    fail("rank {} cannot put {} bytes under \"{}\": PMIx_Put says {}", rank(), value.size(), key,
         text(status));
  }
}

void Connected::fence(milliseconds deadline) {
  check_connected("fence");
  ++fences_;
  // A mark that says who has come, for the message when somebody has not.
  const std::byte mark{1};
  put(fmt::format("fence.{}", fences_), {&mark, 1});
  if (const pmix_status_t status = PMIx_Commit(); status != PMIX_SUCCESS) {
    fail("rank {} at fence {}: PMIx_Commit says {}", rank(), fences_, text(status));
  }
  pmix_info_t collect;
  PMIX_INFO_LOAD(&collect, PMIX_COLLECT_DATA, nullptr, PMIX_BOOL);
  const auto answer =
      ask([&](void* data) { return PMIx_Fence_nb(nullptr, 0, &collect, 1, on_operation, data); });
  const bool came = answer->wait(deadline);
  PMIX_INFO_DESTRUCT(&collect);
  if (!came) {
    fail("rank {} on {} waited {} s at fence {} of job {} for {}", rank(), host(rank()),
         static_cast<double>(deadline.count()) / 1000, fences_, job(), missing_at(fences_));
  }
  if (*answer->status != PMIX_SUCCESS) {
    fail("rank {} on {} at fence {} of job {}: PMIx_Fence says {}; has a process of the job ended?", rank(),
         host(rank()), fences_, job(), text(*answer->status));
  }
}

// Who has not put this fence's mark: "rank 3 on node7, rank 5 on node9".
std::string Connected::missing_at(int fence) const {
  std::vector<SharedAnswer> answers;
  for (Rank rank = 0; rank < size_; ++rank)
    answers.push_back(ask_value(rank, fmt::format("fence.{}", fence)));
  // One short wait for all: whoever has come is known to the servers, and whoever has not never answers.
  const auto until = std::chrono::steady_clock::now() + milliseconds(1000);
  std::string names;
  for (Rank rank = 0; rank < size_; ++rank) {
    const auto left = until - std::chrono::steady_clock::now();
    Answer& answer = *answers[static_cast<std::size_t>(rank)];
    if (answer.wait(std::chrono::ceil<milliseconds>(left)) && *answer.status == PMIX_SUCCESS) continue;
    names += fmt::format("{}rank {} on {}", names.empty() ? "" : ", ", rank, host(rank));
  }
  return names.empty() ? "the launcher, though all ranks have come" : names;
}

SharedAnswer Connected::ask_value(Rank rank, const std::string& key) const {
  const pmix_proc_t of = process(rank);
  const std::string name = "alder." + key;
  return ask([&](void* data) { return PMIx_Get_nb(&of, name.c_str(), nullptr, 0, on_value, data); });
}

std::vector<std::byte> Connected::get(Rank rank, std::string_view key, milliseconds deadline) {
  check_connected("get");
  if (rank < 0 || rank >= size_) fail("rank {} asks for rank {} of {}", this->rank(), rank, size_);
  const SharedAnswer answer = ask_value(rank, std::string(key));
  if (!answer->wait(deadline)) {
    fail("rank {} on {} waited {} s for \"{}\" of rank {} on {}", this->rank(), host(this->rank()),
         static_cast<double>(deadline.count()) / 1000, key, rank, host(rank));
  }
  if (*answer->status != PMIX_SUCCESS) {
    fail("rank {} on {} asked for \"{}\" of rank {} on {}: PMIx_Get says {}", this->rank(),
         host(this->rank()), key, rank, host(rank), text(*answer->status));
  }
  return std::move(answer->value);
}

std::vector<Rank> Connected::take_failures() {
  Events& record = events();
  const std::lock_guard lock(record.mutex);
  const std::vector<Rank> fresh(record.ended.begin() + static_cast<std::ptrdiff_t>(told_),
                                record.ended.end());
  told_ = record.ended.size();
  return fresh;
}

void Connected::leave() {
  if (std::exchange(connected_, false)) PMIx_Finalize(nullptr, 0);
}

}  // namespace

std::unique_ptr<PmixRendezvous> make_pmix_rendezvous(const Environment& environment,
                                                     std::string_view option) {
  auto launcher = find_launcher(environment);
  if (!launcher || !launcher->pmix) throw UsageError(explain_missing_launcher(environment, option));
  return std::make_unique<Connected>(environment, std::move(*launcher));
}

}  // namespace alder
