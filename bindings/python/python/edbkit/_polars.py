"""Polars: a table as a source of a lazy frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl
from polars.io.plugins import register_io_source

if TYPE_CHECKING:
    from ._edbkit import Table


def scan(table: Table) -> pl.LazyFrame:
    def read(
        columns: list[str] | None,
        predicate: pl.Expr | None,
        rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        # A limit counts the rows that pass a predicate, which only Polars can tell.
        limit = rows if predicate is None else None
        left = rows
        for batch in table.scan(columns=columns, rows=limit):
            frame = pl.DataFrame(batch)
            if columns is not None:
                frame = frame.select(columns)
            if predicate is not None:
                frame = frame.filter(predicate)
            if left is not None:
                frame = frame.head(left)
                left -= len(frame)
            yield frame
            if left == 0:
                return

    return register_io_source(read, schema=pl.Schema(table), is_pure=True)
