#!/usr/bin/env python3
"""Whole training steps of the same networks in PyTorch: the peer of engine_bench, with the same line as output.

channels_last tensors, SGD with momentum; fp32, or bf16 by autocast.
"""
import argparse
import time

import torch
import torch.nn.functional as functional
from torch import nn

# Stage widths and blocks per stage.
MODELS = {"resnet-20": ((16, 32, 64), (3, 3, 3)), "resnet-18": ((64, 128, 256, 512), (2, 2, 2, 2))}


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, figure 2)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def make_model(name):
    widths, depths = MODELS[name]
    channels = widths[0]
    layers = [nn.Conv2d(3, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
    for stage, (width, depth) in enumerate(zip(widths, depths)):
        for i in range(depth):
            layers.append(Block(channels, width, 2 if stage > 0 and i == 0 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def time_steps(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = make_model(options.model).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.randn(options.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.arange(options.batch) % 10

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
            loss = functional.cross_entropy(model(images).float(), labels)
        loss.backward()
        optimizer.step()

    clock = time.process_time if options.clock == "cpu" else time.monotonic
    step()
    step()
    times, begin = [], clock()
    while len(times) < 3 or clock() - begin < options.seconds:
        start = clock()
        step()
        times.append(clock() - start)
    return sorted(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="resnet-20")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    options = parser.parse_args()
    times = time_steps(options)
    print(
        f"PyTorch {torch.__version__} {options.model} batch {options.batch} threads {options.threads}"
        f" {options.precision} img/s median {options.batch / times[len(times) // 2]:.1f}"
        f" best {options.batch / times[0]:.1f}"
    )


if __name__ == "__main__":
    main()
