"""Every value of every small database: what `edbtool export` writes as JSON Lines, pyarrow, DuckDB, Polars and pandas have."""

from __future__ import annotations

import json
import math
import struct
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import programs, run

import edbkit

LARGEST = 8 << 20

pytestmark = [
    pytest.mark.skipif(not (programs() / "edbtool").exists(), reason="the programs are not built"),
    pytest.mark.filterwarnings("ignore::edbkit.LossWarning"),
]


@pytest.fixture(scope="module")
def databases(sets: Path) -> list[Path]:
    found = [find["file"] for find in edbkit.find(sets) if find.get("find") == "database"]
    return [Path(file["path"]) for file in found if file["length"] <= LARGEST]


def plain(value: Any, column: pa.DataType, folder: Path | None = None) -> Any:
    """A value of JSON Lines as pyarrow has it."""
    if value is None:
        return None
    if isinstance(value, list) and pa.types.is_list(column):
        return [plain(one, column.value_type) for one in value]
    if pa.types.is_timestamp(column):
        return datetime.fromisoformat(value)
    if pa.types.is_binary(column):
        return bytes.fromhex(value)
    if pa.types.is_floating(column):
        number = float(value)
        if pa.types.is_float32(column) and math.isfinite(number):
            return struct.unpack("f", struct.pack("f", number))[0]
        return number
    if pa.types.is_uint64(column) and isinstance(value, str):
        return int(value, 16)
    return value


def exported(folder: Path, table: dict) -> list[dict]:
    rows = (folder / table["file"]).read_bytes().splitlines()
    return [json.loads(row) for row in rows]


def test_all_values(databases: list[Path], tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    pl = pytest.importorskip("polars")
    pd = pytest.importorskip("pandas")
    assert len(databases) > 15
    values = 0
    for number, path in enumerate(databases):
        try:
            db = edbkit.open(path)
        except edbkit.Error:
            continue
        folder = tmp_path / str(number)
        run("edbtool", "export", path, "--decoded", "--to", folder, "--inline-limit", "64MiB", "--no-hash")
        manifest = json.loads((folder / "manifest.json").read_text())
        for entry in manifest["tables"]:
            table = db[entry["name"]]
            arrow = table.to_arrow()
            values += compare(arrow, folder, entry, f"{path}: {table.name}")
            rows = repr(arrow.to_pylist())
            connection = duckdb.connect()
            connection.execute("set timezone = 'UTC'")
            connection.register("it", table)
            in_duckdb = connection.sql("select * from it").to_arrow_table()
            assert normal(in_duckdb, arrow.schema) == rows, f"DuckDB: {path}: {table.name}"
            in_polars = pl.DataFrame(table).to_arrow()
            assert normal(in_polars, arrow.schema) == rows, f"Polars: {path}: {table.name}"
            in_pandas = pa.table(table).to_pandas(types_mapper=pd.ArrowDtype)
            in_pandas = pa.Table.from_pandas(in_pandas, schema=arrow.schema, preserve_index=False)
            assert repr(in_pandas.to_pylist()) == rows, f"pandas: {path}: {table.name}"
    assert values > 100_000


def normal(table: pa.Table, schema: pa.Schema) -> str:
    """The rows, in pyarrow's types: others have large texts, views, and dictionaries."""
    assert table.column_names == schema.names
    return repr(table.cast(schema).to_pylist())


def compare(arrow: pa.Table, folder: Path, entry: dict, what: str) -> int:
    """Compares with JSON Lines; gives the number of values that are not null."""
    values = 0
    rows = exported(folder, entry)
    assert len(rows) == arrow.num_rows, what
    pages = {column["name"]: column for column in entry["columns"]}
    for row, ours in zip(rows, arrow.to_pylist(), strict=True):
        for field in arrow.schema:
            name = field.name
            theirs = row.get(name)
            if theirs is None and (file := row.get(f"{name}_file")):
                # The long values of its row were too long together.
                content = (folder / file).read_bytes()
                theirs = content if pa.types.is_binary(field.type) else content.decode(
                    "utf-16-le" if pages[name].get("code_page") == 1200 else "cp1252"
                )
            elif isinstance(theirs, list) and not pa.types.is_list(field.type):
                # Several values where the catalog allows one: null here, and counted as a loss.
                assert entry["losses"]["values"] > 0 and ours[name] is None, what
                continue
            else:
                theirs = plain(theirs, field.type)
            same = theirs == ours[name] or repr(theirs) == repr(ours[name])
            assert same, f"{what}.{name}: {theirs!r} {ours[name]!r}"
            values += theirs is not None
    return values
