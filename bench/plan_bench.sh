#!/bin/sh
# Seconds that `alder plan` takes: on large graphs, with the gap it finds, and for simulations. Two have a limit that is
# meant on an idle machine, in seconds of CPU time: a 2-D torus of 100,000 workers with its costs on a cluster (10 s), and
# the simulation of 1,024 workers for 1,000 steps in all three orders and as an all-reduce (20 s).
# Usage: bench/plan_bench.sh [path of the alder program]
set -eu
alder=${1:-build/release/alder}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
out=$folder/out

# Runs `alder plan` and leaves its output in $out, its wall and CPU seconds in $wall and $cpu.
timed() {
  begin=$(date +%s.%N)
  times >"$folder/before" # in this shell: a pipe would count a child of its own
  "$alder" plan --json "$@" >"$out"
  times >"$folder/after"
  cpu=$(cat "$folder/before" "$folder/after" | sed -n '2p;4p' |
    sed 's/[ms]/ /g' | awk '{t[NR] = $1 * 60 + $2 + $3 * 60 + $4} END {printf "%.2f", t[2] - t[1]}')
  wall=$(echo "$begin $(date +%s.%N)" | awk '{printf "%.2f", $2 - $1}')
}

within() { # WHAT LIMIT
  if awk "BEGIN {exit !($cpu > $2)}"; then
    echo "$1: $cpu s of CPU time are more than $2 s" >&2
    exit 1
  fi
}

printf '%-30s %9s %9s %9s  %s\n' graph workers seconds 'CPU s' gap
while read -r graph workers; do
  timed --graph "$graph" --workers "$workers" --gpus-per-node 8 --nics-per-node 8 --nvlink --step-time 40
  gap=$(sed -n 's/.*"spectral_gap": \([^,]*\).*/\1/p' "$out")
  printf '%-30s %9s %9s %9s  %s\n' "$graph" "$workers" "$wall" "$cpu" "${gap:-not settled}"
  [ "$graph $workers" != "torus 100000" ] || within "torus of 100,000" 10
done <<LIST
torus 10000
torus 100000
ring 100000
star 100000
geometric:0.02:3 20000
erdos-renyi:0.0002 100000
exponential 100000
LIST

printf '\n%-30s %9s %9s %9s  %s\n' simulation workers seconds 'CPU s' 'step of combine-while-adapt, ms'
while read -r what workers options; do
  # shellcheck disable=SC2086
  timed --workers "$workers" --model-bytes 100MB --step-time 40 --jitter lognormal:0.05+stall:0.001:2 $options
  step=$(sed -n 's/.*"neighbour_step_ms": \([^,]*\).*/\1/p' "$out")
  printf '%-30s %9s %9s %9s  %.8s\n' "$what" "$workers" "$wall" "$cpu" "$step"
  [ "$what" != torus,1000-steps ] || within "1,024 workers, 1,000 steps" 20
done <<LIST
ring,1000-steps 1024 --graph ring --simulate 1000
torus,1000-steps 1024 --graph torus --gpus-per-node 8 --nics-per-node 8 --nvlink --simulate 1000
torus,failing-links 1024 --graph torus --link-failures 1e-4:50 --simulate 1000
one-peer,1000-steps 1024 --schedule one-peer --simulate 1000
torus,100-steps 100000 --graph torus --order combine-while-adapt --simulate 100
LIST
