#!/usr/bin/env bash
# edbtool verify against dd, cold and warm, and with one thread against two, in one run.
# usage: benches/verify.sh [MEBIBYTES] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=${1:-4096}
folder=${2:-target/bench}
mkdir -p "$folder"
database=$folder/verify-$mebibytes.edb
cargo build --quiet --release --bin edbtool
tool=${CARGO_TARGET_DIR:-target}/release/edbtool
[ -f "$database" ] || cargo xtask big-database "$database" "$mebibytes"

seconds() { # runs a command quietly, prints its wall time
    local start end
    start=$(date +%s.%N)
    "$@" >/dev/null 2>&1
    end=$(date +%s.%N)
    echo "$end $start" | awk '{printf "%.3f\n", $1 - $2}'
}
forget() { dd if="$1" iflag=nocache count=0 2>/dev/null; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
rate() { echo "$mebibytes $1" | awk '{printf "%.2f GB/s", $1 * 1.048576 / 1000 / $2}'; }

for _ in 1 2 3; do
    forget "$database"; seconds dd if="$database" of=/dev/null bs=1M
    forget "$database"; seconds "$tool" verify --quiet "$database"
done | awk 'NR % 2 {print > "/tmp/verify.dd"; next} {print > "/tmp/verify.edb"}'
dd_cold=$(median </tmp/verify.dd); tool_cold=$(median </tmp/verify.edb)

cat "$database" >/dev/null
for _ in 1 2 3 4 5; do
    seconds "$tool" verify --quiet --threads 1 "$database"
    seconds "$tool" verify --quiet --threads 2 "$database"
done | awk 'NR % 2 {print > "/tmp/verify.one"; next} {print > "/tmp/verify.two"}'
one=$(median </tmp/verify.one); two=$(median </tmp/verify.two)

echo "cold: dd ${dd_cold}s ($(rate "$dd_cold")), verify ${tool_cold}s ($(rate "$tool_cold")), ratio $(echo "$dd_cold $tool_cold" | awk '{printf "%.2f", $1 / $2}')"
echo "warm: 1 thread ${one}s ($(rate "$one")), 2 threads ${two}s ($(rate "$two")), ratio $(echo "$one $two" | awk '{printf "%.2f", $1 / $2}')"
peak=$( { /usr/bin/time -f %M "$tool" verify --quiet "$database" >/dev/null; } 2>&1 || true)
echo "peak memory: $peak KiB"
