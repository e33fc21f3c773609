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

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from pytorch_networks import make_network  # noqa: E402

DTYPES = {torch.float32: "F32", torch.int64: "I64"}
FLIPS = 0.05  # relative error of a gradient that a few ReLUs can explain


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


def torch_step(name, state, images, labels, dtype, autocast):
    """What `alder step` writes, by PyTorch."""
    model = make_network(name)
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
    model = make_network(name)
    randomise(model)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    images = torch.randn(arguments.batch, 3, 32, 32)
    labels = torch.randint(0, 10, (arguments.batch,))

    exact = torch_step(name, state, images, labels, torch.float64, False)
    peer = torch_step(name, state, images, labels, torch.float32, arguments.precision == "bf16")
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
    parser.add_argument("networks", nargs="*", default=DEFAULT, help="Alder's names")
    parser.add_argument("--alder", default="build/release/alder", help="the program")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--factor", type=float, default=2.0, help="Alder's error against PyTorch's own, at most")
    arguments = parser.parse_args()
    for name in arguments.networks:
        try:
            make_network(name)
        except ValueError as error:
            parser.error(str(error))
    print(f"PyTorch {torch.__version__}, batch {arguments.batch}, {arguments.precision}; errors against float64")
    print(f"{'network':<18}{'what':<12}{'alder':>10}{'pytorch':>10}  worst tensor")
    return 0 if all([compare(arguments, name) for name in arguments.networks]) else 1


if __name__ == "__main__":
    sys.exit(main())
