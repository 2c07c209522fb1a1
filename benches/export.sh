#!/usr/bin/env bash
# edbtool export of all tables against esedbexport (libesedb) and dissect.database, in one run.
# usage: benches/export.sh DATABASE [PYTHON with dissect.database]
set -euo pipefail
cd "$(dirname "$0")/.."
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
