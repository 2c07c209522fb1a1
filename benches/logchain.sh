#!/usr/bin/env bash
# logchain verify of a stream of 1-MiB logs against cat of the same files, cold and warm, in one run.
# usage: benches/logchain.sh [LOGS] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
logs=${1:-1000}
folder=${2:-target/bench}
mkdir -p "$folder"
stream=$folder/stream-$logs
cargo build --quiet --release --bin logchain
tool=${CARGO_TARGET_DIR:-target}/release/logchain
[ -d "$stream" ] || cargo xtask log-stream "$stream" "$logs"

seconds() { # runs a command quietly, prints its wall time; findings (exit 1) are no failure here
    local start end
    start=$(date +%s.%N)
    "$@" >/dev/null 2>&1 || [ $? = 1 ]
    end=$(date +%s.%N)
    echo "$end $start" | awk '{printf "%.3f\n", $1 - $2}'
}
read_all() { cat "$stream"/*.log; }
forget() { for file in "$stream"/*.log; do dd if="$file" iflag=nocache count=0 2>/dev/null; done; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
rate() { echo "$logs $1" | awk '{printf "%.2f GB/s", $1 * 1.048576 / 1000 / $2}'; }
compare() { # label, runs, command before each
    local cats=() tools=()
    for _ in $(seq "$2"); do
        $3; cats+=("$(seconds read_all)")
        $3; tools+=("$(seconds "$tool" verify --quiet "$stream")")
    done
    local by_cat by_tool
    by_cat=$(printf '%s\n' "${cats[@]}" | median)
    by_tool=$(printf '%s\n' "${tools[@]}" | median)
    echo "$1: cat ${by_cat}s ($(rate "$by_cat")), verify ${by_tool}s ($(rate "$by_tool")), ratio $(echo "$by_cat $by_tool" | awk '{printf "%.2f", $1 / $2}')"
}

compare cold 3 forget
read_all >/dev/null
compare warm 5 true
peak=$( { /usr/bin/time -f %M "$tool" verify --quiet "$stream" >/dev/null; } 2>&1 | tail -1 || true)
echo "peak memory: $peak KiB"
