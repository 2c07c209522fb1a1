#!/usr/bin/env python3
"""What readers of ESE make of the same databases: rows and values compared cell by cell.

usage: benches/readers.py [--to docs/readers.md] [--only TEXT] [--quick] [--edbtool PROGRAM]

Databases are those of testdata/ and, where it is present, of ../shared/fixtures: the real ones as Windows left them, and the
engine-made ones as the engine recovered them (--quick leaves those out; --only takes databases whose name has TEXT). Readers
are edbtool (built here unless --edbtool names one), dissect.database, libesedb through its Python binding, and ese-parser; they
are installed into target/readers/venv. Needs python3, tar, zstd, and pip's package index the first time.

Every reader reads every database in a process of its own, with limits of time and memory; one that dies, hangs or raises is
reported as that. What is compared:

- tables of users (those of the engine, MSys..., are left out), by name;
- rows by the columns of the primary index, in a table without one by their order;
- values in a form that all readers share: numbers, GUIDs and bits by value, floats and times by their bits, text without the
  NULs at its end (readers strip them or not), binary by its bytes, several values as a list.

What is right is what Microsoft's engine dumped, where the fixtures hold a dump. Where they hold none, since the database is
dirty and the engine reads only clean ones, readers are compared with edbtool, and nothing is proved by that.

The table goes to standard output, or with --to between the two marks in that file. The exit code is 1 where edbtool differs from
the engine's dump.
"""

import argparse
import collections
import hashlib
import importlib.metadata
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "readers"
SHARED = ROOT.parent / "shared" / "fixtures"
PACKAGES = ["dissect.database==1.1", "libesedb-python==20260704", "ese-parser==0.1.7"]
READERS = ["edbkit", "dissect", "libesedb", "ese-parser"]
SECONDS = 60
MEMORY = 4 << 30
BEGIN, END = "<!-- begin readers.py -->", "<!-- end readers.py -->"

# ---------------------------------------------------------------- values in the form that all share

FLOATS = {"IEEESingle": "<f", "IEEEDouble": "<d"}
NUMBERS = {
    1: "Bit",
    2: "UnsignedByte",
    3: "Short",
    4: "Long",
    5: "Currency",
    6: "IEEESingle",
    7: "IEEEDouble",
    8: "DateTime",
    9: "Binary",
    10: "Text",
    11: "LongBinary",
    12: "LongText",
    14: "UnsignedLong",
    15: "LongLong",
    16: "GUID",
    17: "UnsignedShort",
    18: "UnsignedLongLong",
}


def guid_text(data):
    first, second, third = struct.unpack("<IHH", data[:8])
    return f"{first:08x}-{second:04x}-{third:04x}-{data[8:10].hex()}-{data[10:].hex()}"


def alone(values):
    """One value is the same as a list of it: readers differ in whether a column that may have several has a list then."""
    return values[0] if len(values) == 1 else values


def share(value, kind):
    """A Python value of a reader in the shared form."""
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return alone([share(one, kind) for one in value])
    if isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        if kind == "GUID" and len(data) == 16:
            return guid_text(data)
        return "x:" + data.hex()
    if kind == "Bit":
        return bool(value)
    if kind in FLOATS and isinstance(value, (int, float)):
        return "f:" + struct.pack(FLOATS[kind], value).hex()
    if kind == "DateTime":
        if isinstance(value, float):
            return "x:" + struct.pack("<d", value).hex()
        if isinstance(value, int):
            return "x:" + (value % (1 << 64)).to_bytes(8, "little").hex()
    if kind == "GUID":
        return str(value).strip("{}").lower()
    if isinstance(value, str):
        return "t:" + value.rstrip("\0")
    return value


# ---------------------------------------------------------------- readers, each in a process of its own


