"""`python -m edbkit sql`: rows on standard output, everything else on standard error, and the exit codes of the programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("duckdb")


def sql(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edbkit", "sql", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_table_and_lines_of_json(crash: Path) -> None:
    query = "select count(*) as n, min(dt) as first, min(guid) as guid from Items"
    told = sql(crash / "db.edb", "--logs", crash, query)
    assert (told.returncode, told.stderr) == (0, "")
    assert "186" in told.stdout and "│" in told.stdout
    told = sql(crash / "db.edb", "--logs", crash, "--json", query)
    assert told.returncode == 0
    row = json.loads(told.stdout)
    assert row["n"] == 186 and row["first"].endswith("Z")
    joined = sql(
        crash / "db.edb", "--logs", crash, "--json",
        "select i.id, m.Name from Items i, MSysObjects m where m.Type = 1 order by all limit 2",
    )
    assert joined.returncode == 0 and len(joined.stdout.splitlines()) == 2


def test_findings_and_errors_have_the_codes_of_the_programs(crash: Path, tmp_path: Path) -> None:
    dirty = sql(crash / "db.edb", "--json", "select count(*) as n from Log")
    assert dirty.returncode == 1 and "dirty" in dirty.stderr and json.loads(dirty.stdout)["n"] > 0
    wrong = sql(crash / "db.edb", "--logs", crash, "select * from Itemz")
    assert wrong.returncode == 2 and "Itemz" in wrong.stderr and wrong.stdout == ""
    assert sql(tmp_path / "none.edb", "select 1").returncode == 3
    (tmp_path / "text.edb").write_text("text\n" * 5000)
    assert sql(tmp_path / "text.edb", "select 1").returncode == 4
    assert sql(crash / "db.edb", "--logs", tmp_path, "select 1").returncode == 5
    outside = sql(crash / "db.edb", "--logs", crash, f"select * from '{tmp_path / 'text.edb'}'")
    assert outside.returncode == 2
