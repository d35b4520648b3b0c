"""The two ways to a Client: to the node that runs here, or with a node of one's own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from dhtstore.api.callers import Caller, ClosableCaller, HomeCaller, NodeCaller, SocketCaller
from dhtstore.api.client import Client
from dhtstore.api.homes import home_path, socket_path
from dhtstore.api.hosting import hosted, visiting
from dhtstore.errors import InvalidSetting, UsageError
from dhtstore.model.identity import PublicKey

AnyPath = str | os.PathLike[str]
_logger = logging.getLogger("dhtstore")


@asynccontextmanager
async def connect(home: AnyPath | None = None) -> AsyncIterator[Client]:
    """A client of the node that runs on the data directory ``home`` (default: $DHTSTORE_HOME,
    else the user's), started by ``dhtstore join``.

    Raises NotRunning, at once if none runs and from any call after it has stopped.

        async with dhtstore.connect() as client:
            result = await client.put("photos/")
    """
    path = await asyncio.to_thread(socket_path, home_path("" if home is None else _path(home)))
    async with _closing(SocketCaller(path)) as client:
        await client.identity()
        yield client


@asynccontextmanager
async def read_home(home: AnyPath | None = None) -> AsyncIterator[Client]:
    """A client of the data directory ``home`` (default: as ``connect``), whether a node runs on it
    or not.

    Where none runs, ``puts``, ``receipts``, ``pins``, ``verify``, ``status`` and ``identity`` tell
    what lies there, and no node can start meanwhile; all else raises NotRunning, and so does
    everything where nothing lies.

        async with dhtstore.read_home() as client:
            print(len(await client.puts()))
    """
    async with _closing(HomeCaller(home_path("" if home is None else _path(home)))) as client:
        yield client


@asynccontextmanager
async def open(  # noqa: A001 - dhtstore.open, as one opens a database
    home: AnyPath | None,
    *,
    seeds: str | Sequence[str] = (),
    network: str | None = None,
    listen: str | None = None,
    advertise: Sequence[str] | None = None,
    capacity: int | str | None = None,
    disk_reserve: int | str | None = None,
    replicas: int | None = None,
    min_acks: int | None = None,
    accept: str | None = None,
    owner_quota: int | str | None = None,
    domain: str | None = None,
    lookup_paths: int | None = None,
    limit_up: str | None = None,
    limit_down: str | None = None,
    donate: int | str | None = None,
    repair_budget: int | str | None = None,
    repair_grace: float | str | None = None,
) -> AsyncIterator[Client]:
    """A client of a node inside this process, which lives as long as the block.

    ``home`` is its data directory; None makes a client without disk that lives in a temporary one
    and puts in the name of the owner of the default directory, which needs ``seeds``.  ``seeds``
    are tickets or HOST:PORT.  The settings are those of ``dhtstore join`` (``dhtstore config``
    explains them): sizes in bytes or as "10 GB", limits as "5MB/s"; None leaves a setting to the
    environment, the file and its default.  Raises HomeInUse, HomeUnusable, InvalidSetting,
    AddressInUse, NoRoom, and where seeds are given Unreachable and RefusedByNetwork.

        async with dhtstore.open("node1", listen="127.0.0.1:0", capacity="1 GB") as client:
            print((await client.identity()).ticket)
    """
    settings = {
        "network": network,
        "listen": listen,
        "advertise": advertise,
        "capacity": capacity,
        "disk_reserve": disk_reserve,
        "replicas": replicas,
        "min_acks": min_acks,
        "accept": accept,
        "owner_quota": owner_quota,
        "domain": domain,
        "lookup_paths": lookup_paths,
        "limit_up": limit_up,
        "limit_down": limit_down,
        "donate": donate,
        "repair_budget": repair_budget,
        "repair_grace": repair_grace,
    }
    _check_settings(settings)
    through = _seeds(seeds)
    if home is None:
        _check_visit(through, {key: value for key, value in settings.items() if key != "network"})
        visit = visiting(home_path(), through, network or "", _log_seed)
        async with visit as here, _closing(NodeCaller(here.node, visits=here.visits)) as client:
            yield client
        return
    life = hosted(home_path(_path(home)), through, settings, _log_seed, "dhtstore.open")
    async with life as here, _closing(NodeCaller(here.node)) as client:
        yield client


@asynccontextmanager
async def _closing(caller: Caller) -> AsyncIterator[Client]:
    closable = ClosableCaller(caller)
    try:
        yield Client(closable)
    finally:
        await closable.close()


def _path(home: AnyPath) -> str:
    """Raises UsageError for what names no directory: "" is mostly a variable that was not set."""
    text = os.fspath(home) if isinstance(home, str | os.PathLike) else home
    if not isinstance(text, str) or not text or "\0" in text:
        raise UsageError(f"a data directory is named by a path, not by {home!r}")
    return text


def _seeds(seeds: str | Sequence[str]) -> Sequence[str]:
    through = [seeds] if isinstance(seeds, str) else list(seeds or ())
    for seed in through:
        if not isinstance(seed, str) or not seed:
            raise UsageError(f"a seed is a ticket or HOST:PORT, not {seed!r}")
    return through


def _check_settings(settings: Mapping[str, object]) -> None:
    for key, value in settings.items():
        if value == "" and key != "domain":
            raise InvalidSetting(f"{key} is empty; None leaves it to its default")


def _check_visit(seeds: Sequence[str], settings: dict[str, object]) -> None:
    if not seeds:
        raise UsageError("a node without a data directory needs seeds to join through")
    given = [key for key, value in settings.items() if value is not None]
    if given:
        raise UsageError(f"a node without a data directory has no {', '.join(given)}")


def _log_seed(seed: str, key: PublicKey) -> None:
    _logger.info("seed %s has key %s; pinned from now on", seed, key.hex())
