#!/usr/bin/env python3
"""Times whole training steps of the CPU engine and of PyTorch in turns and prints a Markdown table.

    bench/step_compare.py --engine build/release/bench/engine_bench [--rounds 3] [--seconds 5]
    bench/step_compare.py --engine ... --threads 1 --clock cpu     # on a machine that is busy otherwise

Each figure is the median over the rounds of the runs' median steps; the ratio compares the two in the same round
(median of the ratios), so a machine that slows down for a while slows both.
"""
import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).with_name("pytorch_step.py")


def images_per_second(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"median ([0-9.]+)", result.stdout)
    if result.returncode != 0 or not found:
        sys.exit(f"step_compare: '{' '.join(map(str, command))}' failed: {result.stderr.strip()}")
    return float(found.group(1))


def compare(options, model, precision, batch, threads):
    words = ["--model", model, "--precision", precision, "--batch", batch, "--threads", threads]
    words += ["--seconds", options.seconds, "--clock", options.clock]
    words = [str(word) for word in words]
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(images_per_second([options.engine, *words]))
        theirs.append(images_per_second([options.python, PEER, *words]))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    print(
        f"| {model} | {precision} | {batch} | {threads} | {statistics.median(ours):.1f} |"
        f" {statistics.median(theirs):.1f} | {ratio:.2f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", required=True, help="the engine_bench program")
    parser.add_argument("--python", default="/usr/bin/python3", help="a Python that has torch")
    parser.add_argument("--models", nargs="+", default=["resnet-20", "resnet-18"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: process time, for 1 thread")
    options = parser.parse_args()
    print("| model | precision | batch | threads | Alder img/s | PyTorch img/s | ratio |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for model in options.models:
        for precision in options.precisions:
            for batch in options.batches:
                for threads in options.threads:
                    compare(options, model, precision, batch, threads)


if __name__ == "__main__":
    main()
