#include "engine/operation.hpp"

#include "engine/aligned.hpp"

namespace alder {
namespace {

void* address(const void* data) {
  return const_cast<void*>(data);  // oneDNN has one handle type for inputs and outputs
}

void execute(const dnnl::primitive& primitive, const dnnl::stream& stream, const dnnl_exec_arg_t* arguments,
             std::size_t count) {
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive.get(), stream.get(), static_cast<int>(count), arguments),
      "could not execute a primitive");
}

void convert(const dnnl::primitive& conversion, const dnnl::stream& stream, const dnnl::memory& from,
             const dnnl::memory& to) {
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}};
  execute(conversion, stream, arguments, 2);
}

}  // namespace

Operation::Operation(const dnnl::engine& engine, const dnnl::primitive& primitive,
                     const dnnl::memory::desc& scratchpad)
    : engine_(engine), primitive_(primitive), scratchpad_(scratchpad, engine, nullptr) {
  scratchpad_offset_ = reserve(scratchpad.get_size());
  bound_.push_back({DNNL_ARG_SCRATCHPAD, scratchpad_.get()});
}

void Operation::input(int id, const dnnl::memory::desc& given, const dnnl::memory::desc& wanted) {
  declare(id, false, given, wanted);
}

void Operation::output(int id, const dnnl::memory::desc& given, const dnnl::memory::desc& wanted) {
  declare(id, true, given, wanted);
}

void Operation::declare(int id, bool output, const dnnl::memory::desc& given,
                        const dnnl::memory::desc& wanted) {
  Argument argument{.id = id, .output = output, .given = {given, engine_, nullptr}};
  if (given == wanted) {
    argument.wanted = argument.given;
  } else {
    argument.wanted = dnnl::memory(wanted, engine_, nullptr);
    argument.offset = reserve(wanted.get_size());
    const auto& from = output ? argument.wanted : argument.given;
    const auto& to = output ? argument.given : argument.wanted;
    argument.conversion = dnnl::reorder(from, to);
  }
  bound_.push_back({id, argument.wanted.get()});
  arguments_.push_back(std::move(argument));
}

std::size_t Operation::reserve(std::size_t bytes) {
  const std::size_t offset = scratch_bytes_;
  scratch_bytes_ += round_up(bytes, kAlignment);
  return offset;
}

void Operation::run(const Lane& lane, std::initializer_list<const void*> addresses) {
  scratchpad_.set_data_handle(lane.scratch + scratchpad_offset_);
  auto data = addresses.begin();
  for (Argument& argument : arguments_) {
    argument.given.set_data_handle(address(*data++));
    if (!argument.conversion) continue;
    argument.wanted.set_data_handle(lane.scratch + argument.offset);
    if (!argument.output) convert(argument.conversion, lane.stream, argument.given, argument.wanted);
  }
  execute(primitive_, lane.stream, bound_.data(), bound_.size());
  for (const Argument& argument : arguments_) {
    if (argument.conversion && argument.output) {
      convert(argument.conversion, lane.stream, argument.wanted, argument.given);
    }
  }
}

}  // namespace alder
