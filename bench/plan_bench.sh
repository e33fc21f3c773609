#!/bin/sh
# Seconds that `alder plan` takes on large graphs, and the gap it finds; a 2-D torus of 100,000 workers has to stay below
# 10 s on an idle machine. Usage: bench/plan_bench.sh [path of the alder program]
set -eu
alder=${1:-build/release/alder}
limit=10

printf '%-30s %9s %9s  %s\n' graph workers seconds gap
while read -r graph workers; do
  begin=$(date +%s.%N)
  gap=$("$alder" plan --graph "$graph" --workers "$workers" --json | sed -n 's/.*"spectral_gap": \([^,]*\).*/\1/p')
  seconds=$(echo "$begin $(date +%s.%N)" | awk '{printf "%.2f", $2 - $1}')
  printf '%-30s %9s %9s  %s\n' "$graph" "$workers" "$seconds" "${gap:-not settled}"
  if [ "$graph $workers" = "torus 100000" ] && awk "BEGIN {exit !($seconds > $limit)}"; then
    echo "torus: $seconds s is more than $limit s" >&2
    exit 1
  fi
done <<LIST
torus 10000
torus 100000
ring 100000
star 100000
geometric:0.02:3 20000
erdos-renyi:0.0002 100000
exponential 100000
LIST
