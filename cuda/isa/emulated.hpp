// Bodies of isa.hpp for the host compiler: memory accesses and atomics are plain ones, which sanitizers see;
// all else calls the emulator.
#pragma once

#include <bit>
#include <cmath>

#include "cuda/emulator/bf16.hpp"
#include "cuda/emulator/intrinsics.hpp"

namespace alder::ALDER_BACKEND::isa {

inline uint32_t thread() {
  return emulator::current->thread;
}
inline uint32_t threads() {
  return emulator::current->threads;
}
inline uint32_t lane() {
  return thread() % kWarpThreads;
}
inline uint32_t warp() {
  return thread() / kWarpThreads;
}
inline uint32_t block_x() {
  return emulator::current->block[0];
}
inline uint32_t block_y() {
  return emulator::current->block[1];
}
inline uint32_t block_z() {
  return emulator::current->block[2];
}
inline uint32_t blocks_x() {
  return emulator::current->blocks[0];
}
inline uint32_t blocks_y() {
  return emulator::current->blocks[1];
}
inline uint32_t blocks_z() {
  return emulator::current->blocks[2];
}

template <typename T>
inline T& shared(Site site) {
  return *static_cast<T*>(emulator::shared_memory(sizeof(T), alignof(T), site));
}
inline uint32_t shared_address(const void* pointer, Site site) {
  return emulator::shared_address(pointer, site);
}

inline void sync_block(Site site) {
  emulator::barrier_all(emulator::Reduce::none, false, site);
}
inline bool sync_block_any(bool predicate, Site site) {
  return emulator::barrier_all(emulator::Reduce::any, predicate, site) != 0;
}
inline bool sync_block_all(bool predicate, Site site) {
  return emulator::barrier_all(emulator::Reduce::all, predicate, site) != 0;
}
inline int sync_block_count(bool predicate, Site site) {
  return emulator::barrier_all(emulator::Reduce::count, predicate, site);
}
inline void barrier_sync(uint32_t id, uint32_t threads, Site site) {
  emulator::barrier_named(id, threads, true, site);
}
inline void barrier_arrive(uint32_t id, uint32_t threads, Site site) {
  emulator::barrier_named(id, threads, false, site);
}
inline void sync_warp(uint32_t mask, Site site) {
  emulator::sync_warp(mask, site);
}

namespace detail {

template <typename T>
inline T shuffle_words(emulator::ShuffleMode mode, T value, uint32_t argument, uint32_t mask, Site site) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint32_t words[sizeof(T) / 4];
  std::memcpy(words, &value, sizeof value);
  for (uint32_t& word : words) word = emulator::shuffle(mode, mask, word, argument, site);
  std::memcpy(&value, words, sizeof value);
  return value;
}

}  // namespace detail

template <typename T>
inline T shuffle(T value, uint32_t from_lane, uint32_t mask, Site site) {
  return detail::shuffle_words(emulator::ShuffleMode::index, value, from_lane, mask, site);
}
template <typename T>
inline T shuffle_xor(T value, uint32_t lanes, uint32_t mask, Site site) {
  return detail::shuffle_words(emulator::ShuffleMode::exclusive_or, value, lanes, mask, site);
}
template <typename T>
inline T shuffle_up(T value, uint32_t by, uint32_t mask, Site site) {
  return detail::shuffle_words(emulator::ShuffleMode::up, value, by, mask, site);
}
template <typename T>
inline T shuffle_down(T value, uint32_t by, uint32_t mask, Site site) {
  return detail::shuffle_words(emulator::ShuffleMode::down, value, by, mask, site);
}
inline uint32_t ballot(bool predicate, uint32_t mask, Site site) {
  return emulator::ballot(mask, predicate, site);
}
inline bool any(bool predicate, uint32_t mask, Site site) {
  return emulator::ballot(mask, predicate, site) != 0;
}
inline bool all(bool predicate, uint32_t mask, Site site) {
  return emulator::ballot(mask, !predicate, site) == 0;
}

inline void fence_block() {
  emulator::fence();
}
inline void fence_device() {
  emulator::fence();
}
inline void fence_system() {
  emulator::fence();
}

