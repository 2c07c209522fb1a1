"""``python -m edbkit``: SQL over all tables of a database, with DuckDB. Ends with the exit codes of edbkit's programs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

import edbkit

CLEAN, FINDING, USAGE, INTERRUPTED = 0, 1, 2, 6

EXAMPLES = """examples:
  python -m edbkit sql SRUDB.dat "select IdIndex, IdBlob_name from SruDbIdMapTable limit 5"
  python -m edbkit sql case.zip::C/sru/SRUDB.dat --logs case.zip::C/sru "select count(*) from SruDbIdMapTable"
  python -m edbkit sql mail.edb --json "select t.name, i.* from ..."

A table has its own name, and what people call it: "Network Data Usage". `show tables` lists them.
Exit codes: 0 clean, 1 finding, 2 usage, 3 I/O, 4 not ESE, 5 refused, 6 interrupted"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m edbkit",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"edbkit {edbkit.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sql = commands.add_parser(
        "sql",
        help="run a query of SQL over the tables of a database",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sql.add_argument("database", metavar="DATABASE", help="a path or an address")
    sql.add_argument("query", metavar="QUERY", help="SQL, as DuckDB reads it")
    sql.add_argument("--logs", action="append", metavar="PLACE", help="read it as recovery with these logs will leave it")
    sql.add_argument("--base", metavar="NAME", help="base name of the logs, where there are several streams")
    sql.add_argument("--as-of", metavar="MOMENT", help="with --logs: as it was at a generation, a log position or a time")
    sql.add_argument("--overlay", metavar="FILE", help="read it through an overlay that `edbreplay run --overlay` made")
    sql.add_argument("--raw", action="store_true", help="leave out the columns that say what raw values mean")
    sql.add_argument("--json", action="store_true", help="print a line of JSON for each row")
    given = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", edbkit.LossWarning)
            code = run(given)
    except edbkit.Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has had enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLEAN
    losses = [warning for warning in found if issubclass(warning.category, edbkit.LossWarning)]
    for text in dict.fromkeys(str(loss.message) for loss in losses):
        print(text, file=sys.stderr)
    return max(code, FINDING if losses else CLEAN)


def run(given: argparse.Namespace) -> int:
    try:
        import duckdb
    except ModuleNotFoundError:
        raise edbkit.UsageError("DuckDB is not installed", "pip install 'edbkit[sql]'") from None
    database = edbkit.open(
        given.database,
        logs=given.logs,
        base=given.base,
        as_of=given.as_of,
        overlay=given.overlay,
        decoded=not given.raw,
    )
    with duckdb.connect() as connection:
        # Of this machine the query sees the tables, and nothing else.
        connection.execute("set enable_external_access = false")
        register(connection, database)
        try:
            if not given.json:
                relation = connection.sql(given.query)
                if relation is not None:
                    relation.show(max_width=width(), max_rows=10_000)
                return CLEAN
            answer = connection.execute(given.query)
            names = [column[0] for column in answer.description or []]
            while names and (rows := answer.fetchmany(10_000)):
                for row in rows:
                    fields = zip(names, row, strict=True)
                    line = {name: plain(value) for name, value in fields if value is not None}
                    print(json.dumps(line, ensure_ascii=False))
            return CLEAN
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            raise edbkit.UsageError(str(error)) from None


def register(connection: Any, database: edbkit.Database) -> None:
    """Makes the tables known, under their own names first."""
    tables = {name: database[name] for name in database.tables}
    known = {table.known_as: table for table in tables.values() if table.known_as}
    taken: set[str] = set()
    for name, table in [*tables.items(), *known.items()]:
        # SQL does not distinguish case.
        if name.lower() not in taken:
            taken.add(name.lower())
            connection.register(name, table)


def width() -> int:
    """How wide a table may be: as the terminal, or as it wants."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 10_000


def plain(value: Any) -> Any:
    """A value as JSON has it, in the form of `edbtool export`: bytes in hexadecimal, times in RFC 3339."""
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case datetime() if value.tzinfo is not None:
            from datetime import UTC

            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case datetime() | date() | time():
            return value.isoformat()
        case float() if value != value or value in (float("inf"), float("-inf")):
            return {"nan": "NaN"}.get(str(value), str(value))
        case bool() | int() | float() | str() | None:
            return value
        case list() | tuple():
            return [plain(one) for one in value]
        case dict():
            return {str(name): plain(one) for name, one in value.items()}
        case _:
            return str(value)


if __name__ == "__main__":
    sys.exit(main())
