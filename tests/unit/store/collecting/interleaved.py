"""Puts, a collection and compaction in threads that change places only where it matters: before
the index is read, added to, moved in or deleted from, and before a pack is synced.  A seed chooses
who goes on, so that what goes wrong goes wrong again.

``python -m tests.unit.store.collecting.interleaved`` runs 2,000 histories.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dhtstore.store.blocks.collecting.kept import Kept
from dhtstore.store.blocks.compacting import compaction as compacting
from dhtstore.store.blocks.contract import Protection
from dhtstore.store.blocks.disk import DiskBlockStore
from dhtstore.store.blocks.index import Index
from dhtstore.store.blocks.packs import PackWriter
from tests.in_memory import base_in_memory
from tests.unit.store.collecting.model import BLOCKS

NUMBERS = 24  # few, so that puts meet each other's blocks
PACK_BYTES = 64 * 1024
STUCK_S = 60.0
HOOKS = (
    (Index, "find_or_rely"),
    (Index, "add"),
    (Index, "add_staged"),
    (Index, "page"),
    (Index, "remove"),
    (Index, "move"),
    (PackWriter, "sync"),
)


class Turns:
    """One thread at a time goes on, until it comes to a hook or ends."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.state = rng, threading.Condition()
        self.live: set[str] = set()
        self.turn = ""
        self.wrong: list[BaseException] = []

    def run(self, works: dict[str, Callable[[], None]]) -> None:
        self.live = set(works)
        threads = [
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
            for name, work in works.items()
        ]
        with self.state:
            self._next()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(STUCK_S)
        if self.wrong:
            raise self.wrong[0]
        assert not self.live, f"{self.live} wait for each other"

    def pause(self) -> None:
        """Somebody else may go on here, or nobody."""
        name = threading.current_thread().name
        with self.state:
            if name in self.live:
                self._next()
                self._wait(name)

    def _run(self, work: Callable[[], None]) -> None:
        name = threading.current_thread().name
        try:
            with self.state:
                self._wait(name)
            work()
        except BaseException as error:
            self.wrong.append(error)
        with self.state:
            self.live.discard(name)
            self._next()

    def _next(self) -> None:
        self.turn = self.rng.choice(sorted(self.live)) if self.live else ""
        self.state.notify_all()

    def _wait(self, name: str) -> None:
        assert self.state.wait_for(lambda: self.turn == name, STUCK_S), f"{name} is stuck"


@contextmanager
def hooked(turns: Turns) -> Iterator[None]:
    def before(original: Callable[..., Any]) -> Callable[..., Any]:
        def paused(*arguments: Any, **named: Any) -> Any:
            turns.pause()
            return original(*arguments, **named)

        return paused

    patches = [patch.object(kind, name, before(getattr(kind, name))) for kind, name in HOOKS]
    with ExitStack() as entered, patch.object(compacting, "_MOVED_AT_ONCE", 2):
        for each in patches:
            entered.enter_context(each)
        yield


class History:
    """What the threads do; as only one of them goes on at a time, they share it as it is."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.turns = Turns(random.Random(seed))
        self.seed, self.pinned = seed, set[int]()
        self.store = DiskBlockStore(directory, None, pack_size_bytes=PACK_BYTES)
        self.collecting, self.late = False, list[Protection]()
        self.swept = 0
        self.puts = 2

    def run(self) -> None:
        with hooked(self.turns):
            works = {f"put {number}": lambda number=number: self.put(number) for number in (1, 2)}
            self.turns.run({**works, "collect": self.collect, "compact": self.compact})
        for number in self.pinned:
            self.check(number)

    def put(self, number: int) -> None:
        rng = random.Random(self.seed * 10 + number)
        for _ in range(4):
            numbers = rng.sample(range(NUMBERS), 4)
            guard = self.store.protect()
            with self.store.batch(whole=rng.random() < 0.4) as batch:
                for each in numbers:
                    batch.put(*BLOCKS[each], anew=rng.random() < 0.1)
                batch.commit()
                for each in numbers:
                    self.check(each)
            for each in numbers:
                self.check(each)
            self.pinned.update(numbers)
            if self.collecting:
                self.late.append(guard)
            else:
                guard.close()
            while self.store.settle():
                self.turns.pause()
            self.pinned.difference_update(rng.sample(sorted(self.pinned), len(self.pinned) // 2))
        self.puts -= 1

    def check(self, number: int) -> None:
        cid, data = BLOCKS[number]
        assert self.store.get(cid) == data

    def collect(self) -> None:
        while self.puts:
            self.collecting, kept = True, Kept()
            for number in sorted(self.pinned):
                kept.add(BLOCKS[number][0].multihash)
            self.turns.pause()
            after: bytes | None = b""
            while after is not None:
                step = self.store.sweep(kept, after)
                after, self.swept = step.after, self.swept + step.blocks
            self.collecting = False
            while self.late:
                self.late.pop().close()

    def compact(self) -> None:
        while self.puts:
            self.turns.pause()
            work = self.store.compaction()
            while work.step():
                self.turns.pause()
            assert not work.damaged


def run(seed: int) -> int:
    """How many blocks were swept."""
    with tempfile.TemporaryDirectory(dir=base_in_memory()) as directory:
        history = History(seed, Path(directory))
        try:
            history.run()
        finally:
            history.store.close()
        return history.swept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=2000)
    asked = parser.parse_args()
    swept = sum(run(seed) for seed in range(asked.histories))
    print(f"{asked.histories} histories, {swept} blocks swept: nothing kept was lost")


if __name__ == "__main__":
    main()
