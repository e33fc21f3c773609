#!/usr/bin/env python3
"""Draws the table that `alder plan --sweep ... --csv FILE` wrote.

    tools/plot_plan.py FILE --x workers --y cwa_step_ms,atc_step_ms,tree_step_ms [--by graph] [--log x] [--out FILE.png]

One line for each column of --y and each value of --by (any swept key, or several joined by commas). Needs matplotlib
(Debian: python3-matplotlib); without it nothing is drawn, which is said, and the exit code is 0.
"""
import argparse
import csv
import pathlib
import sys


def fail(message):
    print(f"plot_plan.py: {message}", file=sys.stderr)
    sys.exit(2)


def read(path):
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    if not rows:
        fail(f"{path}: holds no rows; write it with alder plan --sweep KEY=... --csv {path}")
    return rows


def check_columns(rows, names, path):
    for name in names:
        if name not in rows[0]:
            near = [column for column in rows[0] if name.split("_")[0] in column]
            fail(f"{path}: no column '{name}'; " + ("near: " if near else "known: ") + ", ".join(near or rows[0]))


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def lines(rows, x, columns, by):
    """{label: [(x, y), ...]}, rows without a figure left out."""
    found = {}
    for row in rows:
        group = ", ".join(row[key] for key in by)
        for column in columns:
            value = number(row[column])
            if value is None:
                continue
            label = ", ".join(part for part in (group, column if len(columns) > 1 or not group else "") if part)
            found.setdefault(label, []).append((number(row[x]) if number(row[x]) is not None else row[x], value))
    return found


def draw(pyplot, arguments, columns, found):
    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for label, points in found.items():
        if all(isinstance(point[0], float) for point in points):
            points.sort()
        axes.plot(*zip(*points), marker="o", label=label)
    axes.set_xlabel(arguments.x)
    axes.set_ylabel("milliseconds" if all(name.endswith("_ms") for name in columns) else ", ".join(columns))
    axes.grid(True, alpha=0.3)
    axes.legend()
    if "x" in arguments.log:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    if "y" in arguments.log:
        axes.set_yscale("log")
    figure.savefig(arguments.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv")
    parser.add_argument("--x", required=True)
    parser.add_argument("--y", required=True)
    parser.add_argument("--by", default="")
    parser.add_argument("--log", default="", choices=["", "x", "y", "xy"])
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.out = arguments.out or pathlib.Path(arguments.csv).with_suffix(".png")
    columns, by = arguments.y.split(","), [key for key in arguments.by.split(",") if key]
    rows = read(arguments.csv)
    check_columns(rows, [arguments.x, *columns, *by], arguments.csv)
    found = lines(rows, arguments.x, columns, by)
    if not found:
        fail(f"{arguments.csv}: the columns {arguments.y} are empty; do they need --step-time or --jitter?")
    try:
        import matplotlib
        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        print("plot_plan.py: skipped: matplotlib is not installed (Debian: apt-get install python3-matplotlib)")
        return
    draw(pyplot, arguments, columns, found)
    print(f"{arguments.out}: {len(found)} lines, {len(rows)} plans")


if __name__ == "__main__":
    main()
