"""The process of all strangers: ``python -m benchmarks.hostile.attacker ATTACK ...``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import signal
from pathlib import Path

from benchmarks.hostile.attacks import ALL_ATTACKS
from benchmarks.hostile.kit.stranger import Target
from benchmarks.hostile.origins import Addresses, field_of
from benchmarks.hostile.section import NICENESS
from dhtstore.wire.ticket import Ticket

DESCRIPTORS = 8192
SEED = 1


def main() -> None:
    arguments = _parser().parse_args()
    os.nice(NICENESS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))
    asyncio.run(_attack(arguments))


async def _attack(arguments: argparse.Namespace) -> None:
    addresses = Addresses(arguments.first)
    field = field_of(
        _target(arguments.node), _target(arguments.user), addresses, arguments.known, SEED
    )
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(arguments.seconds):
            await ALL_ATTACKS[arguments.attack](field)


def _target(text: str) -> Target:
    ticket = Ticket.parse(text)
    return Target(ticket.public_key, ticket.addresses[0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("attack", choices=list(ALL_ATTACKS))
    parser.add_argument("--node", required=True, help="ticket of the node that is attacked")
    parser.add_argument("--user", required=True, help="ticket of the honest user's node")
    parser.add_argument("--first", required=True, help="first number of all addresses")
    parser.add_argument("--known", type=Path, required=True, help="file of what was put")
    parser.add_argument("--seconds", type=float, required=True)
    return parser


if __name__ == "__main__":
    main()
