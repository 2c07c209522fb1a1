#!/usr/bin/env bash
# The Python package against ese-parser and dissect.database: all rows of all tables, values decoded, in one run; processor seconds.
# usage: benches/python.sh [DATABASE...]
# Without databases: those of ../shared/fixtures, of Windows Search, SRUM and one with large values.
# EDBKIT_PYTHON is a Python with all three packages and a wheel that was built with --release; without it one is made.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${EDBKIT_PYTHON:-}
if [ -z "$python" ]; then
    place=target/bench/python
    python=$place/bin/python
    python3 -m venv "$place"
    "$place/bin/pip" install -q maturin==1.16.0 ese-parser==0.1.7 dissect.database==1.1
    (cd bindings/python && CARGO_TARGET_DIR=../../target "../../$place/bin/maturin" build -q --release --out "../../$place/dist")
    "$place/bin/pip" install -q --force-reinstall --no-deps "$place"/dist/edbkit-*.whl
fi
databases=("$@")
if [ ${#databases[@]} -eq 0 ]; then
    files=../shared/fixtures/real/pypi_dissect.database-1.0/tests/_data/ese
    databases=("$files/Windows.edb" "$files/large.edb" ../shared/fixtures/real/museum/SRUM/Win10/APTSimulatorVM/Clean/SRUDB.dat)
fi
read_all='
import sys, time, warnings
reader, path = sys.argv[1:]
if reader == "edbkit":
    import edbkit
elif reader == "ese-parser":
    import ese_parser
else:
    from dissect.database.ese.ese import ESE
rounds = 5 if reader == "edbkit" else 1
warnings.simplefilter("ignore")
begun, rows = time.process_time(), 0
for _ in range(rounds):
    rows = 0
    if reader == "edbkit":
        db = edbkit.open(path)
        rows = sum(len(batch) for name in db.tables for batch in db[name].scan())
    elif reader == "ese-parser":
        db = ese_parser.EseDatabase(path)
        for name in db.get_tables():
            rows += len(db.read_table(name))
    else:
        for table in ESE(open(path, "rb")).tables():
            for record in table.records():
                record.as_dict()
                rows += 1
print(rows, (time.process_time() - begun) / rounds)
'
for database in "${databases[@]}"; do
    echo "$database"
    for reader in edbkit ese-parser dissect; do
        if answer=$("$python" -c "$read_all" "$reader" "$database" 2>/dev/null); then
            echo "$reader $answer"
        else
            echo "$reader failed"
        fi
    done | awk '
        $2 == "failed" {printf "  %-10s could not read it\n", $1; next}
        {if ($1 == "edbkit") own = $3
         printf "  %-10s %9d rows %9.3f s", $1, $2, $3
         if ($1 != "edbkit" && own > 0) printf "   %.1f times edbkit", $3 / own
         print ""}'
done
