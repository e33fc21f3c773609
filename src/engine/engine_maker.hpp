// How a kind of engine is made, for whoever does not know which kinds there are.
#pragma once

#include <functional>
#include <memory>

#include "engine/engine.hpp"

namespace alder {

using EngineMaker = std::function<std::unique_ptr<Engine>(const Network&, const EngineSettings&)>;

}  // namespace alder
