"""--seed: a client node that lives for one command, in a directory that goes with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from dhtstore.cli.running.session import Errand
from dhtstore.cli.running.start import set_up_logging, start_node
from dhtstore.cli.running.trust import trust_in
from dhtstore.cli.running.where import home_of, load_settings
from dhtstore.cli.terminal.common import Common
from dhtstore.config import Settings
from dhtstore.errors import NeedsNode, TimedOut
from dhtstore.node.control import perform
from dhtstore.node.node import Node
from dhtstore.store.home.home import Home
from dhtstore.store.home.places import temporary_home
from dhtstore.wire.control import Request
from dhtstore.wire.ticket import Ticket, looks_like_ticket

# What these tell of, or keep, would end with the command.
_NEED_NODE: Final = ("id", "list", "verify", "receipts", "pin-add", "pin-rm", "pin-ls")


def run_alone(common: Common, errand: Errand) -> Any:
    """As ``session.run``.  Puts are made in the name of the owner of the real data directory,
    where the keys of HOST:PORT seeds are pinned too.  Raises NeedsNode for what makes no sense
    of a node that ends at once."""
    _check(errand.request)
    set_up_logging(common.log_level)
    owner_home = home_of(common)
    settings = _client(load_settings(owner_home, {"network": _network(common)}), common.seeds)
    with temporary_home() as home:
        return asyncio.run(_perform(common, errand, settings, home, owner_home))


def _check(request: Request) -> None:
    own_status = request.op == "status" and not request.target
    if request.op in _NEED_NODE or own_status or request.pin:
        what = "--pin" if request.pin else request.op.replace("-", " ")
        raise NeedsNode(f"{what} needs a running node: there is none behind --seed")


def _network(common: Common) -> str:
    """--network, else the one that the first ticket is for."""
    for seed in common.seeds:
        if not common.network and looks_like_ticket(seed):
            return Ticket.parse(seed).network
    return common.network


def _client(settings: Settings, seeds: Sequence[str]) -> Settings:
    """Any port, no disk, and a socket of the family the seeds are of."""
    six = any(seed.startswith("[") for seed in seeds) or any(
        ":" in address.host
        for seed in seeds
        if looks_like_ticket(seed)
        for address in Ticket.parse(seed).addresses
    )
    listen = "[::]:0" if six else "0.0.0.0:0"
    return replace(settings, listen=listen, advertise=(), capacity_bytes=0)


async def _perform(
    common: Common, errand: Errand, settings: Settings, home: Home, owner_home: Home
) -> Any:
    node = await start_node(home, owner_home, settings, ephemeral=True)
    try:
        try:
            async with asyncio.timeout(common.timeout_s):
                await node.join(common.seeds, trust_in(owner_home))
        except TimeoutError as error:
            raise TimedOut(f"the seeds did not answer within {common.timeout}") from error
        return await _errand(node, errand)
    finally:
        await node.stop()


async def _errand(node: Node, errand: Errand) -> Any:
    descriptors = [os.dup(descriptor) for descriptor in errand.descriptors]
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    errand.sent(lambda: _cancel(loop, task))
    try:
        return await perform(node, errand.request, descriptors, errand.watch)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _cancel(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    loop.call_soon_threadsafe(task.cancel)
