#!/usr/bin/env bash
# edbreplay run with one thread against two, warm, in one run: on the largest set that the engine made, and on its work
# scaled to 2 GiB of logs. Prints MB of log per second, the ratio, CPU seconds, peak memory, and whether the results are
# the same bytes.
# usage: benches/replay.sh [MEBIBYTES] [FOLDER]      (EDBREPLAY names a program to measure instead of a new build)
# Needs GNU time and zstd.
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=${1:-2048}
folder=${2:-target/bench}
rounds=${ROUNDS:-5}
mkdir -p "$folder"
stream=$folder/replay-$mebibytes
if [ -z "${EDBREPLAY:-}" ]; then
    cargo build --quiet --release --bin edbreplay
    EDBREPLAY=${CARGO_TARGET_DIR:-target}/release/edbreplay
fi
[ -d "$stream" ] || cargo xtask replay-stream "$stream" "$mebibytes"
archive=../shared/fixtures/engine/big-p8k.tar.zst
[ -f "$archive" ] || archive=testdata/crash-p8k.tar.zst
small=$folder/$(basename "$archive" .tar.zst)
[ -d "$small" ] || zstd -dc "$archive" | tar x -C "$folder"

# Everything after both headers, which hold the time of the recovery. All databases here have pages of 8192 bytes.
pages() { tail -c +16385 "$1" | sha256sum | cut -c1-64; }
measure() { # threads, then what to replay: prints threads, seconds, CPU seconds, peak KiB, MB/s of redo and undo alone
    local threads=$1; shift
    /usr/bin/time -o "$folder/time" -f "%e %U %S %M" \
        "$EDBREPLAY" run "$@" --threads "$threads" --to "$folder/out-$threads.edb" --force --quiet --json >"$folder/report"
    local speed
    speed=$(grep -o '"log_bytes_per_second":[0-9.e+]*' "$folder/report" | cut -d: -f2)
    echo "$threads $(tail -1 "$folder/time") $speed"
}
compare() { # label, logs, then what to replay
    local label=$1 logs=$2; shift 2
    cat "$logs"/*.log >/dev/null
    for _ in $(seq "$rounds"); do measure 1 "$@"; measure 2 "$@"; done >"$folder/rounds"
    local bytes
    bytes=$(grep -o '"log_bytes":[0-9]*' "$folder/report" | cut -d: -f2)
    echo "$label, $bytes bytes of log, median of $rounds rounds:"
    sort -k1,1n -k2,2n "$folder/rounds" | awk -v bytes="$bytes" '
        {n = ++count[$1]; wall[$1, n] = $2; cpu[$1] += $3 + $4; speed[$1] += $6; if ($5 > peak[$1]) peak[$1] = $5}
        END {
            for (t = 1; t <= 2; t++) {
                median[t] = wall[t, int((count[t] + 1) / 2)]
                if (median[t] == 0) median[t] = 0.005
                printf "  threads %d: %.2f s, %.0f MB/s (redo and undo alone %.0f MB/s), CPU %.2f s, peak %d KiB\n", t,
                    median[t], bytes / 1e6 / median[t], speed[t] / count[t] / 1e6, cpu[t] / count[t], peak[t]
            }
            printf "  ratio %.2f (at least 1.5)\n", median[1] / median[2]
        }'
    if [ "$(pages "$folder/out-1.edb")" = "$(pages "$folder/out-2.edb")" ]; then
        echo "  the same bytes: $(pages "$folder/out-1.edb")"
    else
        echo "  DIFFERENT BYTES"; exit 1
    fi
}

compare "$(basename "$small")" "$small/state" "$small/state/db.edb" --logs "$small/state"
compare "scaled to $mebibytes MiB" "$stream" --logs "$stream"
"$EDBREPLAY" run --logs "$stream" --threads 2 --to "$folder/out-2.edb" --force --quiet --profile | sed -n '/^Time by step/,$p' | head -20
rm -f "$folder"/out-[12].edb
