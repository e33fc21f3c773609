#include "data/dataset.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "data/cifar.hpp"
#include "data/shapes.hpp"

namespace alder::data {
namespace {

void limit(Pictures& pictures, int64_t count) {
  if (count <= 0 || count >= pictures.count()) return;
  pictures.labels.resize(count);
  pictures.pixels.resize(count * pictures.bytes_per_picture());
}

Dataset load_whole(std::string_view specification, const DatasetOptions& options) {
  const std::size_t colon = specification.find(':');
  const std::string_view word = specification.substr(0, colon);
  const std::string_view folder = colon == std::string_view::npos ? "" : specification.substr(colon + 1);
  if (word == "shapes") {
    if (colon != std::string_view::npos) {
      usage_error("data '{}': shapes are drawn, not read; write 'shapes'", specification);
    }
    // Each picture is drawn from its own position of the random stream, so those left out need no drawing.
    const auto drawn = [](int64_t all, int64_t limit) { return limit > 0 ? std::min(all, limit) : all; };
    return draw_shapes(options.seed, drawn(options.shapes_train, options.limit_train),
                       drawn(options.shapes_test, options.limit_test));
  }
  if (word != "cifar10" && word != "cifar100") {
    const std::array<std::string, 3> known{"cifar10", "cifar100", "shapes"};
    usage_error("{} (write cifar10:DIR, cifar100:DIR or shapes)", unknown_name("data", word, known));
  }
  if (folder.empty()) {
    usage_error("data '{}' names no folder; write {}:DIR with the folder of the binary files", specification,
                word);
  }
  return word == "cifar10" ? load_cifar10(folder, options.verify) : load_cifar100(folder, options.verify);
}

}  // namespace

Dataset load_dataset(std::string_view specification, const DatasetOptions& options) {
  if (options.limit_train < 0 || options.limit_test < 0) {
    usage_error("limits of {} training and {} test pictures are not possible; 0 means all",
                options.limit_train, options.limit_test);
  }
  Dataset dataset = load_whole(specification, options);
  limit(dataset.train, options.limit_train);
  limit(dataset.test, options.limit_test);
  return dataset;
}

}  // namespace alder::data
