// Networks as data: layers, shapes and a parameter table. No arithmetic here.
//
// The parameters and batch-norm statistics of one model are one flat array of float32, the *model
// array*. Every tensor starts at a multiple of 128 bytes, in the order of the table; what lies
// between tensors is zero and stays zero. Parameters come first, statistics after them:
//
//   [ conv1.weight | bn1.weight | bn1.bias | ... | fc.bias ][ bn1.running_mean | bn1.running_var | ... ]
//     0                                       parameter_elements                               elements
//
// Names and shapes are those of the usual PyTorch models (torchvision), so that weights travel both
// ways; WideResNets, which torchvision has not, are named in the same way: conv1, then in each block
// layerS.I.{bn1, conv1, bn2, conv2, downsample.0}, then bn1 and fc. (Code that follows the AL-DSGD
// release says `shortcut` for `downsample` and `linear` for `fc`.) Gradients and momentum have the
// same layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace alder {

enum class Op {
  input,        // channels x height x width, normalised pictures
  convolution,  // cross-correlation, square kernel, symmetric padding
  batch_norm,   // over batch, height, width; eps 1e-5; statistics momentum 0.1
  relu,
  add,           // input + input2, same shape
  average_pool,  // global: channels x 1 x 1
  linear,        // logits = x W^T + b
};

// One layer: reads the outputs of `input` (and `input2` for add), both smaller than its own index.
struct Layer {
  Op op;
  std::string name;  // PyTorch module name ("layer1.0.conv1"); empty for relu, add, pool
  int input = -1;    // index of the layer whose output is read
  int input2 = -1;   // add only
  int channels = 0;  // of the output
  int height = 0, width = 0;
  int kernel = 0, stride = 1, padding = 0;  // convolution only
  int weight = -1;                          // index in parameters: convolution, linear, batch_norm's gamma
  int bias = -1;          // index in parameters: convolution/linear bias (or -1), batch_norm's beta
  int running_mean = -1;  // index in statistics: batch_norm only
  int running_var = -1;
  double statistics_momentum = 0.1;  // batch_norm only: new = (1-m) old + m batch
};

// How a tensor begins; `fan` is Tensor::fan. The two uniform ones are PyTorch's defaults for convolution and
// linear layers (kaiming_uniform_ with a = sqrt(5), which comes to this bound).
enum class Initial {
  kaiming_normal_fan_out,  // normal, variance 2 / fan
  kaiming_uniform_fan_in,  // uniform in +-1 / sqrt(fan)
  linear_bias_uniform,     // the same, for a bias: fan is its weight's fan-in
  ones,
  zeros,
};

struct Tensor {
  std::string name;            // "layer1.0.conv1.weight"
  std::vector<int64_t> shape;  // PyTorch order: convolution {out, in, kernel, kernel}
  std::size_t offset = 0;      // in elements of the model array; multiple of 32
  std::size_t elements = 0;    // product of shape
  bool decay = true;           // weight decay by default; false for batch norm and biases
  Initial initial = Initial::zeros;
  int fan = 0;  // fan-in or fan-out that `initial` needs
};

struct Network {
  std::string name;  // "resnet-20"
  int channels = 3, height = 32, width = 32;
  int classes = 10;
  std::vector<Layer> layers;           // layers[0] is the input; the last is the linear layer
  std::vector<Tensor> parameters;      // in the order of PyTorch's model.parameters()
  std::vector<Tensor> statistics;      // batch-norm running mean and variance
  std::size_t parameter_elements = 0;  // padded end of the parameters in the model array
  std::size_t elements = 0;            // padded end of the model array
  int64_t parameter_count = 0;         // without padding: what a paper would print
};

// Builds a network by its name. Known names:
//   resnet-20 | -32 | -44 | -56 | -110
//       CIFAR ResNet (He et al. 2015, 4.2), widths 16/32/64. Where the shape changes, the shortcut is a
//       1x1 convolution with batch norm (option B, as in the larger nets: 2,752 parameters more than
//       option A's padding).
//   resnet-18 | -34 | -50
//       torchvision's with a 3x3 stem and no max pool.
//   resnet-release
//       the bottleneck net of the AL-DSGD release, 545,930 parameters.
//   wrn-D-K
//       WideResNet (Zagoruyko and Komodakis 2016), stride in the first convolution.
//   wrn-D-K-release
//       as in the AL-DSGD release: stride in the second convolution, convolution biases.
//   tiny
//       a few small layers with every operator, for tests and first steps.
// Throws UsageError: an unknown name (lists the near ones), a depth or width that the family has not,
// fewer than 2 classes.
Network make_network(std::string_view name, int classes, int height = 32, int width = 32);

// The names above, patterns included, for help texts and for "did you mean".
std::vector<std::string> known_networks();

}  // namespace alder
