#!/usr/bin/env python3
"""Compares one training step of Alder with PyTorch, network by network.

For each network: random weights and pictures, one forward and backward pass by `alder step`, by PyTorch in the same
precision, and by PyTorch in double precision. The errors of the first two against the third stand side by side; the
script fails when Alder's are more than --factor times PyTorch's own. Needs torch and numpy, nothing else.

Gradients are not continuous: a ReLU whose input is within rounding of 0 may open on one side and not on the other, and
one such unit of a layer of n shifts gradients by about 1 / sqrt(n). So of gradients the median tensor is shown too, and
only a worst error above FLIPS fails however good PyTorch was.

    tools/compare_with_pytorch.py --alder build/release/alder
"""

import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch
from torch import nn

DTYPES = {torch.float32: "F32", torch.int64: "I64"}
FLIPS = 0.05  # relative error of a gradient that a few ReLUs can explain


# ---- Networks, with torchvision's module names ----


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


NETWORKS = {
    "resnet-20": lambda: ResNet(Basic, (3, 3, 3), 16),
    "resnet-18": lambda: ResNet(Basic, (2, 2, 2, 2), 64),
    "resnet-34": lambda: ResNet(Basic, (3, 4, 6, 3), 64),
    "resnet-50": lambda: ResNet(Bottleneck, (3, 4, 6, 3), 64),
    "resnet-release": lambda: ResNet(Bottleneck, (3, 4, 6), 16, bias=True),
    "wrn-16-2": lambda: WideResNet(16, 2),
    "wrn-16-8": lambda: WideResNet(16, 8),
    "wrn-16-2-release": lambda: WideResNet(16, 2, release=True),
}
DEFAULT = ["resnet-20", "resnet-18", "resnet-50", "resnet-release", "wrn-16-2", "wrn-16-2-release"]


# ---- Safetensors, as much of it as is needed here ----


def save(path, tensors):
    header, data = {}, b""
    for name, tensor in sorted(tensors.items(), key=lambda item: -item[1].element_size()):
        raw = tensor.contiguous().numpy().tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def load(path):
    raw = bytearray(pathlib.Path(path).read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(raw[8 + length + begin : 8 + length + end], dtype=torch.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors


# ---- The comparison ----


def randomise(model):
    """Batch norms that differ from channel to channel: a permuted or forgotten one must show."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)


def torch_step(build, state, images, labels, dtype, autocast):
    """What `alder step` writes, by PyTorch."""
    model = build()
    model.load_state_dict(state)
    model.to(dtype).train()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = model(images.to(dtype))
    loss = nn.functional.cross_entropy(logits.to(dtype), labels)
    loss.backward()
    results = {"logits": logits.detach(), "loss": loss.detach()}
    results.update({"grad." + name: p.grad for name, p in model.named_parameters()})
    results.update({name: b for name, b in model.named_buffers() if not name.endswith("num_batches_tracked")})
    return {name: tensor.double() for name, tensor in results.items()}


def alder_step(arguments, name, state, images, labels):
    with tempfile.TemporaryDirectory() as folder:
        paths = {key: f"{folder}/{key}.safetensors" for key in ("init", "batch", "out")}
        save(paths["init"], state)
        save(paths["batch"], {"images": images, "labels": labels})
        command = [arguments.alder, "step", "--model", name, "--precision", arguments.precision]
        command += ["--threads", str(arguments.threads)]
        for key, path in paths.items():
            command += ["--" + key, path]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {key: tensor.double() for key, tensor in load(paths["out"]).items()}


def relative_errors(results, exact):
    """By kind of tensor: a list of (2-norm of the error / 2-norm of the tensor, name), largest first.

    A gradient is measured against at least a thousandth of the whole gradient's norm, since that of a bias in front of
    a batch norm is 0 but for rounding."""
    whole = torch.cat([t.flatten() for n, t in exact.items() if n.startswith("grad.")]).norm()
    errors = {}
    for name, reference in exact.items():
        scale, kind = reference.norm(), name
        if name.startswith("grad."):
            scale, kind = max(scale, 1e-3 * whole), "gradients"
        elif "running" in name:
            kind = "statistics"
        error = ((results[name] - reference).norm() / scale).item()
        errors.setdefault(kind, []).append((error if error == error else float("inf"), name))
    return {kind: sorted(values, reverse=True) for kind, values in errors.items()}


def compare(arguments, name):
    torch.manual_seed(arguments.seed)
    model = NETWORKS[name]()
    randomise(model)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    images = torch.randn(arguments.batch, 3, 32, 32)
    labels = torch.randint(0, 10, (arguments.batch,))

    exact = torch_step(NETWORKS[name], state, images, labels, torch.float64, False)
    peer = torch_step(NETWORKS[name], state, images, labels, torch.float32, arguments.precision == "bf16")
    ours = alder_step(arguments, name, state, images, labels)
    if ours.keys() != exact.keys():
        print(f"{name}: tensors differ by name: {sorted(ours.keys() ^ exact.keys())}")
        return False

    good = True
    theirs = relative_errors(peer, exact)
    for kind, errors in relative_errors(ours, exact).items():
        (error, tensor), peer_error = errors[0], theirs[kind][0][0]
        # One number's error may be small by luck; what the loss is made of tells how far it may be off.
        floor = {"gradients": FLIPS, "loss": theirs["logits"][0][0]}.get(kind, 1e-6)
        fine = error <= max(arguments.factor * peer_error, floor)
        good = good and fine
        print(f"{name:<18}{kind:<12}{error:10.1e}{peer_error:10.1e}  {tensor}{'' if fine else '  TOO LARGE'}")
        if kind == "gradients":
            medians = [values[len(values) // 2][0] for values in (errors, theirs[kind])]
            print(f"{name:<18}{'  median':<12}{medians[0]:10.1e}{medians[1]:10.1e}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=DEFAULT, help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--alder", default="build/release/alder", help="the program")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--factor", type=float, default=2.0, help="Alder's error against PyTorch's own, at most")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.networks if name not in NETWORKS]
    if unknown:
        parser.error(f"unknown network {unknown[0]}; known: {', '.join(NETWORKS)}")
    print(f"PyTorch {torch.__version__}, batch {arguments.batch}, {arguments.precision}; errors against float64")
    print(f"{'network':<18}{'what':<12}{'alder':>10}{'pytorch':>10}  worst tensor")
    return 0 if all([compare(arguments, name) for name in arguments.networks]) else 1


if __name__ == "__main__":
    sys.exit(main())
