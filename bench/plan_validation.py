#!/usr/bin/env python3
"""Holds the simulation of `alder plan` against runs of `alder train` on this machine.

    bench/plan_validation.py [--alder build/release/alder] [--workers 2,4,8] [--threads 2] [--steps 40] [--rounds 3]
    bench/plan_validation.py --folders NONE MEASURED [--plan "--line-rate 100 --latency 4"]

Without --folders every case is run --rounds times: with `--exchange none`, with the exchange, and with `--exchange none`
again, so that a machine whose mood drifts has about the same mean in both. The runs without exchange give what the
simulation is fed with: each worker's compute time in each step, how it varies, and how long the passes over memory take
without neighbours. The run with the exchange is what it has to predict. Nothing of that is fed in, but for the last
column: there the measured run's own compute times are, which leaves what is wrong with the model itself.

An epoch is one step, so that metrics.jsonl holds every step. All workers are in one process, so the prediction is that
of `alder plan --threads`: what is tested is the sharing of threads, the wait of each phase for the slowest, and the
mixing passes. The table holds medians over rounds, milliseconds.

With --folders the two runs were made elsewhere, one process a worker (epochs of one step, one with `--exchange none`):
the prediction is then `alder plan --simulate` with the network of --plan, and the waits are compared too.
"""
import argparse
import json
import math
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

ORDERS = {
    "combine-while-adapt": ["--algorithm", "d-psgd"],
    "adapt-then-combine": ["--algorithm", "d-psgd"],
    "paper": ["--algorithm", "al-dsgd", "--leaders", "released"],
}
# Models' worth of memory traffic of a worker that hears nobody: update, and the pass behind it.
ALONE = {"combine-while-adapt": 5, "adapt-then-combine": 7, "paper": 7}


class Run:
    """What one run folder says of every step. Epochs are single steps; the first, which warms up, is dropped."""

    def add(self, other):
        self.compute += other.compute
        self.combine += other.combine

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        self.config = next(line for line in lines if line["kind"] == "run")
        if self.config["steps_per_epoch"] != 1:
            sys.exit(f"plan_validation.py: {folder}: an epoch has {self.config['steps_per_epoch']} steps; limit the "
                     "training set to workers x batch pictures, so that every step is recorded")
        workers = [line for line in lines if line["kind"] == "epoch" and line["epoch"] > 1]
        self.compute = [line["seconds"]["data"] + line["seconds"]["compute"] for line in workers]
        self.combine = [line["seconds"]["combine"] for line in workers]
        self.wait = [line["seconds"]["exchange_wait"] for line in workers]
        self.order = self.config["order"]
        self.workers = self.config["workers"]
        # images_per_second counts all steps so far: their differences are the steps.
        pictures = self.workers * self.config["batch"]
        until = [line["step"] * pictures / line["images_per_second"] for line in lines if line["kind"] == "mean"]
        self.steps = [after - before for before, after in zip(until, until[1:])]
        if len(self.steps) < 5:
            sys.exit(f"plan_validation.py: {folder}: {len(self.steps)} steps tell nothing; train for more")


def fitted(compute):
    """Mean without stalls in milliseconds, and the jitter as `alder plan` takes it: a lognormal's middle, and what
    lies far outside it as stalls."""
    middle = statistics.median(compute)
    logs = sorted(math.log(one / middle) for one in compute)
    quarter = statistics.quantiles(logs, n=4)
    sigma = min(max((quarter[2] - quarter[0]) / 1.349, 1e-4), 1.0)
    limit = middle * math.exp(4 * sigma)
    usual = [one for one in compute if one <= limit]
    stalls = [one for one in compute if one > limit]
    mean = statistics.fmean(usual)
    jitter = f"lognormal:{sigma:.4f}"
    if stalls:
        jitter += f"+stall:{len(stalls) / len(compute):.5f}:{statistics.fmean(stalls) / mean - 1:.3f}"
    return 1e3 * mean, jitter


def predict(alder, none, compute, graph, schedule, model, options):
    step_ms, jitter = fitted(compute)
    alone = statistics.median(none.combine)
    plan = ["--workers", none.workers, "--graph", graph, "--schedule", schedule, "--model", model,
            "--order", none.order, "--step-time", f"{step_ms:.6f}", "--jitter", jitter, "--simulate", 2000]
    size = json.loads(subprocess.run([alder, "plan", "--json", *map(str, plan[:8])], check=True,
                                     capture_output=True, text=True).stdout)["work"]["model_bytes"]
    rate = ALONE[none.order] * size / alone / 1e9
    command = [alder, "plan", "--json", *map(str, plan), "--memory-rate", f"{rate:.6f}", *options]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    simulated = result["simulation"][none.order]
    return {"step_ms": simulated["mean_ms"], "p50_ms": simulated["p50_ms"], "late_ms": simulated["exposed_ms"],
            "combine_ms": result["orders"][none.order]["mixing_ms"], "compute_ms": step_ms, "jitter": jitter}


