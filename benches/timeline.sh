#!/usr/bin/env bash
# logchain timeline on real work scaled up (see benches/replay.sh): from nothing as JSON Lines and counted only, beside the
# replay alone; then backwards from the database that the replay left. Prints MB of log per processor second, the ratio to
# the replay, and peak memory.
# usage: benches/timeline.sh [MEBIBYTES] [FOLDER]
# Needs GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=${1:-2048}
folder=${2:-target/bench}
rounds=${ROUNDS:-3}
mkdir -p "$folder"
stream=$folder/replay-$mebibytes
cargo build --quiet --release --bin edbreplay --bin logchain
programs=${CARGO_TARGET_DIR:-target}/release
[ -d "$stream" ] || cargo xtask replay-stream "$stream" "$mebibytes"
bytes=$(cat "$stream"/*.log | wc -c)
database=$folder/timeline.edb
# The log that makes the database is left out for the way back: with it, nothing would have to be followed backwards.
back=$folder/timeline-back
rm -rf "$back"; mkdir "$back"; cp -l "$stream"/*.log "$back"/; rm "$(ls "$back"/*.log | sed -n 2p)"

measure() { # name, command: prints name, processor seconds, seconds, peak KiB
    local name=$1; shift
    /usr/bin/time -o "$folder/time" -f "%U %S %e %M" "$@" >/dev/null 2>"$folder/messages" || [ $? -le 1 ]
    tail -1 "$folder/time" | sed "s/^/$name /"
}
for _ in $(seq "$rounds"); do
    measure replay "$programs/edbreplay" run --logs "$stream" --to "$database" --force --quiet
    measure counts "$programs/logchain" timeline "$stream" --stats
    measure jsonl "$programs/logchain" timeline "$stream" --format jsonl
    measure backwards "$programs/logchain" timeline "$back" --db "$database" --format jsonl
done | awk -v bytes="$bytes" '
    {cpu[$1] += $2 + $3; wall[$1] += $4; n[$1]++; if ($5 > peak[$1]) peak[$1] = $5}
    END {
        printf "%d bytes of log, mean of %d rounds:\n", bytes, n["replay"]
        split("replay counts jsonl backwards", names)
        for (i = 1; i <= 4; i++) {
            name = names[i]; used = cpu[name] / n[name]
            printf "  %-10s %6.2f s, processor %6.2f s: %4.0f MB/s per core, %.2f of the replay, peak %d MiB\n", name,
                wall[name] / n[name], used, bytes / 1e6 / used, cpu["replay"] / n["replay"] / used, peak[name] / 1024
        }
    }'
rm -f "$database"; rm -rf "$back"
