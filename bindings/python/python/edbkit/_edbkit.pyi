"""The native part of the package."""

import datetime
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias, final

import pyarrow

__version__: str

__all__ = [
    "Batch",
    "Batches",
    "Changes",
    "Database",
    "Partition",
    "Scan",
    "Schema",
    "Table",
    "__version__",
    "chain",
    "find",
    "header",
    "open",
    "plan",
    "recover",
]

_Path: TypeAlias = str | os.PathLike[str]
_Paths: TypeAlias = _Path | Sequence[_Path]
_Moment: TypeAlias = str | int | datetime.datetime
_Where: TypeAlias = tuple[str, Literal["=", "==", "<", "<=", ">", ">="], int | str | uuid.UUID]

def open(
    path: _Path,
    logs: _Paths | None = None,
    as_of: _Moment | None = None,
    base: str | None = None,
    overlay: _Path | None = None,
    decoded: bool = True,
    *,
    ignore_missing: bool = False,
) -> Database:
    """Opens a database as its file is, as recovery with ``logs`` leaves it, or as it was ``as_of`` a moment."""

def header(path: _Path, *, logs: _Paths | None = None, base: str | None = None) -> dict[str, Any]:
    """``edbtool header --json``: ``edbkit.header/1``."""

def chain(
    logs: _Path,
    db: _Paths | None = None,
    *,
    base: str | None = None,
    checkpoint: _Path | None = None,
    ignore_missing: bool = False,
    quick: bool = False,
) -> dict[str, Any]:
    """``logchain verify --json``: ``edbkit.log-verify/1``."""

def plan(
    db: _Paths | None,
    logs: _Paths | None = None,
    *,
    base: str | None = None,
    checkpoint: _Path | None = None,
    until: _Moment | None = None,
    ignore_missing: bool = False,
    quick: bool = False,
) -> dict[str, Any]:
    """``edbreplay plan --json``: ``edbkit.replay-plan/1``."""

def recover(
    db: _Paths,
    logs: _Paths | None = None,
    to: _Path | None = None,
    *,
    overlay: _Path | None = None,
    base: str | None = None,
    checkpoint: _Path | None = None,
    until: _Moment | None = None,
    force: bool = False,
    lossy: bool = False,
    ignore_missing: bool = False,
    hash: bool = True,
) -> dict[str, Any]:
    """``edbreplay run --json``: ``edbkit.replay-run/1``. The source stays as it is."""

def find(
    *paths: _Path, shadow_copies: bool = True, trial: bool = False, memory: int = 536870912
) -> list[dict[str, Any]]:
    """``edbtool find --json``: ``edbkit.failure/1``, ``edbkit.find/1`` and, last, ``edbkit.find-totals/1``."""

@final
class Schema:
    """Columns and their types: ``pyarrow.schema(it)``."""

    @property
    def names(self) -> list[str]: ...
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...

@final
class Batch:
    """Some rows of a stream: an Arrow stream of its own."""

    @property
    def schema(self) -> Schema: ...
    def __len__(self) -> int: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Batches:
    def __iter__(self) -> Batches: ...
    def __next__(self) -> Batch: ...

@final
class Partition:
    """A part of a table. It can be pickled."""

    def __new__(cls, begin: bytes | None = None, end: bytes | None = None) -> Partition: ...
    def __getnewargs__(self) -> tuple[bytes | None, bytes | None]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    @property
    def begin(self) -> bytes | None: ...
    @property
    def end(self) -> bytes | None: ...

@final
class Scan:
    """Rows of a table. Each consumer takes a stream of its own."""

    @property
    def schema(self) -> Schema: ...
    @property
    def losses(self) -> dict[str, Any]:
        """What the stream that was begun last could not read."""
    @property
    def problems(self) -> list[dict[str, Any]]:
        """The first thousand values that could not be read."""
    def to_arrow(self) -> pyarrow.Table: ...
    def __iter__(self) -> Batches: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Table:
    """A table: an Arrow stream of all its rows."""

    @property
    def name(self) -> str: ...
    @property
    def known_as(self) -> str | None: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def key_column(self) -> str | None:
        """The column by which ``where`` may ask for rows."""
    def scan(
        self,
        columns: Sequence[str] | None = None,
        rows: int | None = None,
        partition: Partition | None = None,
        where: Sequence[_Where] | None = None,
        deleted: bool = False,
    ) -> Scan: ...
    def partitions(self, count: int) -> list[Partition]: ...
    def to_arrow(self) -> pyarrow.Table: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Changes:
    """Changes of rows that logs hold: what ``logchain timeline --format parquet`` writes, as an Arrow stream."""

    def __new__(
        cls,
        logs: _Paths,
        databases: _Paths | None = None,
        *,
        base: str | None = None,
        tables: Sequence[str] | None = None,
        since: _Moment | None = None,
        until: _Moment | None = None,
        committed: bool = False,
        system: bool = False,
        order: Literal["commit", "log"] = "commit",
        inline_limit: int = 4096,
    ) -> Changes: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def losses(self) -> dict[str, Any]: ...
    def to_arrow(self) -> pyarrow.Table: ...
    def __iter__(self) -> Batches: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

@final
class Database:
    """A database that was opened for reading. It can be shared by threads."""

    @property
    def path(self) -> str: ...
    @property
    def tables(self) -> list[str]: ...
    @property
    def kind(self) -> str | None: ...
    def __getitem__(self, name: str, /) -> Table: ...
    def __contains__(self, name: str, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def header(self) -> dict[str, Any]: ...
    def verify(self) -> dict[str, Any]: ...
    def changes(
        self,
        logs: _Paths | None = None,
        *,
        base: str | None = None,
        tables: Sequence[str] | None = None,
        since: _Moment | None = None,
        until: _Moment | None = None,
        committed: bool = False,
        system: bool = False,
        order: Literal["commit", "log"] = "commit",
        inline_limit: int = 4096,
    ) -> Changes: ...