def read_dissect(database, kinds):
    from dissect.database.ese import ESE

    with open(database, "rb") as file:
        for table in ESE(file).tables():
            if table.name.startswith("MSys"):
                continue
            types = kinds.get(table.name, {})
            names = [column.name for column in table.columns]

            def rows():
                for record in table.records():
                    row = {}
                    for name in names:
                        try:
                            row[name] = share(record.get(name), types.get(name))
                        except Exception as error:
                            row[name] = {"fails": type(error).__name__}
                    yield row

            yield table.name, names, rows()


def read_libesedb(database, kinds):
    import pyesedb

    file = pyesedb.file()
    file.open(database)
    types = {value: name for name, value in vars(pyesedb.column_types).items() if not name.startswith("_")}
    texts = {"TEXT", "LARGE_TEXT"}
    integers = {name for name in types.values() if name.startswith("INTEGER") or name == "CURRENCY"}
    for number in range(file.get_number_of_tables()):
        table = file.get_table(number)
        if table.name.startswith("MSys"):
            continue
        kind_of = kinds.get(table.name, {})
        names = [table.get_column(index).name for index in range(table.get_number_of_columns())]

        def value(record, index):
            kind = types.get(record.get_column_type(index))
            if record.is_multi_value(index):
                # The binding has no function for these: it gives their bytes as they are stored.
                data = record.get_value_data(index)
                return None if data is None else {"bytes of several values": data.hex()}
            if record.is_long_value(index):
                long = record.get_value_data_as_long_value(index)
                return long.get_data_as_string() if kind in texts else long.get_data()
            data = record.get_value_data(index)
            if data is None:
                return None
            if kind in texts:
                return record.get_value_data_as_string(index)
            if kind == "BOOLEAN":
                return record.get_value_data_as_boolean(index)
            if kind in integers:
                return int.from_bytes(data, "little", signed="UNSIGNED" not in kind)
            if kind == "FLOAT_32BIT":
                return struct.unpack("<f", data)[0]
            if kind == "DOUBLE_64BIT":
                return struct.unpack("<d", data)[0]
            return data

        def rows():
            for at in range(table.get_number_of_records()):
                record = table.get_record(at)
                row = {}
                for index in range(record.get_number_of_values()):
                    name = record.get_column_name(index)
                    try:
                        row[name] = share(value(record, index), kind_of.get(name))
                    except Exception as error:
                        row[name] = {"fails": type(error).__name__}
                yield row

        yield table.name, names, rows()


def read_ese_parser(database, kinds):
    from ese_parser import EseDatabase

    file = EseDatabase(database)
    for name in file.get_tables():
        if name.startswith("MSys"):
            continue
        names = [column["name"] for column in file.get_table_schema(name)]

        def rows():
            for record in file.read_table(name):
                yield {column: share(value, kinds.get(name, {}).get(column)) for column, value in record.items()}

        yield name, names, rows()