def train(alder, out, workers, order, exchange, arguments):
    subprocess.run(
        [alder, "train", "--model", arguments.model, "--data", "shapes", "--workers", str(workers), "--graph",
         arguments.graph, "--batch", str(arguments.batch), "--limit-train", str(workers * arguments.batch),
         "--limit-test", "16", "--epochs", str(arguments.steps), "--evaluate-every", "0", "--checkpoint-every", "0",
         "--threads", str(arguments.threads), "--order", order, "--exchange", exchange, "--progress", "none",
         "--json", "--lr", "0.01", *ORDERS[order], "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return Run(out)


def row(predicted, own, measured):
    """One comparison in milliseconds: whole step (mean and median over steps), and the mixing pass. `own` is the
    prediction from the measured run's own compute times."""
    mean, half = 1e3 * statistics.fmean(measured.steps), 1e3 * statistics.median(measured.steps)
    return {"predicted": predicted["step_ms"], "measured": mean, "ratio": predicted["step_ms"] / mean,
            "predicted p50": predicted["p50_ms"], "measured p50": half, "ratio p50": predicted["p50_ms"] / half,
            "predicted mixing": predicted["combine_ms"],
            "measured mixing": 1e3 * statistics.median(measured.combine),
            "predicted wait": predicted["late_ms"], "measured wait": 1e3 * statistics.fmean(measured.wait),
            "compute": predicted["compute_ms"], "jitter": predicted["jitter"], "ratio own": own["step_ms"] / mean}


def compare(arguments, none, measured, options):
    def prediction(compute):
        return predict(arguments.alder, none, compute, measured.config["graph"], measured.config["schedule"],
                       measured.config["model"], options)

    return row(prediction(none.compute), prediction(measured.compute), measured)


def medians(rows):
    middle = {key: statistics.median(one[key] for one in rows) for key in rows[0] if key != "jitter"}
    middle["jitter"] = rows[len(rows) // 2]["jitter"]
    return middle


def print_header(process):
    waits = "" if process else " wait predicted | measured |"
    print(f"| workers | order | compute | jitter (one round) | step predicted | measured | ratio | p50 predicted | measured | ratio |"
          f" mixing predicted | measured |{waits} ratio, own compute |")
    print("|---" * (13 if process else 15) + "|")


def print_row(workers, order, one, process):
    waits = "" if process else f" {one['predicted wait']:.2f} | {one['measured wait']:.2f} |"
    print(f"| {workers} | {order} | {one['compute']:.2f} | {one['jitter']} | {one['predicted']:.2f} | {one['measured']:.2f} | "
          f"{one['ratio']:.3f} | {one['predicted p50']:.2f} | {one['measured p50']:.2f} | {one['ratio p50']:.3f} | "
          f"{one['predicted mixing']:.3f} | {one['measured mixing']:.3f} |{waits} {one['ratio own']:.3f} |", flush=True)


def compare_here(arguments):
    print_header(process=True)
    for workers in map(int, arguments.workers.split(",")):
        for order in ORDERS:
            rows = []
            for _ in range(arguments.rounds):
                with tempfile.TemporaryDirectory() as folder:
                    def run(name, exchange):
                        return train(arguments.alder, pathlib.Path(folder) / name, workers, order, exchange, arguments)

                    none, local = run("before", "none"), run("between", "local")
                    none.add(run("after", "none"))
                threads = str(min(arguments.threads, workers))
                rows.append(compare(arguments, none, local, ["--threads", threads]))
            print_row(workers, order, medians(rows), process=True)


def compare_folders(arguments):
    none, measured = map(Run, arguments.folders)
    for key in ("workers", "model", "batch", "graph", "schedule", "order"):
        if none.config[key] != measured.config[key]:
            sys.exit(f"plan_validation.py: the runs differ in {key}: {none.config[key]} and {measured.config[key]}")
    one = compare(arguments, none, measured, shlex.split(arguments.plan))
    print_header(process=False)
    print_row(none.workers, none.order, one, process=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alder", default="build/release/alder")
    parser.add_argument("--workers", default="2,4,8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="resnet-20")
    parser.add_argument("--graph", default="ring")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folders", nargs=2, metavar=("NONE", "MEASURED"), help="two runs made elsewhere")
    parser.add_argument("--plan", default="", help="with --folders: options of alder plan that describe the network")
    arguments = parser.parse_args()
    compare_folders(arguments) if arguments.folders else compare_here(arguments)


if __name__ == "__main__":
    main()
