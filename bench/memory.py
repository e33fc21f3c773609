#!/usr/bin/env python3
"""Memory of a training process, per worker, against what training cannot do without.

    bench/memory.py [--alder build/release/alder] [--models resnet-20,resnet-18] [--workers 8] [--batch 16]

Needed per worker: parameters + gradients + momentum (float32) + the activations that backward reads, as the engine counts them.
Used per worker: the peak resident size of one step of `alder train`, less that of the smallest network with the same data.
The limit that we set ourselves is 1.3.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile


def peak_bytes(arguments, model, out):
    steps = 2
    command = [arguments.alder, "train", "--model", model, "--data", "shapes", "--workers", str(arguments.workers),
               "--graph", "ring", "--batch", str(arguments.batch), "--epochs", "1",
               "--limit-train", str(arguments.workers * arguments.batch * steps), "--limit-test", "16",
               "--evaluate-every", "0", "--progress", "none", "--json", "--out", str(out)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        raise SystemExit(f"memory: {' '.join(command)} failed")
    run = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    return usage.ru_maxrss * 1024, run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alder", default="build/release/alder")
    parser.add_argument("--models", default="resnet-20,resnet-18")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    print("| model | workers | batch | needed, MB a worker | used, MB a worker | ratio |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        base, _ = peak_bytes(arguments, "tiny", pathlib.Path(folder) / "base")
        for model in arguments.models.split(","):
            peak, run = peak_bytes(arguments, model, pathlib.Path(folder) / model)
            needed = 3 * 4 * run["parameters"] + run["memory_bytes"]["activations"]
            used = (peak - base) / arguments.workers
            print(f"| {model} | {arguments.workers} | {arguments.batch} | {needed / 1e6:.1f} | {used / 1e6:.1f} |"
                  f" {used / needed:.2f} |", flush=True)


if __name__ == "__main__":
    main()
