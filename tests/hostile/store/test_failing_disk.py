"""Each system call of the store fails once, with each error it can have: the process goes on.

The calls are those of Python and of SQLite, caught at the C library; that takes a C compiler.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.store.fault_jobs import JOBS, LASTS
from tests.in_memory import directory_in_memory

SOURCE = Path(__file__).parent / "system_calls.c"
COMPILER = shutil.which("cc")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def failing_calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library to load first."""
    library = tmp_path_factory.mktemp("calls") / "system_calls.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


@pytest.fixture(scope="module")
def said(failing_calls: Path) -> dict[tuple[str, str, int], list[str]]:
    """By job; all of them, from one process that forks."""
    with directory_in_memory() as where:
        done = subprocess.run(
            [sys.executable, "-m", "tests.hostile.store.fault_jobs", str(where)],
            env={**os.environ, "LD_PRELOAD": str(failing_calls)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return {(kind, name, lasts): lines for kind, name, lasts, lines in json.loads(done.stdout)}


@pytest.mark.parametrize("lasts", LASTS, ids=["once", "from then on"])
@pytest.mark.parametrize(("kind", "name"), JOBS)
def test_each_system_call_may_fail(
    said: dict[tuple[str, str, int], list[str]], kind: str, name: str, lasts: int
) -> None:
    """Alone, or with all that come after it in the same job."""
    lines = said[kind, name, lasts]
    assert lines[:-1] == []
    assert int(lines[-1].removeprefix("tried ")) >= 7
