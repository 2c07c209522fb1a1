#!/usr/bin/env bash
# edbtool diff of two databases against edbtool export of both (JSON Lines), warm, in one run: on a database and its copy,
# where every row is the same, and on two states of one database, where more than half of the rows differ. Prints seconds,
# peak memory and the ratio.
# usage: benches/diff.sh [MEBIBYTES] [FOLDER]      (EDBTOOL names a program to measure instead of a new build)
# Needs GNU time and zstd.
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=${1:-256}
folder=${2:-target/bench}
rounds=${ROUNDS:-3}
mkdir -p "$folder"
if [ -z "${EDBTOOL:-}" ]; then
    cargo build --quiet --release --bin edbtool
    EDBTOOL=${CARGO_TARGET_DIR:-target}/release/edbtool
fi
set=$folder/crash-p8k
[ -d "$set" ] || zstd -dc testdata/crash-p8k.tar.zst | tar x -C "$folder"
for state in redo-only recovered; do
    database=$folder/diff-$state-$mebibytes.edb
    [ -f "$database" ] || cargo xtask big-table "$database" "$mebibytes" "$set/$state/db.edb" Items
done
before=$folder/diff-redo-only-$mebibytes.edb
after=$folder/diff-recovered-$mebibytes.edb
copy=$folder/diff-copy.edb
cp "$after" "$copy"
rows=$folder/diff-rows
trap 'rm -rf "$copy" "$rows"' EXIT

# Runs a command and prints its wall time and peak memory; a database with findings is no failure here.
measure() { /usr/bin/time -q -o "$folder/time" -f "%e %M" "$@" >/dev/null 2>&1 || [ $? = 1 ]; tail -1 "$folder/time"; }
export_of() { rm -rf "$rows"; measure "$EDBTOOL" -q export "$1" --no-hash --to "$rows"; }
compare() { # label, two databases
    local label=$1 a=$2 b=$3
    cat "$a" "$b" >/dev/null
    for _ in $(seq "$rounds"); do
        echo "export $(export_of "$a") $(export_of "$b")"
        echo "diff $(measure "$EDBTOOL" -q diff --json "$a" "$b")"
        echo "summary $(measure "$EDBTOOL" -q diff --summary "$a" "$b")"
    done | awk -v label="$label" '
        {
            seconds = $1 == "export" ? $2 + $4 : $2
            n = ++count[$1]
            for (i = n; i > 1 && time[$1, i - 1] > seconds; i--) time[$1, i] = time[$1, i - 1]
            time[$1, i] = seconds
            if ($3 > peak[$1]) peak[$1] = $3
        }
        END {
            for (name in count) median[name] = time[name, int((count[name] + 1) / 2)]
            printf "%s: export of both %.2f s, %d KiB; diff %.2f s, %d KiB; diff --summary %.2f s\n", label,
                median["export"], peak["export"], median["diff"], peak["diff"], median["summary"]
            printf "  ratio %.1f with rows, %.1f with --summary (at least 1.0)\n", median["export"] / median["diff"],
                median["export"] / median["summary"]
        }'
}

compare "the same rows, $mebibytes MiB each" "$after" "$copy"
compare "other rows, $mebibytes MiB each" "$before" "$after"
