"""The demo, as a newcomer runs it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli.terminal import run
from tests.schemas.checking import valid


def test_the_demo_keeps_its_promise_and_cleans_up(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(3_000_000))
    places = {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    ran = run("demo", file, "--json", environment=places)
    assert ran.code == 0, ran.err
    told = ran.json
    valid("demo", told)
    assert told["identical"] is True
    assert (len(told["holders"]), len(told["killed"])) == (3, 2)
    assert told["getter"] not in told["holders"]
    left = os.listdir(tmp_path / "tmp")
    assert [name for name in left if name.startswith("dhtstore-demo")] == []


def test_the_demo_tells_a_story(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("once upon a time")
    ran = run("demo", tmp_path / "file")
    assert ran.code == 0, ran.err
    for words in ("five nodes", "B/s", "SIGKILL", "never had it", "identical"):
        assert words in ran.text
