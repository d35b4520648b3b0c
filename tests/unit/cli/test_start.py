"""What a command loads before its first byte: each of these packages costs more than all else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("pydantic", "asyncio", "rich", "cryptography", "nacl", "mmh3")
LINES = (
    "--help", "version", "put --help", "get --help", "config",
    "ls CID --home HOME", "ping x --home HOME", "get CID --home HOME", "peers --home HOME",
    "put README.md --replicas 3 --min-acks 1 --progress plain --home HOME",
)  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_command_loads_nothing_heavy_before_it_has_asked_the_node(
    line: str, tmp_path: Path
) -> None:
    """typer converts by pydantic, which takes as long to load as the rest of a command."""
    words = line.replace("CID", "bafkqaaa").replace("HOME", str(tmp_path / "none")).split()
    code = f"import sys; from dhtstore.cli.main import run; run({words!r}); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DHTSTORE_HOME": str(tmp_path / "none")},
    )
    loaded = {name.partition(".")[0] for name in ran.stdout.splitlines()[-1].split()}
    assert "dhtstore" in loaded
    assert not loaded & set(HEAVY)


def test_a_closed_standard_error_keeps_no_command_from_working() -> None:
    line = f'exec "{sys.executable}" -m dhtstore version 2>&-'
    ran = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert ran.returncode == 0
    assert ran.stdout.startswith("dhtstore ")
