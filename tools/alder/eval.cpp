// alder eval
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "config_file.hpp"
#include "devices.hpp"
#include "train/saved_model.hpp"

namespace alder::tools {

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Test saved models: one worker's, all, or their average");
  const auto options = std::make_shared<train::EvalOptions>();
  const auto device = std::make_shared<DeviceWords>();
  const auto json = std::make_shared<bool>(false);
  add_config_option(*command);
  command
      ->add_option("--checkpoint", options->checkpoint, "Run folder, checkpoint folder or .safetensors file")
      ->required();
  command->add_option("--which", options->which,
                      "average (statistics recalibrated), all, or a worker's rank");
  command->add_option("--model", options->model, "Model name; empty: what the file says");
  command->add_option("--data", options->data, "shapes, cifar10:DIR, cifar100:DIR");
  command->add_option("--seed", options->dataset.seed, "Seed of the shapes set");
  command->add_option("--limit-test", options->dataset.limit_test, "Use the first N test pictures; 0: all");
  command->add_option("--batch", options->batch, "Pictures at a time");
  command->add_option("--threads", options->threads, "CPU threads; 0: all that this process may use");
  device->add_to(*command);
  command->add_option("--recalibration-pictures", options->recalibration_pictures,
                      "Training pictures for the average's batch norm");
  command->add_flag("--json", *json, "Print one JSON object on standard output and nothing else");
  command->callback([options, device, json] {
    options->precision = device->precision();
    options->make_engine = device->engine_maker();
    const auto results = train::evaluate_saved(*options);
    if (*json) {
      nlohmann::ordered_json list = nlohmann::ordered_json::array();
      for (const auto& result : results) {
        list.push_back({{"model", result.what},
                        {"test_accuracy", result.accuracy},
                        {"test_loss", result.loss},
                        {"pictures", result.pictures}});
      }
      fmt::print("{}\n",
                 nlohmann::ordered_json{
                     {"checkpoint", options->checkpoint.string()}, {"data", options->data}, {"results", list}}
                     .dump(2));
      return;
    }
    for (const auto& result : results) {
      fmt::print("{:<24} accuracy {:6.2f} %  loss {:.4f}  {} pictures\n", result.what, 100 * result.accuracy,
                 result.loss, result.pictures);
    }
  });
}

}  // namespace alder::tools
