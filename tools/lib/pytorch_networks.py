"""Alder's networks in PyTorch, with torchvision's module names: for comparisons of results and of speed."""

import re

import torch
from torch import nn


def shortcut(inside, outside, stride, bias):
    if stride == 1 and inside == outside:
        return None
    return nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=bias), nn.BatchNorm2d(outside))


class Basic(nn.Module):
    expansion = 1

    def __init__(self, inside, width, stride, bias):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inside, width, stride, bias)

    def forward(self, x):
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inside, width, stride, bias):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=bias)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(inside, 4 * width, stride, bias)

    def forward(self, x):
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(out)))))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, block, blocks, width, bias=False, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        inside = width
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                layers.append(block(inside, width << stage, 2 if stage and not i else 1, bias))
                inside = block.expansion * (width << stage)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.fc = nn.Linear(inside, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, inside, width, stride, release):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, width, 3, 1 if release else stride, 1, bias=release)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride if release else 1, 1, bias=release)
        same = stride == 1 and inside == width
        self.downsample = None if same else nn.Sequential(nn.Conv2d(inside, width, 1, stride, bias=release))
        self.release = release

    def forward(self, x):
        active = torch.relu(self.bn1(x))
        out = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        if self.downsample is None:
            return out + x
        return out + self.downsample(x if self.release else active)


class WideResNet(nn.Module):
    def __init__(self, depth, factor, release=False, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=release)
        inside = 16
        for stage in range(3):
            width, layers = (16 * factor) << stage, []
            for i in range((depth - 4) // 6):
                layers.append(WideBlock(inside, width, 2 if stage and not i else 1, release))
                inside = width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.bn1 = nn.BatchNorm2d(inside, momentum=0.9 if release else 0.1)
        self.fc = nn.Linear(inside, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(torch.relu(self.bn1(x)).mean((2, 3)))


RESNETS = {
    "resnet-20": lambda: ResNet(Basic, (3, 3, 3), 16),
    "resnet-18": lambda: ResNet(Basic, (2, 2, 2, 2), 64),
    "resnet-34": lambda: ResNet(Basic, (3, 4, 6, 3), 64),
    "resnet-50": lambda: ResNet(Bottleneck, (3, 4, 6, 3), 64),
    "resnet-release": lambda: ResNet(Bottleneck, (3, 4, 6), 16, bias=True),
}


def make_network(name):
    """Alder's network of that name. Raises ValueError for a name it has not."""
    if name in RESNETS:
        return RESNETS[name]()
    wide = re.fullmatch(r"wrn-(\d+)-(\d+)(-release)?", name)
    if wide is None:
        raise ValueError(f"unknown network {name}; known: {', '.join(RESNETS)}, wrn-D-K, wrn-D-K-release")
    return WideResNet(int(wide[1]), int(wide[2]), release=bool(wide[3]))
