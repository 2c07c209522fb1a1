#!/usr/bin/env bash
# What `scr run` does with 1-MiB logs of a local folder: logs shipped and inspected per second, the time from a log's
# closing to the end of its inspection, and the memory of one process that serves 50 copies.
# usage: benches/scr.sh [LOGS] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
logs=${1:-1000}
folder=${2:-target/bench/scr}
cargo build --quiet --release --bin scr
cargo build --quiet --release --package xtask
scr=${CARGO_TARGET_DIR:-target}/release/scr
xtask=${CARGO_TARGET_DIR:-target}/release/xtask
rm -rf "$folder"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

site() { # name, copies: a configuration whose copies have sources of their own
    local name
    mkdir -p "$folder/$1"
    printf 'state = "state"\n' >"$folder/$1/scr.toml"
    for name in $(seq "$2"); do
        "$scr" --config "$folder/$1/scr.toml" enable "SG$name" --quiet --seeding-postponed --source EXA --standby EXB \
            --source-logs "$folder/$1/source$name" --source-database "$folder/$1/source$name/MBX1.edb" \
            --logs "$folder/$1/target$name" --database "$folder/$1/target$name/MBX1.edb" >/dev/null
    done
}

site throughput 1
"$xtask" grow "$folder/throughput/source1" "$logs" 0
start=$(date +%s.%N)
peak=$( { /usr/bin/time -f %M "$scr" --config "$folder/throughput/scr.toml" run --once --log-level error >/dev/null; } 2>&1 | tail -1)
end=$(date +%s.%N)
echo "$logs $end $start $peak" | awk '{printf "shipped and inspected: %d logs of 1 MiB in %.2f s, %.0f logs/s (50 asked), peak memory %d KiB\n", $1, $2 - $3, $1 / ($2 - $3), $4}'
rm -rf "$folder/throughput"

site latency 1
"$scr" --config "$folder/latency/scr.toml" run --log-level error &
service=$!
trap 'kill $service 2>/dev/null || true' EXIT
"$xtask" grow "$folder/latency/source1" 300 20
sleep 3
kill -INT $service
wait $service || true
for log in "$folder"/latency/target1/E00*.log; do
    # The last rename changed both: at the source it closed the log, at the target it ended the inspection.
    echo "$(stat -c %.9Z "$log") $(stat -c %.9Z "$folder/latency/source1/${log##*/}")"
done | awk '{d = $1 - $2; sum += d; if (d > max) max = d} END {printf "closed to inspected, 20 logs/s, %d logs: mean %.2f s, longest %.2f s (2 asked)\n", NR, sum / NR, max}'
rm -rf "$folder/latency"

site fifty 50
"$xtask" grow "$folder/fifty/source1" 20 0
for number in $(seq 2 50); do cp -al "$folder/fifty/source1" "$folder/fifty/source$number"; done
peak=$( { /usr/bin/time -f %M "$scr" --config "$folder/fifty/scr.toml" run --once --log-level error >/dev/null; } 2>&1 | tail -1)
there=$(find "$folder/fifty" -path "$folder/fifty/target*/E00*.log" | wc -l)
echo "$there $peak" | awk '{printf "50 copies in one process: %d logs, peak memory %.1f MiB (512 asked)\n", $1, $2 / 1024}'
rm -rf "$folder"
