"""The block store alone: a million blocks in it, and room that comes back beside puts."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.report import Row, at_most, plain
from dhtstore.model.cid import Cid
from dhtstore.params import COLLECT_STEP_PAUSE_S
from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import Index
from dhtstore.store.blocks.staged_table import Row as Place

BLOCK_BYTES = 1024
COMMITTED_AT_ONCE = 50_000
ASKED = 2000  # for each median
PUT_BYTES = 1 << 20
ALONE_S, BESIDE_S = 1.0, 2.0  # the turns of puts alone, and of the collection
PUT_PAUSE_S = 0.02  # of who puts, so that latency is measured and not what a disk bears


def stored(place: Path, blocks: int, rows: int) -> list[Row]:
    """``blocks`` are put; ``rows`` only stand in an index."""
    directory, rng = place / "blocks", random.Random(1)
    with closing(DiskBlockStore(directory, None)) as store:
        for cids in _put(store, blocks):
            sample = rng.sample(cids, min(len(cids), ASKED * len(cids) // blocks + 1))
    what = f"{blocks:,} blocks"
    figures = [at_most(f"open {what}", _median_s(lambda: _open(directory), 5), 0.1, "s")]
    with closing(DiskBlockStore(directory, None)) as store:
        figures += _asked(store, what, sample)
    return [*figures, *_in_rows(place / "rows", rows, rng), *_collected(directory, blocks)]


def _block(number: int) -> bytes:
    return random.Random(number).randbytes(BLOCK_BYTES)


def _put(store: DiskBlockStore, blocks: int) -> Iterator[list[Cid]]:
    for first in range(0, blocks, COMMITTED_AT_ONCE):
        cids = []
        with store.batch() as batch:
            for number in range(first, min(first + COMMITTED_AT_ONCE, blocks)):
                data = _block(number)
                cids.append(Cid.of(data))
                batch.put(cids[-1], data)
            batch.commit()
        yield cids


def _open(directory: Path) -> None:
    DiskBlockStore(directory, None).close()


def _median_s(work: Callable[[], object], times: int) -> float:
    return statistics.median(_took_s(work) for _ in range(times))


def _took_s(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _asked(store: DiskBlockStore, what: str, cids: list[Cid]) -> list[Row]:
    hits_s = statistics.median(_took_s(lambda cid=cid: store.has(cid)) for cid in cids)  # type: ignore[misc]
    reads_s = statistics.median(_took_s(lambda cid=cid: store.get(cid)) for cid in cids)  # type: ignore[misc]
    return [
        at_most(f"has, of {what}", 1000 * hits_s, 0.03, "ms"),
        at_most(f"a verified {BLOCK_BYTES} B, of {what}", 1000 * reads_s, 0.2, "ms"),
    ]


def _in_rows(directory: Path, rows: int, rng: random.Random) -> list[Row]:
    """The index alone: packs of so many blocks would not fit everywhere."""
    directory.mkdir()
    path = directory / "index.sqlite"
    with closing(Index(path)) as index:
        keys: list[bytes] = []
        for first in range(0, rows, COMMITTED_AT_ONCE):
            some = sorted(b"\x12\x20" + rng.randbytes(32) for _ in range(COMMITTED_AT_ONCE))
            places = [Place(key, 1, at * 1100, 1024, 0x55) for at, key in enumerate(some, first)]
            index.add(places, {1: (first + len(some)) * 1100})
            keys += rng.sample(some, 1 + ASKED * len(some) // rows)
    what = f"{rows:,} rows"
    open_s = _median_s(lambda: Index(path).close(), 5)
    with closing(Index(path)) as index:
        find_s = statistics.median(_took_s(lambda key=key: index.find(key)) for key in keys)  # type: ignore[misc]
    return [plain(f"open {what}", open_s, "s"), plain(f"find, of {what}", 1000 * find_s, "ms")]


def _collected(directory: Path, blocks: int) -> list[Row]:
    """Half of the blocks go and packs are compacted, as the duty of a node does it, while somebody
    puts; the collection pauses now and then, and puts meanwhile are those it is held against: a
    disk, or fresh memory of a tmpfs, is not as fast in one minute as in the next.  What is put is
    protected: nothing else keeps it."""
    kept = Kept()
    for number in range(0, blocks, 2):
        kept.add(Cid.of(_block(number)).multihash)
    with closing(DiskBlockStore(directory, None)) as store, closing(store.protect()):
        before_bytes = store.used_bytes
        turns = _Turns()
        collecting = threading.Thread(target=_collect, args=(store, kept, turns))
        collecting.start()
        alone, beside = _putting(store, turns)
        collecting.join()
        put_bytes = (len(alone) + len(beside)) * PUT_BYTES
        freed_bytes = before_bytes + put_bytes - store.used_bytes
    ratio = _p99(beside) / _p99(alone)
    return [
        at_most(f"a put of 1 MiB, p99 beside a collection of {blocks:,}", ratio, 2, "x alone"),
        plain("the same alone, in between", 1000 * _p99(alone), "ms"),
        plain("the collection, half of it garbage", turns.collected_s, "s"),
        plain("room that came back", freed_bytes / 1e6, "MB"),
    ]


class _Turns:
    """Whose turn it is: the collection's, or nobody's beside the puts."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.collected_s = 0.0
        self._on = threading.Event()

    def step(self) -> None:
        """Wait, in the collection, until it is its turn."""
        self._on.wait()

    def begin(self, *, collecting: bool) -> None:
        (self._on.set if collecting else self._on.clear)()

    def end(self) -> None:
        self.ended.set()


def _putting(store: DiskBlockStore, turns: _Turns) -> tuple[list[float], list[float]]:
    """How long each put took: those alone, and those beside the collection."""
    rng = random.Random(1)
    took_s: tuple[list[float], list[float]] = [], []
    while not turns.ended.is_set():
        for collecting, lasting_s in ((False, ALONE_S), (True, BESIDE_S)):
            turns.begin(collecting=collecting)
            began_s = time.perf_counter()
            time.sleep(PUT_PAUSE_S)  # the step that had begun ends
            while time.perf_counter() - began_s < lasting_s and not turns.ended.is_set():
                data = rng.randbytes(PUT_BYTES)
                took_s[collecting].append(_took_s(lambda data=data: _put_one(store, data)))  # type: ignore[misc]
                time.sleep(PUT_PAUSE_S)
            turns.collected_s += collecting * (time.perf_counter() - began_s)
    return took_s


def _put_one(store: DiskBlockStore, data: bytes) -> None:
    with store.batch() as batch:
        batch.put(Cid.of(data), data)
        batch.commit()


def _collect(store: DiskBlockStore, kept: Kept, turns: _Turns) -> None:
    after: bytes | None = b""
    while after is not None:
        turns.step()
        after = store.sweep(kept, after).after
        time.sleep(COLLECT_STEP_PAUSE_S)
    compaction = store.compaction()
    while compaction.step():
        time.sleep(COLLECT_STEP_PAUSE_S)
        turns.step()
    turns.end()


def _p99(times_s: list[float]) -> float:
    return sorted(times_s)[int(0.99 * len(times_s))]
