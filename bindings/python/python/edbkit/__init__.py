"""ESE (JET Blue) databases and their logs in Python: Exchange, Active Directory, Windows Search, SRUM, WebCache.

>>> import edbkit
>>> db = edbkit.open("SRUDB.dat", logs="sru")           # as recovery leaves it; nothing is written
>>> db.tables                                           # the names
>>> db["SruDbIdMapTable"].to_arrow()                    # needs pyarrow

A table is an Arrow stream for whoever takes one (``__arrow_c_stream__``): DuckDB, Polars, pyarrow, pandas, narwhals. What could
not be read is never left out in silence: ``LossWarning`` is given, and ``losses`` of a scan says what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._edbkit import (
    Changes,
    Database,
    Partition,
    Scan,
    Schema,
    Table,
    __version__,
    chain,
    find,
    header,
    open,
    plan,
    recover,
)
from ._errors import (
    DirtyWarning,
    Error,
    FindingError,
    InterruptedError,
    LossWarning,
    NotEseError,
    ReadError,
    RefusedError,
    UsageError,
)

if TYPE_CHECKING:
    import polars

__all__ = [
    "Changes",
    "Database",
    "DirtyWarning",
    "Error",
    "FindingError",
    "InterruptedError",
    "LossWarning",
    "NotEseError",
    "Partition",
    "ReadError",
    "RefusedError",
    "Scan",
    "Schema",
    "Table",
    "UsageError",
    "__version__",
    "chain",
    "find",
    "header",
    "open",
    "plan",
    "recover",
    "scan_ese",
]


def scan_ese(path: Any, table: str, **options: Any) -> polars.LazyFrame:
    """A table as a lazy frame of Polars. Columns that are not needed are not decoded, and a limit of rows ends the reading.

    ``options`` are those of :func:`open`. Needs Polars: ``edbkit[polars]``.
    """
    from ._polars import scan

    return scan(open(path, **options)[table])