def worker(reader, database, schema, out):
    """Writes what a reader reads: a line for each table, and one for each of its rows."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    kinds = json.loads(Path(schema).read_text())
    read = {"dissect": read_dissect, "libesedb": read_libesedb, "ese-parser": read_ese_parser}[reader]
    with open(out, "w") as lines:

        def say(line):
            # Halves of surrogate pairs, which some readers let through, are no UTF-8.
            lines.write(json.dumps(line) + "\n")

        for table, columns, rows in read(database, kinds):
            say({"table": table, "columns": columns})
            try:
                for row in rows:
                    say({"row": {name: cell for name, cell in row.items() if cell is not None}})
            except Exception as error:
                say({"fails": f"{type(error).__name__}: {error}"[:200]})
        say({"end": True})


# ---------------------------------------------------------------- what they read, in memory


class Table:
    def __init__(self, columns=()):
        self.columns = list(columns)
        self.rows = []
        # Rows that are deleted but still in their pages; only edbtool tells them apart.
        self.deleted = []
        self.fails = None


class Reading:
    """What one reader read of one database."""

    def __init__(self):
        self.tables = {}
        self.fails = None
        self.seconds = 0.0


def run_reader(reader, database, schema):
    reading = Reading()
    out = schema.with_name("out.jsonl")
    python = WORK / "venv" / "bin" / "python"
    command = [python, __file__, "--worker", reader, database, schema, out]
    out.unlink(missing_ok=True)
    began = time.monotonic()
    try:
        run = subprocess.run(command, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        reading.fails = f"not finished after {SECONDS} s"
    else:
        if run.returncode < 0:
            reading.fails = f"crash: {signal.Signals(-run.returncode).name}"
        elif run.returncode:
            last = run.stderr.decode(errors="replace").strip().splitlines() or ["?"]
            reading.fails = last[-1][:160]
    reading.seconds = time.monotonic() - began
    table = None
    for line in out.open() if out.exists() else ():
        try:
            line = json.loads(line)
        except ValueError:  # cut off where the reader died
            break
        if "table" in line:
            table = reading.tables[line["table"]] = Table(line["columns"])
        elif "row" in line:
            table.rows.append(line["row"])
        elif "fails" in line:
            table.fails = line["fails"]
    return reading


def blob(folder, name):
    return (folder / name).read_bytes() if name else None


def read_edbkit(edbtool, database, folder):
    """The export of edbtool: its rows, and the types of all columns, which the other readers' values are read by."""
    reading, kinds = Reading(), {}
    command = [edbtool, "-q", "export", "--no-hash", "--format", "jsonl", "--inline-limit", str(1 << 30), "--deleted"]
    began = time.monotonic()
    try:
        run = subprocess.run(
            [*command, database, "--to", folder], capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        reading.fails = f"not finished after {SECONDS} s"
        return reading, kinds
    reading.seconds = time.monotonic() - began
    if run.returncode not in (0, 1) or not (folder / "manifest.json").exists():
        said = (run.stderr.decode(errors="replace").strip().splitlines() or ["?"])[0]
        reading.fails = said.removeprefix("error: ").removeprefix(f"{database}: ")[:160]
        return reading, kinds
    for source in json.loads((folder / "manifest.json").read_text())["tables"]:
        columns = [column for column in source["columns"] if column["type"]]
        kinds[source["name"]] = {column["column"]: column["type"] for column in columns}
        table = reading.tables[source["name"]] = Table(column["column"] for column in columns)
        for line in (folder / source["file"]).open():
            row = json.loads(line)
            cells = {}
            for column in columns:
                name, kind, page = column["name"], column["type"], column["code_page"]
                value, file = row.get(name), row.get(f"{name}_file")
                if isinstance(file, list):
                    value = [blob(folder, one) or value[at] for at, one in enumerate(file)]
                elif file:
                    value = blob(folder, file)
                if kind == "DateTime":
                    value = row.get(f"{name}_raw")
                cell = ours(value, kind, page)
                if cell is not None:
                    cells[column["column"]] = cell
            (table.deleted if row.get("$deleted") else table.rows).append(cells)
    return reading, kinds


def ours(value, kind, page):
    if value is None:
        return None
    if isinstance(value, list):
        return alone([ours(one, kind, page) for one in value])
    if kind == "DateTime":
        return share(int(value, 16).to_bytes(8, "little"), kind)
    if kind in ("Text", "LongText"):
        if isinstance(value, bytes):
            value = value.decode("utf-16-le" if page == 1200 else f"cp{page or 1252}", "replace")
        return share(value, kind)
    if kind in ("Binary", "LongBinary"):
        return "x:" + (value.hex() if isinstance(value, bytes) else value)
    if kind in FLOATS:
        return share(float(value), kind)
    return share(value, kind)


def read_engine(lines, database=None):
    """The engine's dump, as the fixtures hold it. Text and binary of more than 300 bytes are a length and a digest."""
    reading, types = Reading(), {}
    for line in lines:
        line = json.loads(line)
        if database and line["db"] != database:
            continue
        name = line["table"]
        if "schema" in line:
            reading.tables[name] = Table(column["name"] for column in line["schema"])
            types[name] = {column["name"]: NUMBERS.get(column["typ"], "?") for column in line["schema"]}
            continue
        cells = {column: theirs(value, types[name][column]) for column, value in line["row"].items()}
        reading.tables[name].rows.append(cells)
    return reading


def theirs(value, kind):
    if isinstance(value, list):
        return alone([theirs(one, kind) for one in value])
    if isinstance(value, dict):
        return value
    if kind in ("Text", "LongText"):
        if value.startswith("x:"):
            try:
                return share(bytes.fromhex(value[2:]).decode("utf-16-le", "surrogatepass"), kind)
            except UnicodeDecodeError:  # an odd number of bytes: the engine does not mind
                return value
        return share(value.encode("latin-1").decode("cp1252", "replace"), kind)
    if isinstance(value, str) and kind not in ("Binary", "LongBinary"):
        data = bytes.fromhex(value[2:])
        return "f:" + data.hex() if kind in FLOATS else share(data, kind)
    return value


def same(cell, right):
    """Whether a cell is the right one, which may be known by length and digest only."""
    if isinstance(right, dict) and "sha256" in right:
        if not isinstance(cell, str):
            return cell == right
        length = right["len"]
        if cell.startswith("x:"):
            forms = [bytes.fromhex(cell[2:])]
        else:
            text = cell[2:]
            forms = [text.encode("utf-16-le", "surrogatepass"), text.encode("cp1252", "replace")]
            forms = [form.ljust(length, b"\0") for form in forms]
        return any(len(form) == length and hashlib.sha256(form).hexdigest() == right["sha256"] for form in forms)
    if isinstance(right, list) and isinstance(cell, list) and len(right) == len(cell):
        return all(same(one, other) for one, other in zip(cell, right))
    return cell == right


# ---------------------------------------------------------------- comparing


INTEGERS = {"UnsignedByte", "Short", "UnsignedShort", "Long", "UnsignedLong", "LongLong", "Currency", "UnsignedLongLong"}


def kind_of_difference(cell, right, kind, info):
    """What sort of difference it is. docs/readers.md explains each."""
    if isinstance(cell, dict) and "fails" in cell:
        return "raises an error"
    several = isinstance(right, list)
    if isinstance(cell, dict) or several and not isinstance(cell, list):
        return "several values: null" if cell is None else "several values: not taken apart"
    if cell is None:
        return "default value: null" if info.get("default_value") is not None else "null where there is a value"
    if right is None:
        if info.get("id", 0) < 128:
            return "null of a fixed column: the bytes in its place"
        return "a value where there is none"
    if several:
        return "several values: others" if len(cell) == len(right) else "several values: another number of them"
    if kind in INTEGERS and isinstance(cell, int) and isinstance(right, int) and (cell - right) % (1 << 32) == 0:
        return "number: sign"
    packed = "compressed" in info.get("flags", ())
    if kind in ("Text", "LongText"):
        if cell == "t:":
            return "empty where there is a value"
        if isinstance(cell, str) and cell.startswith("x:"):
            return "text: compressed bytes as they are stored" if packed else "text: bytes instead of text"
        return "text: compressed bytes read as text" if packed else "text: another one"
    if kind in ("Binary", "LongBinary"):
        if cell == "x:":
            return "empty where there is a value"
        if isinstance(cell, str) and any(same(cell[:-digits], right) for digits in (2, 4)):
            return "binary: a character too many after 7-bit compression"
        # The scheme is in the upper five bits of the first byte.
        stored = isinstance(cell, str) and packed and int(cell[2:4], 16) >> 3 in range(1, 8)
        return "binary: compressed bytes as they are stored" if stored else "binary: other bytes"
    return "another value"


class Comparison:
    """How one reader differs from what is right, in one database."""

    def __init__(self):
        self.tables = self.rows = self.cells = 0
        self.missing_tables, self.extra_tables = [], []
        self.missing = self.extra = 0
        self.failed_tables = []
        self.kinds = collections.Counter()
        self.kinds_of_rows = collections.Counter()
        # Values of text columns that are no text: the engine does not mind, and edbtool keeps their bytes elsewhere.
        self.not_text = 0
        self.examples = {}

    @property
    def wrong(self):
        return sum(self.kinds.values())


def extra_row(row, deleted, rows, keys):
    """What sort of row it is that should not be there."""

    def is_among(others):
        if keys:
            return any(all(row.get(column) == other.get(column) for column in keys) for other in others)
        return any(likeness(row, other) > 0.5 for other in others)

    if is_among(deleted):
        return "row: one that is deleted"
    return "row: one of them again" if is_among(rows) else "row: where there is none"


def compare(reading, right, kinds, keys, infos, deleted):
    result = Comparison()
    result.missing_tables = [name for name in right.tables if name not in reading.tables]
    result.extra_tables = [name for name in reading.tables if name not in right.tables]
    for name, table in right.tables.items():
        result.rows += len(table.rows)
        result.cells += sum(len(row) for row in table.rows)
        found = reading.tables.get(name)
        if found is None:
            result.missing += len(table.rows)
            result.kinds_of_rows["row: its table is missing"] += len(table.rows)
            continue
        result.tables += 1
        if found.fails:
            result.failed_tables.append((name, found.fails))
        for row, want in pair(found.rows, table.rows, keys.get(name) or []):
            if want is None:
                result.extra += 1
                what = extra_row(row, deleted.get(name, ()), table.rows, keys.get(name))
                result.kinds_of_rows[what] += 1
                result.examples.setdefault(what, (name, None, None, row, None))
                continue
            if row is None:
                result.missing += 1
                result.kinds_of_rows["row: none where there is one"] += 1
                result.examples.setdefault("row: none where there is one", (name, None, None, None, want))
                continue
            for column in want.keys() | row.keys():
                cell, good = row.get(column), want.get(column)
                if cell is not good and not same(cell, good):
                    kind = kinds.get(name, {}).get(column)
                    is_bytes = kind in ("Text", "LongText") and isinstance(good, str) and good.startswith("x:")
                    result.not_text += cell is None and is_bytes
                    what = kind_of_difference(cell, good, kind, infos.get(name, {}).get(column, {}))
                    result.kinds[what] += 1
                    result.examples.setdefault(what, (name, column, kind, cell, good, want))
    return result


def likeness(row, want):
    """Which part of the right cells a row has."""
    good = sum(same(row.get(column), cell) for column, cell in want.items())
    return good / len(want) if want else float(not row)


def pair(rows, wanted, keys):
    """Pairs of a row and the right one: by the columns of the primary index, and without one by their order. Of several rows of
    one key, which a reader has that gives deleted ones too, the one most alike is meant."""

    def key(row):
        return json.dumps([row.get(column) for column in keys])

    if not keys or len({key(row) for row in wanted}) != len(wanted):
        yield from pair_in_order(rows, wanted)
        return
    by_key = collections.defaultdict(list)
    for row in rows:
        by_key[key(row)].append(row)
    left = []
    for want in wanted:
        same_key = by_key.get(key(want))
        if same_key:
            best = max(range(len(same_key)), key=lambda at: likeness(same_key[at], want)) if len(same_key) > 1 else 0
            yield same_key.pop(best), want
        else:
            left.append(want)
    # A reader that reads a column of the key in another way has other keys for the same rows.
    yield from pair_in_order([row for same_key in by_key.values() for row in same_key], left, False)


def pair_in_order(rows, wanted, all_of_them=True):
    if all_of_them and len(rows) == len(wanted):
        yield from zip(rows, wanted)
        return
    at = 0
    for want in wanted:
        near = rows[at : at + 200]
        found = next((index for index, row in enumerate(near) if likeness(row, want) == 1), None)
        if found is None:
            found = next((index for index, row in enumerate(near) if likeness(row, want) > 0.5), None)
        if found is None:
            yield None, want
            continue
        for row in near[:found]:
            yield row, None
        yield near[found], want
        at += found + 1
    for row in rows[at:]:
        yield row, None


# ---------------------------------------------------------------- databases


def unpack(archive, to):
    done = to / (archive.name + ".done")
    if not done.exists():
        to.mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(["zstd", "-dc", archive], stdout=subprocess.PIPE) as zstd:
            subprocess.run(["tar", "x", "-C", to], stdin=zstd.stdout, check=True)
        done.touch()


def is_database(path):
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    # The signature, and 0 for a database.
    return len(head) == 16 and head[4:8] == b"\xef\xcd\xab\x89" and head[12:16] == bytes(4)


def real_databases():
    """Real databases, each with the engine's dump of it if there is one."""
    if (SHARED / "real").is_dir():
        real, expected = SHARED / "real", SHARED / "real" / "expected"
    else:
        real = WORK / "real"
        for archive in sorted((ROOT / "testdata" / "real").glob("*.tar.zst")):
            unpack(archive, real)
        expected = real / "expected"
    seen = set()
    for path in sorted(real.rglob("*")):
        if expected in path.parents or not path.is_file() or not is_database(path):
            continue
        digest = hashlib.sha256(path.read_bytes()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        place = path.relative_to(real)
        dump = expected / place / "dump.jsonl.zst"
        yield str(place), path, dump if dump.exists() else None


def engine_sets():
    """Databases as the engine recovered them, with the rows that it dumped."""
    archives = {path.name: path for path in sorted((ROOT / "testdata").glob("*.tar.zst"))}
    archives |= {path.name: path for path in sorted((SHARED / "engine").glob("*.tar.zst"))}
    for name, archive in sorted(archives.items()):
        folder = WORK / "sets"
        unpack(archive, folder)
        folder = folder / name.removesuffix(".tar.zst")
        rows = folder / "recovered-rows.jsonl"
        if not rows.exists():
            continue
        databases = sorted({json.loads(line)["db"] for line in rows.open()})
        for database in databases:
            path = next((folder / state / database for state in ("recovered", "state") if (folder / state / database).exists()), None)
            if path:
                yield f"{folder.name}/{database}", path, rows, database
        shutil.rmtree(folder)
        (WORK / "sets" / (archive.name + ".done")).unlink()


def schema_of(edbtool, database):
    """Columns of the primary index, and what the catalog says of each column, of each table."""
    keys, infos = {}, {}
    run = subprocess.run([edbtool, "--json", "schema", database], capture_output=True, stdin=subprocess.DEVNULL)
    try:
        tables = json.loads(run.stdout)["tables"]
    except (ValueError, KeyError):
        return keys, infos
    for table in tables:
        primary = next((index for index in table["indexes"] if "primary" in index["flags"]), None)
        keys[table["name"]] = [column["name"] for column in primary["columns"]] if primary else []
        infos[table["name"]] = {column["name"]: column for column in table["columns"]}
    return keys, infos


# ---------------------------------------------------------------- all of it


def install():
    venv = WORK / "venv"
    done = venv / ("-".join(PACKAGES).replace("/", "_") + ".done")
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "pip", "install", "-q", *PACKAGES], check=True)
        done.touch()


