"""Each system call of the store fails once, with each error a disk has: the process goes on.

The calls are those of Python and of SQLite, caught at the C library; that takes a C compiler.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.store import fault_child, fault_files_child

SOURCE = Path(__file__).parent / "system_calls.c"
COMPILER = shutil.which("cc")
MEMORY = Path("/dev/shm")  # a disk whose fsync costs nothing, where there is one
JOBS = [(fault_child, name) for name in (*fault_child.JOBS, "reopen")]
JOBS += [(fault_files_child, name) for name in fault_files_child.JOBS]

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def failing_calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library to load first."""
    library = tmp_path_factory.mktemp("calls") / "system_calls.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


@pytest.mark.parametrize("lasts", [0, 1], ids=["once", "from then on"])
@pytest.mark.parametrize(("module", "name"), JOBS)
def test_each_system_call_may_fail(
    failing_calls: Path, tmp_path: Path, module: object, name: str, lasts: int
) -> None:
    """Alone, or with all that come after it in the same job."""
    base = MEMORY if os.access(MEMORY, os.W_OK) else tmp_path
    where = base / f"dhtstore-{os.getpid()}-{name.replace(' ', '-')}"
    command = [sys.executable, "-m", vars(module)["__name__"], name, str(where), str(lasts)]
    env = {**os.environ, "LD_PRELOAD": str(failing_calls)}
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=100, check=False
        )
    finally:
        shutil.rmtree(where, ignore_errors=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr[-2000:]
    assert lines[:-1] == []
    assert int(lines[-1].removeprefix("tried ")) >= 5 * 7
