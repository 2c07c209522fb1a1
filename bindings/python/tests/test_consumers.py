"""One interface serves them all: pyarrow, DuckDB, Polars, pandas, narwhals."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import edbkit


@pytest.fixture(scope="module")
def table(crash: Path) -> edbkit.Table:
    return edbkit.open(crash / "db.edb", logs=crash)["Items"]


@pytest.fixture(scope="module")
def rows(table: edbkit.Table) -> list[dict]:
    return table.to_arrow().to_pylist()


def test_pyarrow(table: edbkit.Table, rows: list[dict]) -> None:
    assert pa.table(table).to_pylist() == rows
    reader = pa.RecordBatchReader.from_stream(table)
    assert reader.read_all().to_pylist() == rows


def test_duckdb(table: edbkit.Table, rows: list[dict]) -> None:
    duckdb = pytest.importorskip("duckdb")
    total, most = query(duckdb, table)
    assert (total, most) == (len(rows), max(row["id"] for row in rows))


def query(duckdb: object, items: edbkit.Table) -> tuple:
    # DuckDB finds `items` among the variables.
    return duckdb.sql("select count(*), max(id) from items").fetchall()[0]


def test_polars(table: edbkit.Table, rows: list[dict], crash: Path) -> None:
    pl = pytest.importorskip("polars")
    assert pl.DataFrame(table).to_dicts() == rows
    frame = edbkit.scan_ese(crash / "db.edb", "Items", logs=crash)
    assert frame.collect().to_dicts() == rows
    few = frame.filter(pl.col("id") > 100).select("name", "id").head(3).collect()
    assert few.to_dicts() == [
        {"name": row["name"], "id": row["id"]} for row in rows if row["id"] > 100
    ][:3]
    assert frame.select("id").head(2).collect()["id"].to_list() == [row["id"] for row in rows[:2]]
    assert frame.select(pl.len()).collect().item() == len(rows)


def test_pandas(table: edbkit.Table, rows: list[dict]) -> None:
    pd = pytest.importorskip("pandas", minversion="3")
    frame = pd.DataFrame.from_arrow(table)
    assert list(frame.columns) == table.columns
    assert frame["id"].tolist() == [row["id"] for row in rows]
    assert frame["name"].isna().tolist() == [row["name"] is None for row in rows]


def test_narwhals(table: edbkit.Table, rows: list[dict]) -> None:
    nw = pytest.importorskip("narwhals")
    frame = nw.from_arrow(table, backend="pyarrow")
    assert frame["id"].to_list() == [row["id"] for row in rows]
