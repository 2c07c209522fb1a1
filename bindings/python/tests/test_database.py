"""Opening databases, tables, scans, and what they say about losses."""

from __future__ import annotations

import pickle
import threading
import uuid
import warnings
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

import edbkit


def items(crash: Path, **options: object) -> edbkit.Table:
    return edbkit.open(crash / "db.edb", logs=crash, **options)["Items"]


def test_a_database_has_tables_and_tables_have_columns(clean: Path) -> None:
    db = edbkit.open(clean)
    assert "MSysObjects" in db and "nothing" not in db
    assert list(db) == db.tables and len(db) == len(db.tables)
    table = db["msysobjects"]
    assert table.name == "MSysObjects"
    assert table.columns == table.schema.names == pa.schema(table.schema).names
    assert table.to_arrow().num_rows > 10


def test_a_dirty_database_is_warned_of_unless_its_logs_are_there(crash: Path) -> None:
    with pytest.warns(edbkit.DirtyWarning, match="dirty"):
        dirty = edbkit.open(crash / "db.edb")
    recovered = items(crash)
    # Pages of it were not written yet: they are lost without the logs, and that is said, too.
    with pytest.warns(edbkit.LossWarning, match="Items: lost"):
        assert dirty["Items"].to_arrow() != recovered.to_arrow()
    assert recovered.to_arrow().num_rows == 186


def test_a_moment_is_a_position_a_generation_or_a_time(crash: Path) -> None:
    whole = items(crash).to_arrow()
    assert items(crash, as_of=0x17).to_arrow() == whole
    assert items(crash, as_of="00000017:0007:038C").to_arrow().num_rows > 100
    with pytest.raises(edbkit.RefusedError, match="2030-01-01T00:00:00Z: what happened until then"):
        items(crash, as_of=datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.raises(edbkit.RefusedError, match="the earliest moment is 00000017:0007:038C"):
        items(crash, as_of="0xE")
    with pytest.raises(edbkit.UsageError, match="as_of needs logs"):
        edbkit.open(crash / "db.edb", as_of=14)


def test_an_overlay_is_a_recovery_that_was_written(crash: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    edbkit.recover(crash / "db.edb", crash, overlay=overlay)
    seen = edbkit.open(crash / "db.edb", overlay=overlay)["Items"]
    assert seen.to_arrow() == items(crash).to_arrow()


def test_columns_rows_and_batches(crash: Path) -> None:
    table = items(crash)
    scan = table.scan(columns=["id", "name"], rows=7)
    assert scan.to_arrow() == table.to_arrow().select(["id", "name"]).slice(0, 7)
    assert scan.losses["rows_read"] == 7 and scan.losses["complete"]
    # Each consumer has a stream of its own.
    assert sum(len(batch) for batch in scan) == 7
    assert pa.table(scan).num_rows == 7
    whole = pa.concat_tables(pa.table(batch) for batch in table.scan())
    assert whole.combine_chunks() == table.to_arrow().combine_chunks()


def test_partitions_are_the_table(crash: Path) -> None:
    table = items(crash)
    parts = pickle.loads(pickle.dumps(table.partitions(3)))
    assert len(parts) > 1 and parts == table.partitions(3)
    rows = [table.scan(partition=part).to_arrow() for part in parts]
    assert all(part.num_rows for part in rows)
    assert pa.concat_tables(rows).combine_chunks() == table.to_arrow().combine_chunks()


def test_conditions_on_the_key(crash: Path) -> None:
    table = items(crash)
    key = table.key_column
    assert key is not None
    all_rows = table.to_arrow()
    keys = all_rows[key].to_pylist()
    some = sorted(keys)[len(keys) // 2]
    for comparison, meets in {
        "=": some.__eq__,
        "<": some.__gt__,
        "<=": some.__ge__,
        ">": some.__lt__,
        ">=": some.__le__,
    }.items():
        found = table.scan(where=[(key, comparison, some)]).to_arrow()
        assert found[key].to_pylist() == [one for one in keys if meets(one)]
    with pytest.raises(edbkit.UsageError):
        table.scan(where=[("name", "=", 1)])
    with pytest.raises(edbkit.UsageError):
        table.scan(where=[(key, "like", 1)])
    with pytest.raises(edbkit.UsageError):
        table.scan(where=[(key, "=", uuid.uuid4())])


def test_a_member_of_an_archive(crash: Path, tmp_path: Path) -> None:
    archive = tmp_path / "case.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as to:
        for file in sorted(crash.iterdir()):
            to.write(file, f"host/sg1/{file.name}")
    place = f"{archive}::host/sg1"
    inside = edbkit.open(f"{place}/db.edb", logs=place)
    assert inside["Items"].to_arrow() == items(crash).to_arrow()
    assert edbkit.find(archive)[0]["find"] == "database"


def test_what_is_lost_is_said(clean: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "db.edb"
    content = bytearray(clean.read_bytes())
    page_size = edbkit.header(clean)["page_size"]
    # Every second page of the last half: some are leaves.
    for page in range(len(content) // page_size // 2, len(content) // page_size, 2):
        content[page * page_size + 100] ^= 0xFF
    damaged.write_bytes(content)
    db = edbkit.open(damaged)
    lossy = 0
    for name in db:
        scan = db[name].scan()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            scan.to_arrow()
        losses = scan.losses
        lost = bool(losses["pages"] or losses["rows"] or losses["values"])
        assert [warning.category for warning in warned] == [edbkit.LossWarning] * lost
        lossy += "ReadVerifyFailure" in str(losses["pages"])
    assert lossy > 0
    # A filter that makes errors of warnings makes one of a loss: the stream does not end as if all were there.
    with pytest.raises(Exception, match="lost"):
        for name in db:
            db[name].to_arrow()
    report = db.verify()
    assert report["schema"] == "edbkit.verify/1" and report["pages"]["bad_checksums"] > 0


def test_threads_share_a_database(crash: Path) -> None:
    table = items(crash)
    expected = table.to_arrow()
    seen: list[bool] = []
    threads = [
        threading.Thread(target=lambda: seen.append(table.to_arrow() == expected))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True] * 8


def test_errors_say_what_programs_say(tmp_path: Path, crash: Path, clean: Path) -> None:
    with pytest.raises(edbkit.ReadError) as missing:
        edbkit.open(tmp_path / "nothing.edb")
    assert (missing.value.exit_code, missing.value.jet, missing.value.jet_name) == (3, -1811, "FileNotFound")
    text = tmp_path / "text.edb"
    text.write_text("no database\n" * 1000)
    with pytest.raises(edbkit.NotEseError) as foreign:
        edbkit.open(text)
    assert foreign.value.exit_code == 4 and foreign.value.advice
    with pytest.raises(edbkit.RefusedError) as refused:
        edbkit.open(crash / "db.edb", logs=tmp_path)
    assert (refused.value.exit_code, refused.value.jet) == (5, -543)
    with pytest.raises(edbkit.UsageError) as unknown:
        edbkit.open(clean)["nothing"]
    assert (unknown.value.exit_code, unknown.value.jet) == (2, -1305)
    again = pickle.loads(pickle.dumps(unknown.value))
    assert type(again) is edbkit.UsageError and str(again) == str(unknown.value)
    for error in (missing, foreign, refused, unknown):
        assert isinstance(error.value, edbkit.Error)
