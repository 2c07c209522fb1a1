"""Fixtures: sets from `testdata`, unpacked once; the programs, whose answers the package has to give, too."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TESTDATA = ROOT / "testdata"


def unpack(archive: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "--zstd", "-xf", archive, "-C", to], check=True)


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sets of the engine and all real files, each in its folder."""
    folder = tmp_path_factory.mktemp("sets")
    for archive in sorted(TESTDATA.glob("*.tar.zst")):
        unpack(archive, folder)
    for archive in sorted((TESTDATA / "real").glob("*.tar.zst")):
        if not archive.name.startswith("expected"):
            unpack(archive, folder / "real")
    return folder


@pytest.fixture(scope="session")
def crash(sets: Path) -> Path:
    """A database that a crash left dirty, with its logs."""
    return sets / "crash-p8k" / "state"


@pytest.fixture(scope="session")
def clean(sets: Path) -> Path:
    """A database that was closed."""
    return sets / "clean-p4k" / "state" / "db.edb"


def programs() -> Path:
    """The folder of the programs: `EDBKIT_PROGRAMS`, or where cargo puts them."""
    return Path(os.environ.get("EDBKIT_PROGRAMS", ROOT / "target" / "debug"))


def documents(program: str, *arguments: object) -> list[dict]:
    """What a program prints with `--json`."""
    command = [programs() / program, *map(str, arguments), "--json", "--quiet"]
    answer = subprocess.run(command, capture_output=True, check=False)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def run(program: str, *arguments: object, **options: object) -> None:
    """Runs a program, which may find something."""
    command = [programs() / program, *map(str, arguments), "--quiet"]
    done = subprocess.run(command, check=False, **options)
    assert done.returncode in (0, 1), command
