// One function per family of networks; make_network (network.hpp) picks by name. `shape` gives name, classes
// and the size of the pictures.
#pragma once

#include "models/network.hpp"

namespace alder {

// He et al. 2015, section 4.2: 6n+2 layers, three stages of n basic blocks, widths 16, 32, 64.
Network cifar_resnet(Network shape, int depth);

// He et al. 2015, table 1, for small pictures: 3x3 stem of 64 channels and no max pool. Depth 18, 34 or 50;
// the bottleneck's stride is in its 3x3 convolution, as torchvision has it.
Network imagenet_resnet(Network shape, int depth);

// The "ResNet-50" of the AL-DSGD release: 16-channel stem, three bottleneck stages (3, 4, 6 blocks, widths
// 16, 32, 64, four times wider outside), biases in all convolutions, PyTorch's default initial values.
Network release_resnet(Network shape);

// Zagoruyko and Komodakis 2016 (pre-activation; depth 6n+4; widths 16k, 32k, 64k). Where the shape changes,
// the shortcut is a 1x1 convolution of the activated input; elsewhere it is the input itself.
Network wide_resnet(Network shape, int depth, int factor);

// As in the AL-DSGD release: stride in the second convolution, biases in all convolutions, the shortcut reads
// the input before its batch norm, the last batch norm's statistics have momentum 0.9.
Network release_wide_resnet(Network shape, int depth, int factor);

// Every operator: a stem, an identity block, and a strided block whose shortcut has a bias and no batch norm.
Network tiny_network(Network shape);

}  // namespace alder
