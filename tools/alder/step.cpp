// alder step
#include <memory>
#include <string>

#include "commands.hpp"
#include "config_file.hpp"
#include "devices.hpp"
#include "train/single_step.hpp"

namespace alder::tools {

void add_step(CLI::App& app) {
  CLI::App* command = app.add_subcommand("step", "One forward and backward with given weights and batch");
  const auto options = std::make_shared<train::SingleStepOptions>();
  const auto device = std::make_shared<DeviceWords>();
  add_config_option(*command);
  command->add_option("--model", options->model, "Model name")->required();
  command
      ->add_option("--init", options->init,
                   "Weights and statistics: a .safetensors file under PyTorch's names")
      ->required();
  command
      ->add_option("--batch", options->batch,
                   "images (uint8, or float32 normalised; NCHW) and labels (int64)")
      ->required();
  command->add_option("--out", options->out, "Receives logits, loss, grad.NAME and the updated statistics")
      ->required();
  command->add_option("--mean", options->mean, "Per channel, for uint8 images")->delimiter(',');
  command->add_option("--deviation", options->deviation, "Per channel, for uint8 images")->delimiter(',');
  device->add_to(*command);
  command->add_option("--threads", options->threads, "CPU threads");
  command->add_option("--label-smoothing", options->label_smoothing, "Label smoothing");
  command->callback([options, device] {
    options->precision = device->precision();
    options->make_engine = device->engine_maker();
    train::single_step(*options);
  });
}

}  // namespace alder::tools
