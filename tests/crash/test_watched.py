"""What the laboratory sees of files is what the recorder sees, which watches from C."""

from __future__ import annotations

import pickle
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simulations.world.files.changes import ChangeKind, FileChange
from simulations.world.files.write_cache import Luck, WriteCache
from tests.crash import watched
from tests.crash.recording import build_recorder, record, work_directory
from tests.crash.test_crashes import needs_recorder

STEPS = 60
ALL_LOST = Luck(lost=1.0, torn=0.0)


@needs_recorder
def test_no_change_and_no_sync_is_overlooked() -> None:
    with tempfile.TemporaryDirectory(dir=work_directory()) as name:
        where = Path(name).resolve()
        (where / "home").mkdir()
        out = where / "seen"
        command = ["-m", watched.__name__, str(where / "home"), str(out), "5", str(STEPS)]
        recorded = without_shared_memory(
            record(build_recorder(where), where / "home", where / "log", command)
        )
        seen: list[FileChange] = pickle.loads(out.read_bytes())
        (where / "none").mkdir()
        assert surely_kept(seen, where / "none") == surely_kept(recorded, where / "none")
    # Threads take turns as they like, so that only their number is compared.
    assert Counter(map(plain, seen)) == Counter(map(plain, recorded))
    assert {change.kind for change in seen} > {ChangeKind.CUT, ChangeKind.UNLINKED}
    assert len(seen) > 1000


def without_shared_memory(changes: Sequence[FileChange]) -> list[FileChange]:
    """SQLite's index of the log, which no crash keeps."""
    made = [one for one in changes if one.kind == ChangeKind.CREATED and one.text.endswith("-shm")]
    inodes = {one.inode for one in made}
    return [one for one in changes if one.inode not in inodes and not one.text.endswith("-shm")]


def plain(change: FileChange) -> FileChange:
    """Without what only the recorder tells: names of synced files, inodes of directories."""
    if change.kind == ChangeKind.SYNCED:
        return replace(change, text="")
    return replace(change, inode=0) if change.kind == ChangeKind.SYNCED_NAMES else change


def surely_kept(changes: Sequence[FileChange], empty: Path) -> dict[str, bytes]:
    cache = WriteCache(empty)
    for change in changes:
        cache.do(change)
    return cache.image(random.Random(1), ALL_LOST)
