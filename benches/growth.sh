#!/usr/bin/env bash
# All programs and what they are compared with, in one run, on growing files: seconds (median) and peak memory, as a table.
# usage: benches/growth.sh [MEBIBYTES...]      (default: 100 1024 10240; needs four times the largest on the disk)
# ROUNDS=3 for sizes up to 2 GiB, one round above. Needs GNU time, rsync and, to compare with, b3sum, esedbexport and
# EDBKIT_PYTHON with dissect.database; what is missing is left out, and so are the last two above 512 MiB, where they
# would take the rest of the day.
set -euo pipefail
cd "$(dirname "$0")/.."
sizes=("$@"); [ ${#sizes[@]} -gt 0 ] || sizes=(100 1024 10240)
folder=${BENCH_FOLDER:-target/bench}/growth
rm -rf "$folder"; mkdir -p "$folder"
trap 'rm -rf "$folder"' EXIT
[ -n "${NO_BUILD:-}" ] || cargo build --quiet --release --bins --package edbtool --package logchain --package edbcopy --package edbreplay --package xtask
programs=${CARGO_TARGET_DIR:-target}/release
PATH=$PWD/$programs:$programs:$PATH
srum=../shared/fixtures/real/go-ese/testdata/SRUM/SRUDB.dat table='{5C8CF1C7-7257-4F13-B223-970EF5939312}'
python=${EDBKIT_PYTHON:-python3}
dissect='
import json, sys
from dissect.database.ese.ese import ESE
with open(sys.argv[3], "w") as out:
    for record in ESE(open(sys.argv[1], "rb")).table(sys.argv[2]).records():
        out.write(json.dumps(record.as_dict(), default=str) + "\n")
'

forget() { sync -f "$folder"; find "$folder" -type f -exec dd if={} iflag=nocache count=0 status=none \; ; }
remember() { find "$1" -type f -exec cat {} + >/dev/null; }
# Says how long a command takes and what memory it needs: "row|size|seconds|peak KiB"; what it prints is lost, and a
# finding (exit code 1) is no failure here.
measure() { # row, cold or warm or disk (cold, and what is written counts when it is on the disk), command
    local row=$1 cache=$2 round; shift 2
    for round in $(seq "$rounds"); do
        rm -rf "$folder/out"*
        if [ "$cache" = warm ]; then [ "$round" -gt 1 ] || remember "$folder/in"; else forget; fi
        local wait=true; [ "$cache" != disk ] || wait="sync -f $folder"
        /usr/bin/time -q -o "$folder/time" -f "%e|%M" bash -c '"$@" >/dev/null 2>&1 || [ $? = 1 ]; '"$wait" - "$@"
        echo "$row|$size|$(tail -1 "$folder/time")" >>"$results"
    done
}
have() { command -v "$1" >/dev/null; }

verify() {
    xtask big-database "$folder/in/db.edb" "$size"
    measure "verify: \`dd\` with blocks of 1 MiB, cold" cold dd if="$folder/in/db.edb" of=/dev/null bs=1M
    measure "verify: \`edbtool verify\`, cold" cold edbtool verify -q "$folder/in/db.edb"
    measure "verify: \`dd\` with blocks of 1 MiB, warm" warm dd if="$folder/in/db.edb" of=/dev/null bs=1M
    measure "verify: plain exclusive or, warm" warm xtask plain-xor "$folder/in/db.edb"
    ! have b3sum || measure "verify: \`cat\` to \`b3sum\`, warm" warm bash -c 'cat "$1" | b3sum' - "$folder/in/db.edb"
    measure "verify: \`edbtool verify\`, one thread, warm" warm edbtool verify -q --threads 1 "$folder/in/db.edb"
    measure "verify: \`edbtool verify\`, two threads, warm" warm edbtool verify -q --threads 2 "$folder/in/db.edb"
}
copy() { # the database of verify
    measure "copy: \`cp\`" disk cp --reflink=never "$folder/in/db.edb" "$folder/out.edb"
    measure "copy: \`rsync\`" disk rsync "$folder/in/db.edb" "$folder/out.edb"
    measure "copy: \`edbcopy copy\`, one thread" disk edbcopy -q copy --threads 1 "$folder/in/db.edb" "$folder/out.edb"
    measure "copy: \`edbcopy copy\`, two threads" disk edbcopy -q copy --threads 2 "$folder/in/db.edb" "$folder/out.edb"
}
export_table() {
    [ -f "$srum" ] || { echo "no export: $srum is missing" >&2; return; }
    xtask big-table "$folder/in/db.edb" "$size" "$srum" "$table"
    if [ "$size" -le 512 ]; then
        ! have esedbexport || measure "export: \`esedbexport\`" warm esedbexport -m tables -T "$table" -t "$folder/out" "$folder/in/db.edb"
        ! "$python" -c 'import dissect.database' 2>/dev/null ||
            measure "export: dissect.database" warm "$python" -c "$dissect" "$folder/in/db.edb" "$table" "$folder/out.jsonl"
    fi
    measure "export: \`edbtool export\`, one thread" warm edbtool export -q --threads 1 -t "$table" --to "$folder/out" "$folder/in/db.edb"
    measure "export: \`edbtool export\`, two threads" warm edbtool export -q --threads 2 -t "$table" --to "$folder/out" "$folder/in/db.edb"
}
logs() {
    xtask log-stream "$folder/in/logs" "$size"
    measure "logs: \`cat\`, warm" warm bash -c 'cat "$1"/*' - "$folder/in/logs"
    measure "logs: \`logchain verify\`, one thread, warm" warm logchain verify -q --threads 1 "$folder/in/logs"
    measure "logs: \`logchain verify\`, two threads, warm" warm logchain verify -q --threads 2 "$folder/in/logs"
}
replay() {
    xtask replay-stream "$folder/in/logs" "$size"
    measure "replay: \`edbreplay run\`, one thread" warm edbreplay run -q --threads 1 --logs "$folder/in/logs" --to "$folder/out.edb"
    measure "replay: \`edbreplay run\`, two threads" warm edbreplay run -q --threads 2 --logs "$folder/in/logs" --to "$folder/out.edb"
}
fresh() { rm -rf "$folder/in" "$folder/out"*; mkdir "$folder/in"; }

results=$folder/results; : >"$results"
for size in "${sizes[@]}"; do
    rounds=${ROUNDS:-3}; [ "$size" -le 2048 ] || rounds=1
    fresh; verify; copy
    fresh; export_table
    fresh; logs
    fresh; replay
    echo "$size MiB measured" >&2
done

sort -t'|' -s -k1,1 -k2,2n -k3,3n "$results" | awk -F'|' '
    !(($1, $2) in count) {if (!($1 in seen)) {order[++rows] = $1; seen[$1] = 1}; if (!($2 in sized)) {sizes[++columns] = $2; sized[$2] = 1}}
    {value[$1, $2, ++count[$1, $2]] = $3; if ($4 > peak[$1]) peak[$1] = $4}
    END {
        printf "| what |"; for (c = 1; c <= columns; c++) printf " %s MiB |", sizes[c]; print " peak |"
        printf "|---|"; for (c = 1; c <= columns; c++) printf "---|"; print "---|"
        for (r = 1; r <= rows; r++) {
            name = order[r]; printf "| %s |", name
            for (c = 1; c <= columns; c++) {
                n = count[name, sizes[c]]
                if (n == 0) {printf " |"; continue}
                seconds = value[name, sizes[c], int((n + 1) / 2)]
                printf " %.2f s", seconds
                if (seconds >= 0.05) printf ", %.2g GB/s", sizes[c] * 1.048576 / 1000 / seconds
                printf " |"
            }
            printf " %.0f MiB |\n", peak[name] / 1024
        }
    }'
