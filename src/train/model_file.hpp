// One model array, or one momentum, as a safetensors file under PyTorch's names, and back.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/types.hpp"
#include "engine/engine.hpp"

namespace alder::train {

// The arrays are in the engine's order. save: returns the file's SHA-256. load: `digest` is what that must
// be; empty: any. Throw Error naming the file and what is wrong with it.
std::string save_model(const std::filesystem::path& path, const Engine& engine, std::span<const float> model,
                       Step step);
void load_model(const std::filesystem::path& path, const Engine& engine, std::span<float> model,
                const std::string& digest = {});
std::string save_momentum(const std::filesystem::path& path, Engine& engine, Step step);
void load_momentum(const std::filesystem::path& path, Engine& engine, const std::string& digest = {});

}  // namespace alder::train
