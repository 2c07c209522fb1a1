#!/usr/bin/env bash
# edbcopy against cp and rsync, each with a cold cache, in one run: full copy, resume at one half, delta of 1 %.
# A delta is measured with nothing known beforehand (both sides are read: `cmp` of two equal files is the bound), with
# the journal of the older copy, with a manifest of the source, and with both.
# usage: benches/copy.sh [GIB] [FOLDER]      (EDBCOPY names a program to measure instead of a new build)
# Needs rsync and GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
gib=${1:-8}
folder=${2:-target/bench}
rounds=${ROUNDS:-3}
mkdir -p "$folder"
source=$folder/copy-source-$gib.edb
copy=$folder/copy.edb
old=$folder/copy-old.edb
if [ -z "${EDBCOPY:-}" ]; then
    cargo build --quiet --release --bin edbcopy
    EDBCOPY=${CARGO_TARGET_DIR:-target}/release/edbcopy
fi
[ -f "$source" ] || cargo xtask big-database "$source" $((gib * 1024))

cold() { sync -f "$folder"; for file in "$source" "$copy" "$copy.partial"; do [ ! -f "$file" ] || dd if="$file" iflag=nocache count=0 2>/dev/null; done; }
clear_target() { rm -f "$copy" "$copy".*; }
cached() { awk '/^Cached/ {print int($2 / 1024)}' /proc/meminfo; }
measure() { # name, command: prints name, seconds, peak memory in KiB; what is written counts when it is on the disk
    local name=$1; shift
    cold
    /usr/bin/time -o "$folder/time" -f "%e %M" bash -c 'set -e; "$@" >/dev/null; sync -f "$0"' "$folder" "$@"
    echo "$name $(tail -1 "$folder/time")"
}
older() { # an older copy at the target: by cp, so that nothing is known of it, or by edbcopy, with its journal
    clear_target
    case $1 in
    by_cp) cp "$old" "$copy" ;;
    by_edbcopy) "$EDBCOPY" -q copy "$old" "$copy" --bad-pages keep >/dev/null || [ $? = 1 ] ;;
    esac
}
half() { # a copy by edbcopy that was stopped at one half
    clear_target
    "$EDBCOPY" -q copy "$source" "$copy" --rate-file "$folder/rate" >/dev/null &
    local pid=$!
    until { "$EDBCOPY" status --json "$copy" 2>/dev/null || true; } | grep -o '"bytes_arrived":[0-9]*' |
        awk -F: -v half=$((gib << 29)) '{enough = $2 >= half} END {exit !enough}'; do
        sleep 0.02
    done
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
}
echo 300MiB/s >"$folder/rate"

# An older copy: 1 % of the pages differ, in runs of 64, as extents of a database do.
cp "$source" "$old"
python3 - "$old" <<'PY'
import os, random, sys
random.seed(1)
size = os.path.getsize(sys.argv[1])
runs = size // 8192 // 100 // 64
with open(sys.argv[1], "r+b") as file:
    for start in random.sample(range(1, size // 8192 // 64), runs):
        for page in range(start * 64, start * 64 + 64):
            file.seek(page * 8192 + 200)
            byte = file.read(1)
            file.seek(page * 8192 + 200)
            file.write(bytes([byte[0] ^ 255]))
PY
rm -f "$folder"/source.json*
"$EDBCOPY" -q manifest "$source" --chunk 256KiB --output "$folder/source.json" >/dev/null

for _ in $(seq "$rounds"); do
    clear_target; measure cp cp --reflink=never "$source" "$copy"
    clear_target; cold; before=$(cached); measure full "$EDBCOPY" -q copy "$source" "$copy"
    echo "cache-growth $(($(cached) - before)) 0"
    half; measure resume "$EDBCOPY" -q copy "$source" "$copy"
    clear_target; cold; head -c $((gib << 29)) "$source" >"$copy"; measure rsync-resume rsync --inplace --append-verify "$source" "$copy"
    clear_target; cp "$source" "$copy"; measure cmp cmp "$source" "$copy"
    older by_cp; measure delta "$EDBCOPY" -q copy "$source" "$copy" --delta
    older by_cp; measure delta-manifest "$EDBCOPY" -q copy "$source" "$copy" --delta --source-manifest "$folder/source.json"
    older by_edbcopy; measure delta-journal "$EDBCOPY" -q copy "$source" "$copy" --delta --trust-journal
    older by_edbcopy; measure delta-both "$EDBCOPY" -q copy "$source" "$copy" --delta --trust-journal --source-manifest "$folder/source.json"
done | tee "$folder/rounds" | sort -k1,1 -k2,2n | awk -v rounds="$rounds" '
    {value[$1, ++count[$1]] = $2; if ($3 > memory[$1]) memory[$1] = $3}
    function median(name) {return value[name, int((count[name] + 1) / 2)]}
    END {
        for (name in count) printf "%-15s %8.2f  peak %d KiB\n", name, median(name), memory[name]
        printf "full / cp                   %.2f (at most 1.05)\n", median("full") / median("cp")
        printf "resume - full / 2           %.2f s (at most 1)\n", median("resume") - median("full") / 2
        printf "rsync resume / resume       %.2f (at least 3)\n", median("rsync-resume") / median("resume")
        printf "full / delta                %.2f (both sides are read: at best full / cmp, %.2f)\n", median("full") / median("delta"), median("full") / median("cmp")
        printf "full / delta by manifest    %.2f (the older copy is read)\n", median("full") / median("delta-manifest")
        printf "full / delta by journal     %.2f (the source is read)\n", median("full") / median("delta-journal")
        printf "full / delta by both        %.2f (at least 3; what differs is read)\n", median("full") / median("delta-both")
        printf "page cache grew by          %d MiB in a full copy\n", median("cache-growth")
    }'
command cmp "$source" "$copy"
clear_target; rm -f "$old"
