"""ESE databases and timelines as data sources of Spark 4.

>>> import edbkit.spark
>>> edbkit.spark.register(spark)
>>> spark.read.format("ese").option("path", "cases/**/SRUDB.dat").option("table", "SruDbIdMapTable").load()

A partition is a part of a table of one database; parts are even. What a dirty database needs is recovered once for each
database, before rows are read. The options are described in ``docs/python.md``.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    EqualTo,
    Filter,
    GreaterThan,
    GreaterThanOrEqual,
    InputPartition,
    LessThan,
    LessThanOrEqual,
)
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import ArrayType, DataType, DecimalType, StructType

import edbkit

SOURCE = "_source"
PROBLEM = "_problem"
#: States of a database.
DIRTY, DIRTY_AND_PATCHED = 2, 7
COMPARISONS = {
    EqualTo: "=",
    LessThan: "<",
    LessThanOrEqual: "<=",
    GreaterThan: ">",
    GreaterThanOrEqual: ">=",
}


def register(spark: SparkSession) -> None:
    """Makes ``format("ese")`` and ``format("ese-changes")`` known to a session, and turns on the setting of Spark without which it
    reads no source that takes conditions."""
    spark.conf.set("spark.sql.python.filterPushdown.enabled", "true")
    spark.dataSource.register(EseSource)
    spark.dataSource.register(ChangesSource)


def text(options: Mapping[str, str], name: str, default: str | None = None) -> str:
    value = options.get(name, default)
    if value is None:
        raise edbkit.UsageError(f"the option {name!r} is missing")
    return value


def flag(options: Mapping[str, str], name: str, default: bool = False) -> bool:
    value = str(options.get(name, default)).lower()
    if value not in ("true", "false"):
        raise edbkit.UsageError(f"the option {name!r} is true or false, not {value!r}")
    return value == "true"


@dataclass(frozen=True)
class Input:
    """A database, and the logs with which it is read."""

    path: str
    logs: tuple[str, ...] = ()
    overlay: str | None = None
    #: Why it cannot be read.
    problem: str | None = None

    def open(self, decoded: bool) -> edbkit.Database:
        with warnings.catch_warnings():
            # Whoever runs the query has no ear for the warnings of a worker. That logs are left out is what its options say.
            warnings.simplefilter("ignore", edbkit.DirtyWarning)
            return edbkit.open(
                self.path, logs=list(self.logs) or None, overlay=self.overlay, decoded=decoded
            )


def inputs(options: Mapping[str, str]) -> list[Input]:
    """The databases that ``path`` names: files, globs, folders, archives, images, several of them with commas between."""
    logs = text(options, "logs", "none")
    found: dict[str, Input] = {}
    for pattern in text(options, "path").split(","):
        for path in matches(pattern.strip()):
            for one in databases(path, logs):
                found.setdefault(one.path, one)
    if not found:
        raise edbkit.NotEseError(f"{options['path']}: no database was found")
    return [found[path] for path in sorted(found)]


def matches(pattern: str) -> list[str]:
    """The paths that a glob stands for; an address or a path that is there stands for itself."""
    if "::" in pattern or "://" in pattern or os.path.exists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True, include_hidden=True)) or [pattern]


def databases(path: str, logs: str) -> Iterator[Input]:
    """The databases at a path. A folder, archive or image is searched by content."""
    try:
        header = edbkit.header(path)
    except edbkit.Error as error:
        if not searched(path):
            yield Input(path, problem=str(error))
            return
        for find in edbkit.find(path):
            if find["schema"] == "edbkit.failure/1":
                yield Input(path, problem=find["message"])
            elif find.get("find") == "database":
                yield of_find(find, logs)
        return
    if header["kind"] != "database":
        try:
            edbkit.open(path)
        except edbkit.Error as error:
            yield Input(path, problem=str(error))
    elif logs == "auto" and is_dirty(header):
        folder = path.rpartition("/")[0] or "."
        finds = [find for find in edbkit.find(folder) if find.get("find") == "database"]
        same = [find for find in finds if same_file(find["file"]["path"], path)]
        yield of_find(same[0], logs, path) if same else Input(path, logs=(folder,))
    elif logs in ("auto", "none"):
        yield Input(path)
    else:
        yield Input(path, logs=tuple(place.strip() for place in logs.split(",")))


def searched(path: str) -> bool:
    """Whether a path stands for what is in it."""
    if os.path.isdir(path) or "::" in path or path.endswith("/"):
        return True
    with open(path, "rb") if os.path.isfile(path) else open(os.devnull, "rb") as file:
        return bool(file.read(1))


def same_file(one: str, other: str) -> bool:
    return one == other or (os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other))


def is_dirty(header: dict[str, Any]) -> bool:
    """Whether the good copy of a header says that logs may hold more than the file."""
    copy = header["shadow" if header["status"] == "primary_bad" else "primary"]
    return copy["fault"] is None and copy["fields"]["state"]["code"] in (DIRTY, DIRTY_AND_PATCHED)


def of_find(find: dict[str, Any], logs: str, path: str | None = None) -> Input:
    path = path or find["file"]["path"]
    needs = find["logs"]["needs"] is not None
    if logs == "auto" and needs:
        folders = tuple(find["logs"]["folders"])
        if not folders:
            return Input(path, problem=f"{path}: it is dirty, and none of its logs was found")
        return Input(path, logs=folders)
    if logs in ("auto", "none"):
        return Input(path)
    return Input(path, logs=tuple(place.strip() for place in logs.split(",")))


def recovered(one: Input, work: str | None) -> Input:
    """The database with an overlay that holds what its recovery changes, which is made once, in ``work``."""
    if one.problem or not one.logs:
        return one
    if work is None:
        raise edbkit.UsageError(
            f"{one.path}: it needs a recovery, whose result all workers read",
            "name a folder that all of them reach with the option 'work', or leave 'logs' out",
        )
    overlay = Path(work) / f"{state_of(one)}.overlay"
    try:
        if not overlay.exists():
            Path(work).mkdir(parents=True, exist_ok=True)
            # Another query may be at it: each writes its own, and the last one's name stays.
            mine = overlay.with_suffix(f".{uuid.uuid4().hex}")
            edbkit.recover(
                one.path, list(one.logs), overlay=mine, ignore_missing=True, hash=False
            )
            mine.replace(overlay)
    except edbkit.Error as error:
        return Input(one.path, problem=str(error))
    return Input(one.path, overlay=str(overlay))


def state_of(one: Input) -> str:
    """A name for a database and its logs as they are now: what changes has another overlay."""
    state: list[Any] = [one.path, one.logs, edbkit.header(one.path)["primary"]]
    for place in map(Path, one.logs):
        for file in sorted(place.iterdir()) if place.is_dir() else [place]:
            if file.is_file():
                about = file.stat()
                state.append([str(file), about.st_size, about.st_mtime_ns])
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:32]


@dataclass
class Part(InputPartition):
    """A part of a table of one database, or a database that cannot be read."""

    input: Input
    table: str = ""
    begin: bytes | None = None
    end: bytes | None = None
    where: list[Any] = field(default_factory=list)


class EseSource(DataSource):
    """``format("ese")``: the rows of a table of many databases."""

    @classmethod
    def name(cls) -> str:
        return "ese"

    def schema(self) -> StructType:
        """The columns of the first database that has the table; no row is read."""
        problems = []
        for one in inputs(self.options):
            if one.problem:
                problems.append(one.problem)
                continue
            try:
                # The catalog of a dirty database may need its logs; its schema hardly ever does.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", edbkit.LossWarning)
                    db = Input(one.path).open(flag(self.options, "decoded", True))
                columns = pa.schema(db[text(self.options, "table")].schema)
            except edbkit.Error as error:
                problems.append(str(error))
                continue
            return from_arrow_schema(pa.schema([*given(self.options), *map(signed, columns)]))
        raise edbkit.UsageError("no database has the table: " + "; ".join(problems))

    def reader(self, schema: StructType) -> EseReader:
        return EseReader(self.options, schema)


def given(options: Mapping[str, str]) -> list[pa.Field]:
    """The columns that are added."""
    columns = [pa.field(SOURCE, pa.string())]
    if flag(options, "problems"):
        columns.append(pa.field(PROBLEM, pa.string()))
    return columns


def signed(column: pa.Field) -> pa.Field:
    """A column in a type that Spark has: it knows no numbers without sign."""
    larger = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.decimal128(20, 0),
    }
    kind = column.type
    if pa.types.is_list(kind):
        kind = pa.list_(larger.get(kind.value_type, kind.value_type))
    return pa.field(column.name, larger.get(kind, kind))


#: What Spark calls the types that tables of ESE have.
ARROW = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def arrow(kind: DataType) -> pa.DataType:
    """The type of Arrow for one of Spark."""
    if isinstance(kind, ArrayType):
        return pa.list_(arrow(kind.elementType))
    if isinstance(kind, DecimalType):
        return pa.decimal128(kind.precision, kind.scale)
    return ARROW[kind.simpleString()]


class EseReader(DataSourceReader):
    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        self.options = dict(options)
        self.schema = pa.schema([pa.field(one.name, arrow(one.dataType)) for one in schema.fields])
        self.where: list[tuple[str, str, int]] = []

    def pushFilters(self, filters: list[Filter]) -> Iterator[Filter]:  # noqa: N802 - Spark's name
        """Conditions on the first column of the primary key narrow what is read. Spark checks them all the same: they hold of
        numbers alone, and in a database whose key begins with another column they are not used."""
        for one in filters:
            # Which filters have them, their base class does not say.
            column: tuple[str, ...] = getattr(one, "attribute", ())
            value = getattr(one, "value", None)
            comparison = COMPARISONS.get(type(one))
            if comparison and len(column) == 1 and type(value) is int:
                self.where.append((column[0], comparison, value))
            yield one

    def partitions(self) -> Sequence[InputPartition]:
        table, tolerant = text(self.options, "table"), flag(self.options, "problems")
        decoded = flag(self.options, "decoded", True)
        work = self.options.get("work")
        all_inputs = inputs(self.options)
        # Databases are parts already; where there are few, their tables are split.
        wanted = int(text(self.options, "partitions", str(os.cpu_count() or 1)))
        each = max(1, -(-wanted // len(all_inputs)))
        parts: list[Part] = []
        for one in all_inputs:
            one = recovered(one, work)
            try:
                if one.problem:
                    raise edbkit.FindingError(one.problem)
                found = one.open(decoded)[table]
                where = [condition for condition in self.where if condition[0] == found.key_column]
                parts += [
                    Part(one, table, part.begin, part.end, where) for part in found.partitions(each)
                ]
            except edbkit.Error as error:
                if not tolerant:
                    raise
                parts.append(Part(Input(one.path, problem=str(error))))
        return parts

    def read(self, partition: Any) -> Iterator[pa.RecordBatch]:
        """Record batches with the columns that Spark wants."""
        tolerant = flag(self.options, "problems")
        one = partition.input
        if one.problem:
            yield self.batch(pa.table({}), 1, one.path, one.problem)
            return
        try:
            table = one.open(flag(self.options, "decoded", True))[partition.table]
            there = set(table.columns)
            columns = [name for name in self.schema.names if name in there]
            scan = table.scan(
                # Something has to be read to count rows.
                columns=columns or table.columns[:1],
                partition=edbkit.Partition(partition.begin, partition.end),
                where=partition.where,
            )
            with warnings.catch_warnings():
                # They are a row, or an error, below.
                warnings.simplefilter("ignore", edbkit.LossWarning)
                for batch in scan:
                    rows = pa.table(batch)
                    yield self.batch(rows, rows.num_rows, one.path, None)
            lost = {
                name: count if name != "pages" else len(count)
                for name, count in scan.losses.items()
                if name in ("pages", "rows", "values", "values_left_out") and count
            }
            if lost:
                words = ", ".join(f"{count} {name}" for name, count in lost.items())
                raise edbkit.FindingError(
                    f"{one.path}: {partition.table}: lost {words}",
                    "with the option 'problems' what can be read is given, and this is a row",
                )
        except edbkit.Error as error:
            if not tolerant:
                raise
            yield self.batch(pa.table({}), 1, one.path, str(error))

    def batch(self, rows: pa.Table, count: int, source: str, problem: str | None) -> pa.RecordBatch:
        """Rows in the columns and types that were promised; null where this database has no such column."""
        columns = []
        for column in self.schema:
            if column.name == SOURCE:
                values = pa.repeat(pa.scalar(source, pa.string()), count)
            elif column.name == PROBLEM:
                values = pa.repeat(pa.scalar(problem, pa.string()), count)
            elif column.name in rows.column_names:
                values = rows[column.name].combine_chunks()
                if isinstance(values, pa.ChunkedArray):
                    values = pa.concat_arrays(values.chunks)
            else:
                values = pa.nulls(count, column.type)
            columns.append(values.cast(column.type))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


@dataclass
class Stream(InputPartition):
    """A database and its logs."""

    input: Input


class ChangesSource(DataSource):
    """``format("ese-changes")``: the changes of rows that logs hold, one partition for each database."""

    @classmethod
    def name(cls) -> str:
        return "ese-changes"

    def schema(self) -> StructType:
        columns = pa.schema(edbkit.Changes(".").schema)
        return from_arrow_schema(pa.schema([*given(self.options), *map(signed, columns)]))

    def reader(self, schema: StructType) -> ChangesReader:
        return ChangesReader({"logs": "auto", **self.options}, schema)


class ChangesReader(EseReader):
    def pushFilters(self, filters: list[Filter]) -> Iterator[Filter]:  # noqa: N802
        yield from filters

    def partitions(self) -> Sequence[InputPartition]:
        tolerant = flag(self.options, "problems")
        streams = []
        for one in inputs(self.options):
            if not one.problem and not one.logs:
                # A clean database needs none, and its logs lie beside it all the same.
                one = Input(one.path, logs=(one.path.rpartition("/")[0] or ".",))
            if one.problem and not tolerant:
                raise edbkit.FindingError(one.problem)
            streams.append(Stream(one))
        return streams

    def read(self, partition: Any) -> Iterator[pa.RecordBatch]:
        tolerant = flag(self.options, "problems")
        one = partition.input
        try:
            if one.problem:
                raise edbkit.FindingError(one.problem)
            tables = self.options.get("table")
            changes = edbkit.Changes(
                list(one.logs),
                one.path,
                tables=[tables] if tables else None,
                committed=flag(self.options, "committed"),
            )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", edbkit.LossWarning)
                for batch in changes:
                    rows = pa.table(batch)
                    yield self.batch(rows, rows.num_rows, one.path, None)
            if findings := changes.losses["findings"]:
                raise edbkit.FindingError(f"{one.path}: {'; '.join(findings)}")
        except edbkit.Error as error:
            if not tolerant:
                raise
            yield self.batch(pa.table({}), 1, one.path, str(error))
