"""Answers are the documents of the programs, field by field; changes are the rows of their Parquet file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import documents, programs, run

import edbkit

pytestmark = pytest.mark.skipif(
    not (programs() / "edbtool").exists(), reason="the programs are not built"
)


def test_headers_of_all_kinds_of_files(crash: Path) -> None:
    files = [crash / "db.edb", crash / "edb.log", *crash.glob("*.chk"), *crash.glob("*.jfm")]
    for file in files:
        assert edbkit.header(file) == documents("edbtool", "header", file)[0], file
    db = edbkit.open(crash / "db.edb", logs=crash)
    assert db.header() == documents("edbtool", "header", crash / "db.edb", "--logs", crash)[0]


def test_pages(crash: Path, clean: Path) -> None:
    assert edbkit.open(clean).verify() == documents("edbtool", "verify", clean)[0]
    view = edbkit.open(crash / "db.edb", logs=crash)
    command = ["edbtool", "verify", crash / "db.edb", "--with-logs", crash]
    assert view.verify() == documents(*command)[0]


def test_chains_and_plans(crash: Path, sets: Path, tmp_path: Path) -> None:
    db = crash / "db.edb"
    assert edbkit.chain(crash) == documents("logchain", "verify", crash)[0]
    assert edbkit.chain(crash, db) == documents("logchain", "verify", crash, "--db", db)[0]
    assert edbkit.plan(db, crash) == documents("edbreplay", "plan", db, "--logs", crash)[0]
    assert edbkit.plan(db, crash, quick=True) == documents("edbreplay", "plan", db, "--logs", crash, "--quick")[0]
    assert edbkit.plan(db, tmp_path) == documents("edbreplay", "plan", db, "--logs", tmp_path)[0]
    several = sets / "multidb-p8k" / "state"
    databases = sorted(several.glob("*.edb"))
    assert len(databases) > 1
    assert edbkit.chain(several, databases) == documents(
        "logchain", "verify", several, *(word for db in databases for word in ("--db", db))
    )[0]


def test_recoveries(crash: Path, tmp_path: Path) -> None:
    db = crash / "db.edb"
    before = db.read_bytes()
    ours = edbkit.recover(db, crash, tmp_path / "ours.edb")
    theirs = documents("edbreplay", "run", db, "--logs", crash, "--to", tmp_path / "theirs.edb")[0]
    for report in (ours, theirs):
        report.pop("seconds")
        report.pop("log_bytes_per_second")
        result = report["databases"][0]["result"]
        assert result.pop("path").endswith("s.edb")
    assert ours == theirs and ours["schema"] == "edbkit.replay-run/1"
    assert (tmp_path / "ours.edb").read_bytes() == (tmp_path / "theirs.edb").read_bytes()
    assert db.read_bytes() == before
    with pytest.raises(edbkit.RefusedError):
        edbkit.recover(db, crash, tmp_path / "ours.edb")
    edbkit.open(tmp_path / "ours.edb")


def test_finds(sets: Path) -> None:
    # What follows from the clock of this machine is not there.
    assert edbkit.find(sets / "crash-p8k", sets / "real") == documents(
        "edbtool", "find", sets / "crash-p8k", sets / "real"
    )


def test_changes_are_the_rows_of_the_parquet_file(crash: Path, tmp_path: Path) -> None:
    file = tmp_path / "changes.parquet"
    db = crash / "db.edb"
    with file.open("wb") as to:
        run("logchain", "timeline", crash, "--db", db, "--format", "parquet", stdout=to)
    changes = edbkit.open(db, logs=crash).changes()
    assert pa.schema(changes.schema).equals(pq.read_schema(file))
    rows = changes.to_arrow()
    assert rows.to_pylist() == pq.read_table(file).to_pylist() and rows.num_rows > 1000
    assert changes.losses == {"complete": True, "changes": rows.num_rows, "findings": []}
    some = edbkit.open(db, logs=crash).changes(tables=["Items"], committed=True).to_arrow()
    assert set(some["table"].to_pylist()) == {"Items"}
    assert set(some["status"].to_pylist()) == {"committed"}
    assert sum(len(batch) for batch in edbkit.Changes(crash, db)) == rows.num_rows
    with pytest.raises(edbkit.ReadError):
        edbkit.Changes(tmp_path / "nowhere").to_arrow()
    with pytest.raises(Exception, match="nothing"):
        edbkit.Changes(crash, db, tables=["nothing"]).to_arrow()
    with pytest.raises(edbkit.UsageError, match="nothing"):
        list(edbkit.Changes(crash, db, tables=["nothing"]))
