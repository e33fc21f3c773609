#!/usr/bin/env python3
"""What the trainer adds to a step outside the engine and the mixing pass (data, exchange, bookkeeping).

    bench/trainer_overhead.py [--alder build/release/alder] [--models resnet-20,resnet-18] [--rounds 3]

Runs short trainings on one thread, so that the workers' times add up to the step's, and prints the share of step time that
is neither forward/backward nor combination, as the median of the rounds. The limit that we set ourselves is 2 %.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile


def overhead(alder, model, order):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        workers, batch, steps = 4, 16, 12
        subprocess.run(
            [alder, "train", "--model", model, "--data", "shapes", "--workers", str(workers), "--graph", "ring",
             "--batch", str(batch), "--epochs", "1", "--limit-train", str(workers * batch * steps), "--limit-test", "64",
             "--threads", "1", "--order", order, "--evaluate-every", "0", "--progress", "none", "--json",
             "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        summary = json.loads((out / "summary.json").read_text())
        inside = sum(line["seconds"]["compute"] + line["seconds"]["combine"]
                     for line in lines if line["kind"] == "epoch")
        return 1 - inside / (workers * batch * steps / summary["images_per_second"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alder", default="build/release/alder")
    parser.add_argument("--models", default="resnet-20,resnet-18")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("| model | order | overhead |\n|---|---|---|")
    for model in arguments.models.split(","):
        for order in ("combine-while-adapt", "adapt-then-combine"):
            shares = [overhead(arguments.alder, model, order) for _ in range(arguments.rounds)]
            print(f"| {model} | {order} | {100 * statistics.median(shares):.2f} % |", flush=True)


if __name__ == "__main__":
    main()
