#!/usr/bin/env bash
# edbtool export of all tables against esedbexport (libesedb) and dissect.database, in one run.
# usage: benches/export.sh DATABASE [PYTHON with dissect.database]
#        benches/export.sh --one-table [MEBIBYTES] [OTHER EDBTOOL]
# The second form is about one table of SRUM (Network_Data_Usage, 12,500 rows to the MiB) in each format: rows per second of
# processor time, two threads against one, and both against another build of edbtool, if one is named.
set -euo pipefail
cd "$(dirname "$0")/.."

one_table() { # MEBIBYTES, ANOTHER EDBTOOL
    local mebibytes=$1 other=$2 folder=target/bench table='{973F5D5C-1D90-4944-BE8E-24B94231A174}'
    local srum=$folder/museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat
    mkdir -p "$folder"
    [ -f "$srum" ] || zstd -dc testdata/real/museum.tar.zst | tar x -C "$folder"
    local database=$folder/one-table-$mebibytes.edb
    [ -f "$database" ] || cargo xtask big-table "$database" "$mebibytes" "$srum" "$table"
    cat "$database" >/dev/null
    local rows format round tool threads
    for round in 1 2 3; do
        for format in parquet jsonl csv; do
            for tool in "$tool_here" $other; do
                for threads in 1 2; do
                    /usr/bin/time -q -o "$work/time" -f "%U %S %e" \
                        "$tool" -q export --no-hash --threads "$threads" --format "$format" "$database" --to "$work/out" >/dev/null
                    rows=$(grep -o '"rows": *[0-9]*' "$work/out/manifest.json" | grep -o '[0-9]*$' | sort -n | tail -1)
                    echo "$format $tool $threads $rows $(cat "$work/time")"
                    rm -rf "$work/out"
                done
            done
        done
    done | awk -v here="$tool_here" '
        {key = $1 SUBSEP $2 SUBSEP $3; formats[$1]; used = $5 + $6
         if (!(key in cpu) || used < cpu[key]) cpu[key] = used
         if (!(key in wall) || $7 < wall[key]) wall[key] = $7
         rows = $4; if ($2 != here) other = $2}
        END {
            for (format in formats) {
                one = format SUBSEP here SUBSEP 1; two = format SUBSEP here SUBSEP 2
                printf "%-8s %.2f million rows/s per core; two threads %.2f times one", format, rows / cpu[one] / 1e6, wall[one] / wall[two]
                if (other != "") printf "; the other build takes %.2f times the processor time", cpu[format, other, 1] / cpu[one]
                print ""
            }
        }'
}
if [ "${1:-}" = --one-table ]; then
    tool_here=${EDBTOOL:-}
    if [ -z "$tool_here" ]; then
        cargo build --quiet --release --bin edbtool
        tool_here=${CARGO_TARGET_DIR:-target}/release/edbtool
    fi
    work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
    one_table "${2:-212}" "${3:-}"
    exit
fi
database=${1:?name a database}
python=${2:-${EDBKIT_PYTHON:-python3}}
cargo build --quiet --release --bin edbtool
tool=${CARGO_TARGET_DIR:-target}/release/edbtool
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
dissect='
import json, sys
from dissect.database.ese.ese import ESE
with open(sys.argv[2], "w") as out:
    for table in ESE(open(sys.argv[1], "rb")).tables():
        if not table.name.startswith("MSys"):
            for record in table.records():
                out.write(json.dumps(record.as_dict(), default=str) + "\n")
'
# Runs a command and prints its wall time and peak memory; a database with findings is no failure here.
measure() { /usr/bin/time -o "$work/time" -f "%e %M" "$@" >/dev/null 2>&1 || true; tail -1 "$work/time"; }

cat "$database" >/dev/null
for round in 1 2 3; do
    echo "edbtool $(measure "$tool" -q export "$database" --to "$work/edbtool-$round")"
    echo "esedbexport $(measure esedbexport -m tables -t "$work/esedb-$round" "$database")"
    echo "dissect $(measure "$python" -c "$dissect" "$database" "$work/dissect-$round.jsonl")"
done | sort -k1,1 -k2,2n | awk '
    {time[$1, ++count[$1]] = $2; if ($3 > memory[$1]) memory[$1] = $3}
    END {
        own = time["edbtool", 2]
        for (name in count) {
            median = time[name, 2]
            printf "%-12s %.2f s, %d KiB", name, median, memory[name]
            if (name != "edbtool" && own > 0) printf ", edbtool is %.1f times as fast", median / own
            print ""
        }
    }'
echo "tables: $(measure "$tool" -q tables "$database" | cut -d' ' -f1) s"
