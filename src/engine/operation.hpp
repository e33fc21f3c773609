// One oneDNN primitive with its arguments: converts those whose layout or type the primitive wants
// otherwise, in scratch memory that all operations of an engine share.
#pragma once

#include <cstddef>
#include <dnnl.hpp>
#include <vector>

namespace alder {

// What operations run on: one engine's stream, and the scratch that is big enough for each of them.
struct Lane {
  dnnl::engine engine;
  dnnl::stream stream;
  std::byte* scratch = nullptr;
};

class Operation {
 public:
  Operation() = default;
  // `scratchpad`: what the primitive itself needs (created with user-managed scratchpad).
  Operation(const dnnl::engine& engine, const dnnl::primitive& primitive,
            const dnnl::memory::desc& scratchpad);

  // Declares argument `id` (DNNL_ARG_...), given as `given` and wanted as `wanted`.
  void input(int id, const dnnl::memory::desc& given, const dnnl::memory::desc& wanted);
  void output(int id, const dnnl::memory::desc& given, const dnnl::memory::desc& wanted);

  std::size_t scratch_bytes() const { return scratch_bytes_; }

  // Runs with one address per argument, in the order of declaration. Throws dnnl::error (which only
  // a broken installation does at this point). Allocates nothing of its own.
  void run(const Lane& lane, std::initializer_list<const void*> addresses);

 private:
  struct Argument {
    int id;
    bool output;
    dnnl::memory given, wanted;  // the same object where no conversion is needed
    dnnl::primitive conversion;  // empty where none is needed
    std::size_t offset = 0;      // of `wanted` in the scratch
  };

  void declare(int id, bool output, const dnnl::memory::desc& given, const dnnl::memory::desc& wanted);
  std::size_t reserve(std::size_t bytes);

  dnnl::engine engine_;
  dnnl::primitive primitive_;
  dnnl::memory scratchpad_;
  std::size_t scratchpad_offset_ = 0;
  std::vector<Argument> arguments_;
  std::vector<dnnl_exec_arg_t> bound_;  // as dnnl_primitive_execute takes them
  std::size_t scratch_bytes_ = 0;
};

}  // namespace alder
