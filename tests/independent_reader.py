"""Compares exports of edbtool with what dissect.database reads of the same files.

usage: independent_reader.py EDBTOOL DATABASE...

Prints one JSON line per database: rows and values compared, and every kind of difference with its count and an
example. What is to be made of them stands in independent_reader.rs.
"""

import json
import struct
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from dissect.database.ese.ese import ESE

FLOATS = {"IEEESingle": "<f", "IEEEDouble": "<d"}


def canonical_theirs(value, kind):
    """A value as dissect gives it, in a form that both sides share; None is null."""
    if isinstance(value, list):
        return [canonical_theirs(item, kind) for item in value]
    if value is None:
        return None
    if kind == "Bit":
        return bool(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if kind == "GUID":
        return str(value).strip("{}").lower()
    if kind in FLOATS:
        return struct.pack(FLOATS[kind], value).hex()
    return value


def canonical_ours(value, kind):
    if isinstance(value, list):
        return [canonical_ours(item, kind) for item in value]
    if value is not None and kind in FLOATS:
        return struct.pack(FLOATS[kind], float(value)).hex()
    return value


def cut(our, their):
    """Whether ours is theirs with one character in the place of what is left of the last one."""
    both = isinstance(our, str) and isinstance(their, str)
    return both and our.endswith("\ufffd") and their.startswith(our[:-1])


def without_zeros(value):
    if isinstance(value, list):
        return [without_zeros(item) for item in value]
    return value.rstrip("\0") if isinstance(value, str) else value


def rows_of_ours(folder, table, kinds):
    rows = []
    for line in (folder / table["file"]).open():
        row = json.loads(line)
        out = {}
        for name, kind in kinds.items():
            if kind == "DateTime":
                bits = row.get(f"{name}_raw")
                out[name] = None if bits is None else int(bits, 16).to_bytes(8, "little").hex()
            else:
                out[name] = canonical_ours(row.get(name), kind)
        rows.append((row.get("$deleted", False), out))
    return rows


def row_of_theirs(record, table, kinds):
    row = {}
    for name, kind in kinds.items():
        try:
            if kind == "DateTime":
                value = record.get(name, raw=True)
            else:
                value = record.get(name)
            row[name] = canonical_theirs(value, kind)
        except Exception as error:  # a reader that fails is a difference like any other
            row[name] = f"!{type(error).__name__}"
    return row


def compare(edbtool, database):
    differences = Counter()
    examples = {}

    def differ(what, example):
        differences[what] += 1
        examples.setdefault(what, example)

    compared_rows = compared_values = 0
    with tempfile.TemporaryDirectory() as to:
        command = [edbtool, "--quiet", "--json", "export", database, "--deleted", "--to", to]
        run = subprocess.run(command, capture_output=True, check=False)
        if run.returncode not in (0, 1):
            raise SystemExit(f"{database}: {run.stderr.decode()}")
        manifest = json.loads(run.stdout)
        lost = {key: manifest[key] for key in ("rows_lost", "values_lost", "pages_lost")}
        with open(database, "rb") as file:
            theirs = {table.name: table for table in ESE(file).tables()}
            for table in manifest["tables"]:
                kinds = {c["name"]: c["type"] for c in table["columns"] if c["type"] is not None}
                ours = rows_of_ours(Path(to), table, kinds)
                if table["name"] not in theirs:
                    differ("table missing in theirs", table["name"])
                    continue
                try:
                    records = [
                        (bool(r._node.tag.flags & 2) if hasattr(r, "_node") else False, row_of_theirs(r, table, kinds))
                        for r in theirs[table["name"]].records()
                    ]
                except Exception as error:
                    differ(f"their walk fails: {type(error).__name__}", table["name"])
                    continue
                if len(records) != len(ours):
                    live = sum(not deleted for deleted, _ in ours)
                    what = "their rows are the live ones" if len(records) == live else "row count"
                    differ(what, f"{table['name']}: ours {len(ours)} ({live} live), theirs {len(records)}")
                    if len(records) != live:
                        continue
                    ours = [row for row in ours if not row[0]]
                for (_, our), (_, their) in zip(ours, records):
                    compared_rows += 1
                    for name, kind in kinds.items():
                        compared_values += 1
                        if our[name] != their[name]:
                            if without_zeros(our[name]) == their[name]:
                                differ("text without its trailing zeros", f"{table['name']}.{name}")
                                continue
                            if isinstance(our[name], str) and their[name] == our[name] + "0000":
                                differ("bytes with one zero character more", f"{table['name']}.{name}")
                                continue
                            if cut(our[name], their[name]):
                                differ("text whose last character is cut", f"{table['name']}.{name}")
                                continue
                            how = "fails" if str(their[name]).startswith("!") else "differs"
                            differ(
                                f"{kind} {how}: {'null' if our[name] is None else 'value'} / "
                                f"{'null' if their[name] is None else 'value'}",
                                f"{table['name']}.{name}: ours {str(our[name])[:60]!r} theirs {str(their[name])[:60]!r}",
                            )
    return {
        "database": database,
        "rows": compared_rows,
        "values": compared_values,
        "lost": lost,
        "differences": {
            what: {"count": count, "example": examples[what]} for what, count in sorted(differences.items())
        },
    }


if __name__ == "__main__":
    for path in sys.argv[2:]:
        print(json.dumps(compare(sys.argv[1], path)), flush=True)
