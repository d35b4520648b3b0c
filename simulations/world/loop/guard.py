"""Catches node code that reaches around its ports for the real world.

While the guard is up, real clocks, entropy, the shared random generator, threads and sockets
raise EscapedSimulation when dhtstore or the libraries it is built on call them.  Others (the
laboratory itself, logging, the test runner) are let through.  Iterating over sets cannot be
caught this way: ``tests/test_one_run.py`` refuses it in the source.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final

from simulations.errors import EscapedSimulation

WATCHED: Final = ("dhtstore", "kademlia", "rpcudp", "asyncio_dgram")
_TOLERATED: Final = {
    ("kademlia.routing", "time.monotonic"): "the library's constructor makes a table, which ours "
    "replaces before anything is in it",
}
_FORBIDDEN: Final[tuple[tuple[Any, tuple[str, ...]], ...]] = (
    (time, ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
    (os, ("urandom", "getrandom")),
    (uuid, ("uuid1", "uuid4")),
    (secrets, ("token_bytes", "token_hex", "randbelow", "choice")),
    (
        random,
        ("random", "randint", "randrange", "choice", "choices", "sample", "shuffle", "uniform",
         "getrandbits", "randbytes", "gauss", "expovariate"),
    ),
    (threading.Thread, ("start",)),
    (socket.socket, ("__init__",)),
)  # fmt: skip


@contextmanager
def guarded() -> Iterator[None]:
    """Put the guard up for the block."""
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for owner, names in _FORBIDDEN:
            for name in names:
                _replace(owner, name, replaced)
        yield
    finally:
        for owner, name, original in reversed(replaced):
            setattr(owner, name, original)


def _replace(owner: Any, name: str, replaced: list[tuple[Any, str, Any]]) -> None:
    original = getattr(owner, name)
    refuse = _watch(original, f"{owner.__name__}.{name}")
    replaced.append((owner, name, original))
    setattr(owner, name, refuse)
    if isinstance(owner, ModuleType):
        # `from time import monotonic` made copies of the name.
        for module in _watched_modules():
            for alias in [key for key, value in vars(module).items() if value is original]:
                replaced.append((module, alias, original))
                setattr(module, alias, refuse)


def _watch(original: Callable[..., Any], shown: str) -> Callable[..., Any]:
    def watch(*args: Any, **options: Any) -> Any:
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if caller.split(".")[0] in WATCHED and (caller, shown) not in _TOLERATED:
            raise EscapedSimulation(f"{caller} called {shown} inside a simulation")
        return original(*args, **options)

    return watch


def _watched_modules() -> list[ModuleType]:
    return [m for name, m in sorted(sys.modules.items()) if name.split(".")[0] in WATCHED]
