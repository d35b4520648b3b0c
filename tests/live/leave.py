"""A node leaves for good: who watches from outside never counts a copy too few, and it goes at
least half as fast as the put that brought what it holds.

    python -m tests.live.leave --size 2GiB
    python -m tests.live.leave --units 2000 --size 20MiB

With ``--units`` the bytes are so many files, each with a root of its own.  Exits with 1 where a
copy was missing at any look, bytes were wrong, or it took more than twice as long as the put.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dhtstore
from dhtstore import Client
from dhtstore.config import format_size, parse_size
from dhtstore.operations.operation import Progress
from dhtstore.tasks import run_all
from tests.live.observer import Observer, observer
from tests.live.processes import Nodes, Running, nodes

_REPLICAS = 3
_PIECE_BYTES = 1 << 20
_PUTS_AT_ONCE = 4
_WATCHED = 8  # units that one look of the observer samples
_LOOK_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class _Asked:
    size_bytes: int
    units: int
    directory: str | None


def _write(path: Path, size_bytes: int, seed: int) -> str:
    """A file that no other resembles; its hash."""
    rng, digest = random.Random(seed), hashlib.sha256()
    with path.open("wb") as file:
        while size_bytes:
            piece = rng.randbytes(min(_PIECE_BYTES, size_bytes))
            file.write(piece)
            digest.update(piece)
            size_bytes -= len(piece)
    return digest.hexdigest()


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _sources(asked: _Asked, folder: Path) -> dict[Path, str]:
    folder.mkdir()
    each_bytes = asked.size_bytes // asked.units
    made: dict[Path, str] = {}
    for number in range(asked.units):
        path = folder / f"object {number}"
        made[path] = await asyncio.to_thread(_write, path, each_bytes, number)
    return made


async def _put_all(client: Client, sources: Sequence[Path]) -> tuple[list[str], float]:
    """Their CIDs, and how long it took."""
    began_s = time.monotonic()
    puts = [partial(client.put, path, replicas=_REPLICAS) for path in sources]
    results = await run_all(puts, _PUTS_AT_ONCE)
    return [result.cid for result in results], time.monotonic() - began_s


async def _leave(leaver: Running, watch: Observer, cids: Sequence[str]) -> float:
    """Watched from before its beginning to its end; how long it took."""
    units = await watch.units(cids)
    await watch.look(units)
    watching = asyncio.create_task(watch.watch(units, _WATCHED, _LOOK_PAUSE_S))
    told = 0.0

    def show(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > 5:
            told = time.monotonic()
            of = f"{format_size(progress.done_bytes)} of {format_size(progress.total_bytes or 0)}"
            print(f"  {progress.phase}: {of}", flush=True)

    try:
        began_s = time.monotonic()
        async with dhtstore.connect(leaver.home) as client:
            result = await client.leave(progress=show)
        took_s = time.monotonic() - began_s
        code = await leaver.ended()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    assert (result.left, code) == (True, 0), (result, code)
    print(f"left: {result.made} copies made elsewhere, {format_size(result.sent)} sent")
    await watch.look(units)
    return took_s


async def _wrong(client: Client, expected: dict[str, str], folder: Path) -> int:
    """How many of these are not what was put."""
    wrong = 0
    for cid, digest in expected.items():
        path = folder / "got"
        await client.get(cid, to=path, force=True)
        wrong += await asyncio.to_thread(_hash_of, path) != digest
    return wrong


async def _run(asked: _Asked, made: Nodes) -> int:
    capacity = str(asked.size_bytes * 3 // 2 + 500_000_000)
    options = "--capacity", capacity, "--accept", "network"
    holders = [await made.start(*options) for _ in range(_REPLICAS)]
    user = await made.start("--capacity", "0", name="user")
    sources = await _sources(asked, made.folder / "sources")
    async with dhtstore.connect(user.home) as client:
        cids, put_s = await _put_all(client, list(sources))
        fresh = await made.start(*options, name="fresh")
        leaver, others = holders[1], (holders[0], holders[2])
        tickets = [each.ticket for each in (leaver, *others, fresh)]
        async with observer(made.folder / "observer", tickets) as watch:
            leave_s = await _leave(leaver, watch, cids)
            print(f"watched {watch.looks} times: never fewer than {watch.fewest} copies")
            if watch.fewest < _REPLICAS:
                print(f"  then the others said: {'; '.join(watch.lacks)}")
        for each in others:
            await each.kill()  # so that bytes come from the one that was handed them
        expected = dict(zip(cids, sources.values(), strict=True))
        wrong = await _wrong(client, expected, made.folder)
    rates = [asked.size_bytes / 1e6 / seconds for seconds in (put_s, leave_s)]
    ms = [1000 * seconds / asked.units for seconds in (put_s, leave_s)]
    print(f"put:   {put_s:.2f} s, {rates[0]:.1f} MB/s, {ms[0]:.1f} ms an object")
    print(f"leave: {leave_s:.2f} s, {rates[1]:.1f} MB/s, {ms[1]:.1f} ms an object")
    print(f"rate of leave to that of put: {put_s / leave_s:.2f}; {wrong} with wrong bytes")
    return 1 if wrong or watch.fewest < _REPLICAS or leave_s > 2 * put_s else 0


async def _main(asked: _Asked) -> int:
    async with nodes(asked.directory) as made:
        return await _run(asked, made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="2GiB", help="of all that the leaving node holds")
    parser.add_argument("--units", type=int, default=1, help="files with a root of their own")
    parser.add_argument("--dir", default=None, help="where the disks are")
    told = parser.parse_args()
    return asyncio.run(_main(_Asked(parse_size(told.size), told.units, told.dir)))


if __name__ == "__main__":
    sys.exit(main())
