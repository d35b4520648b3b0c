"""The life of a node in the foreground: start, join, serve, and a clean stop at a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dhtstore.cli.running.start import set_up_logging, start_node
from dhtstore.cli.running.trust import trust_in
from dhtstore.cli.running.where import home_of, keep_settings, load_settings
from dhtstore.cli.terminal.common import Common
from dhtstore.cli.terminal.show import emit, say
from dhtstore.config import Settings, format_size
from dhtstore.model.identity import format_node
from dhtstore.net.local.server import LocalServer
from dhtstore.node.control import handler
from dhtstore.node.flows.join import Joined
from dhtstore.node.node import Node
from dhtstore.store.home.home import Home
from dhtstore.store.home.places import free_bytes
from dhtstore.wire.ticket import Ticket


def serve(common: Common, seeds: Sequence[str], flags: Mapping[str, object]) -> None:
    """Run until SIGINT or SIGTERM; raises what keeps the node from starting."""
    set_up_logging(common.log_level)
    home = home_of(common)
    with contextlib.closing(home.lock()):
        settings = _first_start(home, load_settings(home, flags))
        asyncio.run(_until_signal(common, home, settings, seeds))


def _first_start(home: Home, settings: Settings) -> Settings:
    """Decide what is left open: the disk to give is half of what is free now."""
    if settings.capacity_bytes is not None:
        return settings
    return replace(settings, capacity_bytes=free_bytes(home.path) // 2)


async def _until_signal(
    common: Common, home: Home, settings: Settings, seeds: Sequence[str]
) -> None:
    stopping = _cancelled_by_signals()
    with contextlib.suppress(asyncio.CancelledError):
        node = await start_node(home, home, settings)
        local = LocalServer(home.socket_path, handler(node))
        try:
            joined = await node.join(seeds, trust_in(home))
            await local.open()
            keep_settings(home, settings)
            _announce(common, node, joined)
            node.failed.add_done_callback(lambda _: stopping.set())
            await stopping.wait()
            if node.failed.done():
                node.failed.result()  # raises what ended
        finally:
            await local.close()
            await node.stop()


def _announce(common: Common, node: Node, joined: Joined) -> None:
    """The ticket comes last: whoever reads it may count on everything else."""
    for seed, reason in joined.failures.items():
        say(common, f"seed {seed} did not answer: {reason}")
    say(common, _introduction(node, joined.answered))
    emit(Ticket(node.settings.network.name, node.public_key, node.addresses()))


def _introduction(node: Node, peers: int) -> str:
    where = ", ".join(str(address) for address in node.addresses())
    gives = format_size(node.settings.capacity_bytes) if node.settings.storage else "no disk"
    return f"node {format_node(node.node_id)} at {where}, giving {gives}, {peers} peers answered"


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
