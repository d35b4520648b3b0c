"""The life of a node in the foreground: start, join, serve, and a clean stop at a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from dhtstore.api.homes import home_path
from dhtstore.api.hosting import Hosted, hosted
from dhtstore.cli.results import Serving, serving
from dhtstore.cli.running.seeds import show_seed, tell_failures
from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.logs import set_up_logging
from dhtstore.cli.terminal.show import emit, print_json, say
from dhtstore.config import counted, format_size
from dhtstore.model.identity import PublicKey
from dhtstore.node.node import Node
from dhtstore.node.ports import NodeSettings
from dhtstore.node.views.identity import node_identity
from dhtstore.replication.admission import Accept

# How long the loop waits, at most, for a worker that decodes: it does so at each read and write of
# TLS, which let go of the interpreter, and a message takes several.  Python's default is 5 ms.
THREAD_TURN_S: Final = 0.0005


def serve(common: Common, seeds: Sequence[str], flags: Mapping[str, object]) -> None:
    """Run until SIGINT or SIGTERM; raises what keeps the node from starting."""
    set_up_logging(common.log_level, common.log_format)
    sys.setswitchinterval(THREAD_TURN_S)
    asyncio.run(_until_signal(common, seeds, flags))


async def _until_signal(common: Common, seeds: Sequence[str], flags: Mapping[str, object]) -> None:
    stopping = _cancelled_by_signals()
    with contextlib.suppress(asyncio.CancelledError):
        pinned: dict[str, PublicKey] = {}

        def learn(seed: str, key: PublicKey) -> None:
            pinned[seed] = key
            show_seed(common, seed, key)

        async with hosted(home_path(common.home), seeds, flags, learn) as here:
            gc.freeze()  # what a node has loaded stays: 10 ms less of each full collection
            _announce(common, here, pinned)
            here.node.failed.add_done_callback(lambda _: stopping.set())
            here.node.leaving.left.add_done_callback(lambda _: stopping.set())
            await stopping.wait()
            if here.node.failed.done():
                here.node.failed.result()  # raises what ended


def _announce(common: Common, here: Hosted, pinned: Mapping[str, PublicKey]) -> None:
    """The ticket comes last: whoever reads it may count on everything else."""
    if common.json:
        print_json(_serving(common, here, pinned))
        return
    tell_failures(common, here.joined)
    say(common, _introduction(here.node, here.joined.answered))
    say(common, giving(here.node.settings, here.no_disk))
    emit(node_identity(here.node.identity).ticket)


def _serving(common: Common, here: Hosted, pinned: Mapping[str, PublicKey]) -> Serving:
    node = here.node
    return serving(
        node_identity(node.identity),
        here.joined,
        pinned,
        home=home_path(common.home),
        capacity_bytes=node.settings.capacity_bytes,
        accept=node.settings.accept.value,
    )


def _introduction(node: Node, peers: int) -> str:
    told = node_identity(node.identity)
    answered = counted(peers, "peer")
    return f"node {told.node} at {', '.join(told.addresses)}, {answered} answered"


def giving(settings: NodeSettings, no_disk: str) -> str:
    """What this node gives to whom, and how that is changed."""
    if not settings.storage:
        since = f", since {no_disk}" if no_disk else ""
        return f"gives no disk: a client{since}; change with `dhtstore config capacity SIZE`"
    listed = len(settings.owners)
    whom = {
        Accept.MINE: "its own owner only",
        Accept.OWNERS: f"its own owner and the {listed} on its list",
        Accept.NETWORK: f"everybody in the network {settings.network.name} (without shares)",
        Accept.ANYONE: "anyone (within shares)",
    }[settings.accept]
    gives = format_size(settings.capacity_bytes)
    if not settings.donated_bytes:
        return f"gives {gives} to {whom}; change with `dhtstore config capacity|accept`"
    part = f"{format_size(settings.donated_bytes)} of it only for what is short of copies"
    return f"gives {gives} to {whom}, {part}; change with `dhtstore config capacity|accept|donate`"


def _cancelled_by_signals() -> asyncio.Event:
    """The first SIGINT or SIGTERM ends the start or the waiting; further ones change nothing,
    so that a stop is always a clean one."""
    task = asyncio.current_task()
    assert task is not None
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        if not stopping.is_set():
            stopping.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping
