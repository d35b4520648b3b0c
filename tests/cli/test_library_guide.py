"""docs/library.md: every example runs as written, beside a node, and prints what it says."""

from __future__ import annotations

import doctest
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dhtstore import Client
from tests.cli.conftest import Network
from tests.source_tree import ROOT

GUIDE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", GUIDE, re.DOTALL)


def test_every_example_says_what_it_prints() -> None:
    assert GUIDE.count("```python") == len(EXAMPLES)
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_work(network: Network, tmp_path: Path, number: int) -> None:
    code, told = EXAMPLES[number]
    (tmp_path / "photos").mkdir()
    for name in ("cat.jpg", "dog.jpg"):
        (tmp_path / "photos" / name).write_bytes(name.encode() * 1000)
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7 " + b"x" * 100_000)
    environment = {**os.environ, "DHTSTORE_HOME": str(network.storage[0].home)}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert doctest.OutputChecker().check_output(told, ran.stdout, doctest.ELLIPSIS), ran.stdout


def test_the_reference_names_every_method() -> None:
    table = GUIDE.partition("## Reference")[2]
    named = set(re.findall(r"`(\w+)\(", table))
    methods = {name for name, _ in inspect.getmembers(Client) if not name.startswith("_")}
    assert methods <= named
