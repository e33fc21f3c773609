#!/usr/bin/env python3
"""What --trace costs a step: runs in turn with and without it, compared by processor time and by wall time.

Prints the medians and their ratio. Processor time is what a loaded machine can still tell apart.

  bench/trace_overhead.py build/release/alder --rounds 7 -- --model resnet-20 --workers 2 --graph ring
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile


def run(command, folder):
    """Seconds of (processor, steps' wall time) a step of one run."""
    shutil.rmtree(folder, ignore_errors=True)
    process = subprocess.Popen(command + ["--out", str(folder)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"failed with status {status}: {' '.join(command)}")
    summary = json.loads((folder / "summary.json").read_text())
    wall = summary["workers"] * summary["batch"] / summary["images_per_second"]
    return (usage.ru_utime + usage.ru_stime) / summary["steps"], wall


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alder")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("options", nargs="*", help="of alder train, after --")
    arguments = parser.parse_args()
    command = [arguments.alder, "train", "--data", "shapes", "--progress", "none", "--stop-after",
               str(arguments.steps), "--epochs", "1000"] + arguments.options
    plain, traced = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            plain.append(run(command, pathlib.Path(folder) / "plain"))
            traced.append(run(command + ["--trace"], pathlib.Path(folder) / "traced"))
        size = sum(file.stat().st_size for file in pathlib.Path(folder, "traced", "trace").rglob("*.trace"))
    print(f"{'':24}{'plain':>12}{'traced':>12}{'ratio':>9}")
    for index, name in enumerate(["processor ms a step", "wall ms a step"]):
        before = statistics.median(one[index] for one in plain)
        after = statistics.median(one[index] for one in traced)
        # Pairs stand side by side in time, so their ratios feel the machine's moods least.
        ratio = statistics.median(b[index] / a[index] for a, b in zip(plain, traced))
        print(f"{name:24}{1000 * before:12.3f}{1000 * after:12.3f}{ratio:9.4f}")
    print(f"trace: {size / arguments.steps:.0f} bytes a step, {size / arguments.steps / 40:.0f} records")


if __name__ == "__main__":
    main()
