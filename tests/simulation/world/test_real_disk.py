"""The real store and ledger on a simulated disk: what a crash leaves of what was not synced."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from dhtstore.model.cid import Cid
from dhtstore.params import MIB
from simulations.errors import ScenarioError
from simulations.lab.one_run.futures import check_branch
from simulations.scenario import from_tables
from simulations.world.files.changes import ChangeKind, FileChange
from simulations.world.files.write_cache import Luck, WriteCache
from simulations.world.ports.blocking import InlineBlocking
from simulations.world.ports.disks import CrashedMeanwhile
from simulations.world.ports.real_disk import RealDisk, RealDisks

PACK = ".pack"
ALL_LOST = Luck(lost=1.0, torn=0.0)
SHORT = ("run.nodes=5", "run.duration_s=1 min", "workload.operations_per_s=0.3",
         "workload.put_share=60 %", "faults.lost_writes_per_h=180")  # fmt: skip


@pytest.fixture
def disk() -> Iterator[RealDisk]:
    disks = RealDisks(1, ALL_LOST, 4 * MIB, lambda: 0.0)
    with disks.watched():
        yield disks(0, 64 * MIB)
    disks.close()
    assert not disks.folders.base.exists()


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """What needs no loop, for it never waits."""
    try:
        work.send(None)
    except StopIteration as ended:
        return ended.value
    raise AssertionError("it waits")


def put(disk: RealDisk, number: int, *, commit: bool = True) -> Cid:
    blocks, _ = disk.plug()
    data = b"%d" % number * 1000
    with blocks.batch() as batch:
        batch.put(Cid.of(data), data)
        if commit:
            batch.commit()
    return Cid.of(data)


def test_what_was_committed_outlives_a_power_cut_and_nothing_else_does(disk: RealDisk) -> None:
    kept, staged = put(disk, 1), Cid.of(b"staged")
    blocks, tables = disk.plug()
    tables.write([(b"key", b"value")])
    blocks.batch().put(staged, b"staged")
    disk.pull(power_lost=True)
    blocks, tables = disk.plug()
    assert (blocks.count(), blocks.has(kept), blocks.has(staged)) == (1, True, False)
    assert tables.get(b"key") == b"value"
    assert disk.faults == []


class _DeafCache(WriteCache):
    """Of a disk that does nothing at one kind of sync, of packs or of the directory they lie in:
    as if the store had not asked.  That of the index is done."""

    def __init__(self, directory: Path, kind: ChangeKind) -> None:
        super().__init__(directory)
        self._kind = kind
        self._packs: set[int] = set()
        self.unheard = 0

    def do(self, change: FileChange) -> None:
        if change.kind == ChangeKind.CREATED and change.text.endswith(PACK):
            self._packs.add(change.inode)
        of_packs = change.inode in self._packs or change.kind == ChangeKind.SYNCED_NAMES
        if change.kind == self._kind and of_packs:
            self.unheard += 1
        else:
            super().do(change)


@pytest.mark.parametrize("kind", [ChangeKind.SYNCED, ChangeKind.SYNCED_NAMES])
@pytest.mark.parametrize("power_lost", [False, True])
def test_a_sync_that_is_left_out_shows_at_a_power_cut_and_not_at_a_kill(
    disk: RealDisk, kind: ChangeKind, power_lost: bool
) -> None:
    cache = disk.folder.cache = _DeafCache(Path(disk.folder.path), kind)
    one = put(disk, 1)
    assert cache.unheard > 0
    disk.pull(power_lost=power_lost)
    assert disk.plug()[0].has(one) is not power_lost
    assert disk.faults == []


def test_a_crash_comes_in_the_midst_of_a_call(disk: RealDisk) -> None:
    crashed = []

    def crash() -> None:
        crashed.append(True)
        disk.pull(power_lost=True)

    blocking = disk.blocking(InlineBlocking())
    one = put(disk, 1)
    assert disk.stop_after(2, crash)
    with pytest.raises(asyncio.CancelledError):
        at_once(blocking.run(put, disk, 2))
    assert crashed == [True]
    with pytest.raises(CrashedMeanwhile):  # what was to follow does not reach the next life
        at_once(blocking.run(put, disk, 3))
    blocks, _ = disk.plug()
    assert (blocks.count(), blocks.has(one)) == (1, True)


def test_the_size_of_the_disk_is_its_machines(disk: RealDisk) -> None:
    put(disk, 1)
    free_bytes = disk.plug()[0].space().disk_free_bytes
    for number in range(2, 52):
        put(disk, number)
    after_bytes = disk.plug()[0].space().disk_free_bytes
    assert free_bytes is not None
    assert after_bytes is not None
    assert 0 < after_bytes < free_bytes <= 2 * 64 * MIB + 64 * MIB


def test_a_disk_that_cannot_be_opened_is_told_and_empty(disk: RealDisk) -> None:
    put(disk, 1)
    disk.close()
    Path(disk.folder.path, "ledger.sqlite").write_bytes(b"no database" * 100)
    _, tables = disk.plug()
    assert tables.get(b"key") is None
    assert [fault[:10] for fault in disk.faults] == ["the ledger"]
    assert disk.plug()[0].count() == 0


def test_one_seed_is_one_run(tmp_path: Path) -> None:
    """In processes of their own: a simulation has files on its loop, and tests refuse that."""

    def ran(out: Path) -> Any:
        chosen = [word for one in SHORT for word in ("--set", one)]
        command = [sys.executable, "-m", "simulations", "run", "disk", *chosen, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done
        return json.loads((out / "summary.json").read_text())

    one, other = ran(tmp_path / "one"), ran(tmp_path / "other")
    assert one["trace_sha256"] == other["trace_sha256"]
    assert one["operations"]["put"]["count"] > 5
    assert one["lives"] > 5  # nodes: some crashed and came back


def test_a_full_disk_under_the_simulated_ones_ends_the_run_and_is_no_result(tmp_path: Path) -> None:
    """Here by a limit of the size of files, in a process of its own; nodes would call it theirs."""
    code = (
        "import resource, sys; from simulations.__main__ import main;"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({MIB}, {MIB})); sys.exit(main(sys.argv[1:]))"
    )
    chosen = [
        word for one in (*SHORT, "workload.size_median_bytes=2 MiB") for word in ("--set", one)
    ]
    command = [sys.executable, "-c", code, "run", "disk", *chosen, "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done
    assert done.stderr.startswith("the run failed: no room is left in /")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["failed"].startswith("NoRoomHere")


def test_files_cannot_be_branched() -> None:
    world = from_tables({"disk": {"kind": "real"}})
    with pytest.raises(ScenarioError, match=r"disk\.kind"):
        check_branch(world, world)