namespace detail {

// Replaces the value at `address` by change(old), atomically. Relaxed.
template <typename T, typename Change>
inline T atomic_update(T* address, const Change& change) {
  using Word = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  auto* word = reinterpret_cast<Word*>(address);
  Word old = __atomic_load_n(word, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(word, &old, std::bit_cast<Word>(change(std::bit_cast<T>(old))), true,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return std::bit_cast<T>(old);
}

}  // namespace detail

template <typename T>
inline T atomic_add(T* address, T value, Site site) {
  emulator::check_access(address, sizeof(T), "atomic_add", site);
  return detail::atomic_update(address, [value](T old) { return static_cast<T>(old + value); });
}
template <typename T>
inline T atomic_max(T* address, T value, Site site) {
  emulator::check_access(address, sizeof(T), "atomic_max", site);
  return detail::atomic_update(address, [value](T old) { return old < value ? value : old; });
}
template <typename T>
inline T atomic_exchange(T* address, T value, Site site) {
  emulator::check_access(address, sizeof(T), "atomic_exchange", site);
  return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);
}
inline uint32_t atomic_compare_exchange(uint32_t* address, uint32_t expected, uint32_t value, Site site) {
  emulator::check_access(address, sizeof *address, "atomic_compare_exchange", site);
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
inline uint32_t atomic_add_acq_rel(uint32_t* address, uint32_t value, Site site) {
  emulator::check_access(address, sizeof *address, "atomic_add_acq_rel", site);
  return __atomic_fetch_add(address, value, __ATOMIC_ACQ_REL);
}
inline uint32_t take_ticket(uint32_t* counter, uint32_t last, Site site) {
  emulator::check_access(counter, sizeof *counter, "take_ticket", site);
  uint32_t old = __atomic_load_n(counter, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(counter, &old, old >= last ? 0 : old + 1, true, __ATOMIC_ACQ_REL,
                                      __ATOMIC_RELAXED)) {
  }
  return old;
}
template <typename T>
inline T load_acquire(const T* address, Site site) {
  emulator::check_access(address, sizeof(T), "load_acquire", site);
  return __atomic_load_n(address, __ATOMIC_ACQUIRE);
}
template <typename T>
inline void store_release(T* address, T value, Site site) {
  emulator::check_access(address, sizeof(T), "store_release", site);
  __atomic_store_n(address, value, __ATOMIC_RELEASE);
}
template <typename T>
inline T load_acquire_system(const T* address, Site site) {
  return load_acquire(address, site);
}
template <typename T>
inline void store_release_system(T* address, T value, Site site) {
  store_release(address, value, site);
}

inline bool last_block_here(uint32_t* counter, uint32_t blocks, Site site) {
  sync_block(site);
  const bool last = thread() == 0 && take_ticket(counter, blocks - 1, site) == blocks - 1;
  return sync_block_any(last, site);
}

template <typename V, Cache C>
inline V load(const void* address, Site site) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
  emulator::check_access(address, sizeof(V), "load", site);
  return *static_cast<const V*>(address);
}
template <Cache C, typename V>
inline void store(void* address, const V& value, Site site) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
  static_assert(C != Cache::read_only);
  emulator::check_access(address, sizeof(V), "store", site);
  if constexpr (C == Cache::normal) emulator::note_store(address, sizeof(V));
  *static_cast<V*>(address) = value;
}

inline uint16_t to_bf16(float value) {
  return emulator::to_bf16(value);
}
inline float from_bf16(uint16_t value) {
  return emulator::from_bf16(value);
}
inline uint32_t pack_bf16(float low, float high) {
  return to_bf16(low) | uint32_t{to_bf16(high)} << 16;
}
inline float low_bf16(uint32_t pair) {
  return std::bit_cast<float>(pair << 16);
}
inline float high_bf16(uint32_t pair) {
  return std::bit_cast<float>(pair & 0xFFFF0000U);
}

namespace detail {

inline uint16_t low_half(uint32_t pair) {
  return static_cast<uint16_t>(pair);
}
inline uint16_t high_half(uint32_t pair) {
  return static_cast<uint16_t>(pair >> 16);
}

}  // namespace detail

inline uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  using namespace detail;
  return emulator::fma_bf16(low_half(a), low_half(b), low_half(c)) |
         uint32_t{emulator::fma_bf16(high_half(a), high_half(b), high_half(c))} << 16;
}
inline uint32_t fma_relu_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  const uint32_t sums = fma_bf16x2(a, b, c);
  return emulator::relu_bf16(detail::low_half(sums)) | uint32_t{emulator::relu_bf16(detail::high_half(sums))}
                                                           << 16;
}

// The emulated sources are compiled with -ffp-contract=off.
inline float multiply(float a, float b) {
  return a * b;
}
inline float add(float a, float b) {
  return a + b;
}
inline float fused_multiply_add(float a, float b, float c) {
  return std::fma(a, b, c);
}

inline void cp_async16(uint32_t shared, const void* global, bool valid, Site site) {
  emulator::cp_async(shared, global, 16, valid ? 16 : 0, site);
}
inline void cp_async4(uint32_t shared, const void* global, bool valid, Site site) {
  emulator::cp_async(shared, global, 4, valid ? 4 : 0, site);
}
inline void cp_async_commit() {
  emulator::cp_async_commit();
}
template <int Left>
inline void cp_async_wait() {
  static_assert(Left >= 0);
  emulator::cp_async_wait(Left);
}

template <bool Transposed, int N>
inline void ldmatrix(uint32_t (&registers)[N], uint32_t shared, Site site) {
  static_assert(N == 1 || N == 2 || N == 4);
  emulator::ldmatrix(registers, N, Transposed, shared, site);
}
inline void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  emulator::mma(d, a, b, 1, 1, site);
}
template <int Rows, int Columns>
inline void mma_tile(float (&d)[Rows][Columns][4], const uint32_t (&a)[Rows][4],
                     const uint32_t (&b)[Columns][2], Site site) {
  emulator::mma(&d[0][0][0], &a[0][0], &b[0][0], Rows, Columns, site);
}

inline void trap(const char* message, Site site) {
  emulator::trap(message, site);
}

}  // namespace alder::ALDER_BACKEND::isa