def build():
    subprocess.run(["cargo", "build", "--release", "--bin", "edbtool"], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "edbtool"


def lines_of(dump):
    if dump.suffix == ".zst":
        return subprocess.run(["zstd", "-dc", dump], capture_output=True, check=True).stdout.decode().splitlines()
    return dump.read_text().splitlines()


def look_at(edbtool, name, path, dump, database=None):
    """Comparisons of all readers on one database."""
    readings = {}
    # A folder of its own: nothing that is left of another database can be taken for this one.
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        folder = Path(folder)
        readings["edbkit"], kinds = read_edbkit(edbtool, path, folder / "export")
        schema = folder / "schema.json"
        schema.write_text(json.dumps(kinds))
        for reader in READERS[1:]:
            readings[reader] = run_reader(reader, path, schema)
    right = read_engine(lines_of(dump), database) if dump else readings["edbkit"]
    keys, infos = schema_of(edbtool, path)
    deleted = {name: table.deleted for name, table in readings["edbkit"].tables.items()}
    results = {reader: compare(reading, right, kinds, keys, infos, deleted) for reader, reading in readings.items()}
    print(name, {r: (x.fails or f"{results[r].wrong}/{results[r].cells}") for r, x in readings.items()}, file=sys.stderr)
    return readings, right, results


def verdict(reading, result):
    parts = []
    if reading.fails:
        parts.append(f"**{reading.fails.replace('|', '/')}**")
        if not reading.tables:
            return parts[0]
    if result.missing_tables:
        parts.append(f"{len(result.missing_tables)} tables missing")
    if result.extra_tables:
        parts.append(f"{len(result.extra_tables)} tables too many")
    if result.failed_tables:
        first = result.failed_tables[0][1].replace("|", "/").splitlines()[0][:90]
        parts.append(f"{len(result.failed_tables)} tables end with an error (`{first}`)")
    if result.missing:
        parts.append(f"{result.missing} rows missing")
    if result.extra:
        parts.append(f"{result.extra} rows too many")
    if result.wrong:
        parts.append(f"{result.wrong} values differ")
    return ", ".join(parts) or "the same"


def shorten(cell, most=60):
    if cell is None:
        return "null"
    text = json.dumps(cell, ensure_ascii=True) if not isinstance(cell, str) else cell
    for prefix in ("t:", "x:", "f:"):
        text = text.removeprefix(prefix)
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text).replace("|", "\\|").replace("`", "'")
    return f"`{text[:most]}{'…' if len(text) > most else ''}`"


