"""The honest user's process: puts 64 MiB and gets it back, again and again, and says how it went.

Its node is a client, so that what it gets comes from the node under attack: the only storage node
there is.  A line of JSON on stdout for each command; its first line is its ticket.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import filecmp
import json
import os
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import dhtstore
from dhtstore.errors import DhtstoreError

CONTENT_BYTES: Final = 64 * 1024**2
DEADLINE_S: Final = 120.0
REST_S: Final = 1.0  # between a round and the next
TELLING_S: Final = 0.3  # between a put and its get, in which liars may announce themselves


async def use(arguments: argparse.Namespace) -> None:
    """Rounds without an end."""
    place: Path = arguments.place
    opened = dhtstore.open(
        place / "home", seeds=[arguments.node], capacity=0, listen=arguments.listen
    )
    async with opened as client:
        identity = await client.identity()
        _tell({"ticket": identity.ticket, "owner": identity.owner})
        while True:
            await _round(client, place, arguments.known)
            await asyncio.sleep(REST_S)


async def _round(client: dhtstore.Client, place: Path, known: Path) -> None:
    source, out = place / "source", place / "out"
    source.write_bytes(os.urandom(CONTENT_BYTES))
    try:
        putting = client.put(source, replicas=1, min_acks=1, timeout_s=DEADLINE_S)
        stored = await _timed("put", putting)
        if stored is None:
            return
        with known.open("a") as file:
            print(stored.cid, file=file)
        await asyncio.sleep(TELLING_S)
        await _timed("get", _got(client, stored.cid, source, out))
    finally:
        for path in place.glob("out*"):
            path.unlink(missing_ok=True)


async def _got(client: dhtstore.Client, cid: str, source: Path, out: Path) -> object:
    result = await client.get(cid, out, timeout_s=DEADLINE_S)
    return result if await asyncio.to_thread(filecmp.cmp, source, out, False) else None


async def _timed(what: str, command: Awaitable[Any]) -> Any:
    """Its result; None where it failed."""
    started_s = time.monotonic()
    result, error = None, "other bytes than were put"
    try:
        result = await command
    except (DhtstoreError, OSError) as failure:
        error = repr(failure)
    ended_s = time.monotonic()
    told = {"what": what, "started_s": started_s, "ended_s": ended_s}
    _tell({**told, "error": "" if result is not None else error})
    return result


def _tell(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", required=True, help="ticket of the storage node")
    parser.add_argument("--listen", required=True)
    parser.add_argument("--place", type=Path, required=True, help="where to work")
    parser.add_argument("--known", type=Path, required=True, help="file of what was put")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(use(parser.parse_args()))


if __name__ == "__main__":
    main()
