"""Spark: `local[2]`, and where `EDBKIT_SPARK_MASTER` names one, a cluster."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyspark", minversion="4")

import edbkit.spark  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402


# Workers run this Python, not one of the path.
os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    master = os.environ.get("EDBKIT_SPARK_MASTER", "local[2]")
    session = (
        SparkSession.builder.master(master)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.python.filterPushdown.enabled", "true")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    edbkit.spark.register(session)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def case(crash: Path, sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hosts with a dirty database and its logs, and one whose file is no database."""
    folder = tmp_path_factory.mktemp("case")
    for host in ("a", "b"):
        shutil.copytree(crash, folder / host / "sg1")
    (folder / "c").mkdir()
    (folder / "c" / "db.edb").write_bytes(b"no database\n" * 1000)
    return folder


def items(spark: SparkSession, path: object, **options: str):
    reader = spark.read.format("ese").option("path", str(path)).option("table", "Items")
    return reader.options(**options).load()


def test_rows_of_recovered_databases(spark: SparkSession, case: Path, crash: Path, tmp_path: Path) -> None:
    expected = edbkit.open(crash / "db.edb", logs=crash)["Items"].to_arrow()
    frame = items(spark, case / "*" / "sg1" / "db.edb", logs="auto", work=str(tmp_path), partitions="4")
    assert frame.columns == ["_source", *expected.column_names]
    assert frame.count() == 2 * expected.num_rows
    # One recovery for each database, whatever the number of partitions and queries.
    assert len(list(tmp_path.iterdir())) == 2
    assert frame.rdd.getNumPartitions() == 4
    per_source = {row["_source"]: row["count"] for row in frame.groupBy("_source").count().collect()}
    assert per_source == {str(case / host / "sg1" / "db.edb"): expected.num_rows for host in "ab"}
    names = sorted(row["id"] for row in frame.select("id").collect())
    assert names == sorted(2 * expected["id"].to_pylist())
    one = expected.to_pylist()[5]
    found = frame.filter((frame.k == one["k"]) & frame._source.contains("/a/")).collect()
    assert len(found) == 1
    for name in ("id", "name", "vbin", "tags", "guid", "dbl", "lt", "ub"):
        ours = found[0][name]
        assert (bytes(ours) if isinstance(ours, bytearray) else ours) == one[name], name


def test_a_condition_on_the_key_reads_less() -> None:
    from pyspark.sql.datasource import GreaterThan, StringContains

    from edbkit.spark import EseReader
    from pyspark.sql.types import StructType

    reader = EseReader({"path": "x", "table": "Items"}, StructType())
    filters = [GreaterThan(("k",), 5), StringContains(("name",), "a")]
    assert list(reader.pushFilters(filters)) == filters
    assert reader.where == [("k", ">", 5)]


def test_folders_are_searched_and_bad_databases_are_rows(spark: SparkSession, case: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not an ESE"):
        items(spark, case / "*" / "**" / "db.edb", logs="auto", work=str(tmp_path)).count()
    frame = items(
        spark, case / "*" / "**" / "db.edb", logs="auto", work=str(tmp_path), problems="true"
    )
    bad = frame.filter(frame._problem.isNotNull()).collect()
    assert [row["_source"] for row in bad] == [str(case / "c" / "db.edb")]
    assert frame.filter(frame._problem.isNull()).count() == 2 * 186
    searched = items(spark, case, logs="auto", work=str(tmp_path), problems="true")
    assert searched.filter(searched._problem.isNull()).count() == 2 * 186


def test_a_recovery_needs_a_place(spark: SparkSession, crash: Path) -> None:
    with pytest.raises(Exception, match="the option 'work'"):
        items(spark, crash / "db.edb", logs="auto").count()


def test_changes(spark: SparkSession, case: Path, crash: Path) -> None:
    expected = edbkit.open(crash / "db.edb", logs=crash).changes().to_arrow()
    frame = spark.read.format("ese-changes").option("path", str(case / "[ab]")).load()
    assert frame.columns == ["_source", *expected.column_names]
    assert frame.rdd.getNumPartitions() == 2
    assert frame.count() == 2 * expected.num_rows
    inserts = sum(1 for one in expected["operation"].to_pylist() if one == "insert")
    assert frame.filter("operation = 'insert'").count() == 2 * inserts