def markdown(singles, sets, edbtool):
    versions = subprocess.run(
        [WORK / "venv" / "bin" / "pip", "list", "--format", "json"], capture_output=True, check=True
    ).stdout
    versions = {package["name"].lower().replace("-", "."): package["version"] for package in json.loads(versions)}
    edbkit = subprocess.run([edbtool, "--version"], capture_output=True, check=True).stdout.decode().split()[-1]
    out = [
        f"Made with edbkit {edbkit}, dissect.database {versions.get('dissect.database')}, libesedb "
        f"{versions.get('libesedb.python')} (its Python binding) and ese-parser {versions.get('ese.parser')}.",
        "",
        "### Real databases",
        "",
        "| database | right is | tables | rows | values | " + " | ".join(READERS) + " |",
        "|---|---|---|---|---|" + "---|" * len(READERS),
    ]
    totals = {reader: collections.Counter() for reader in READERS}
    examples = collections.defaultdict(dict)

    def count(name, readings, right, results, by_engine):
        for reader in READERS:
            reading, result, total = readings[reader], results[reader], totals[reader]
            total["databases"] += 1
            total["failed"] += bool(reading.fails)
            same_all = verdict(reading, result) == "the same"
            total["the same"] += same_all
            for what, number in (result.kinds + result.kinds_of_rows).items():
                total[what] += number
            for what, example in result.examples.items():
                if what not in examples[reader] or by_engine and not examples[reader][what][1]:
                    others = {
                        other: cell_of(readings[other], example, results, right) for other in READERS if other != reader
                    }
                    examples[reader][what] = (name, by_engine, example, others)

    def cell_of(reading, example, results, right):
        table, column, _, _, _, *want = example if len(example) > 5 else (*example, None)
        if not want or want[0] is None or column is None or table not in reading.tables:
            return "?"
        rows = reading.tables[table].rows
        at = next((index for index, row in enumerate(right.tables[table].rows) if row is want[0]), None)
        if at is None or at >= len(rows):
            return "?"
        return rows[at].get(column)

    for name, readings, right, results, by_engine in singles:
        count(name, readings, right, results, by_engine)
        rows = sum(len(table.rows) for table in right.tables.values())
        cells = sum(len(row) for table in right.tables.values() for row in table.rows)
        said = "the engine" if by_engine else "not known"
        verdicts = [verdict(readings[reader], results[reader]) for reader in READERS]
        if not by_engine and not readings["edbkit"].fails:
            verdicts[0] = "compared with"
        out.append(f"| `{name}` | {said} | {len(right.tables)} | {rows} | {cells} | " + " | ".join(verdicts) + " |")
    if sets:
        out += [
            "",
            "### Engine-made databases",
            "",
            f"{len(sets)} databases, as the engine recovered them. What is right is the engine's own dump of all of them.",
            "",
            "| reader | the same | cannot be read | rows missing | rows too many | values that differ, of "
            f"{sum(sum(len(row) for t in right.tables.values() for row in t.rows) for _, _, right, _ in sets)} |",
            "|---|---|---|---|---|---|",
        ]
        for reader in READERS:
            same_all = sum(verdict(readings[reader], results[reader]) == "the same" for _, readings, _, results in sets)
            failed = sum(bool(readings[reader].fails) for _, readings, _, _ in sets)
            results_of = [results[reader] for _, _, _, results in sets]
            out.append(
                f"| {reader} | {same_all} | {failed} | {sum(r.missing for r in results_of)} | "
                f"{sum(r.extra for r in results_of)} | {sum(r.wrong for r in results_of)} |"
            )
        for name, readings, right, results in sets:
            count(name, readings, right, results, True)
    out += ["", "### Kinds of differences", "", "Of all databases, with the first example of each.", ""]
    for reader in READERS:
        total = totals[reader]
        out.append(
            f"**{reader}**: {total['the same']} of {total['databases']} databases the same, {total['failed']} could not be "
            "read to the end."
        )
        out.append("")
        kinds = [what for what in total if what not in ("databases", "failed", "the same") and total[what]]
        if not kinds:
            continue
        out.append("| difference | values or rows | example | this reader | right | others |")
        out.append("|---|---|---|---|---|---|")
        for what in sorted(kinds, key=lambda what: -total[what]):
            example = examples[reader].get(what)
            if example is None:
                out.append(f"| {what} | {total[what]} | | | | |")
                continue
            database, by_engine, (table, column, kind, cell, good, *_), others = example
            place = f"`{database}`, `{table}`" + (f", `{column}` ({kind})" if column else "")
            right = shorten(good) + ("" if by_engine else " (not proved)")
            said = "; ".join(f"{other} {shorten(value, 30)}" for other, value in others.items() if value != "?")
            out.append(f"| {what} | {total[what]} | {place} | {shorten(cell)} | {right} | {said} |")
        out.append("")
    return "\n".join(out).rstrip() + "\n"


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--edbtool", type=Path)
    arguments = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    install()
    edbtool = arguments.edbtool or build()
    singles, sets = [], []
    for name, path, dump in real_databases():
        if arguments.only in name:
            singles.append((name, *look_at(edbtool, name, path, dump), dump is not None))
    for name, path, rows, database in () if arguments.quick else engine_sets():
        if arguments.only in name:
            sets.append((name, *look_at(edbtool, name, path, rows, database)))
    text = markdown(singles, sets, edbtool)
    judged = [(name, results["edbkit"]) for name, _, _, results, by_engine in singles if by_engine]
    judged += [(name, results["edbkit"]) for name, _, _, results in sets]
    wrong = [name for name, ours in judged if ours.missing or ours.extra or ours.wrong > ours.not_text]
    for name in wrong:
        print(f"edbtool does not read what the engine reads: {name}", file=sys.stderr)
    if arguments.to is None:
        print(text)
        return bool(wrong)
    document = arguments.to.read_text()
    before, rest = document.split(BEGIN)
    after = rest.split(END)[1]
    arguments.to.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
