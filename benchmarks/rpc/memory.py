"""Datagrams within one process and event loop, without a socket: what the code itself costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dhtstore.model.contact import Address
from dhtstore.tasks import Supervisor

Deliver = Callable[[bytes, Address], object]


class Wires:
    """Who listens where; a datagram arrives in the next turn of the loop."""

    def __init__(self) -> None:
        self._listening: dict[tuple[str, int], Deliver] = {}

    def listen(self, at: Address, deliver: Deliver) -> None:
        self._listening[at] = deliver

    def send(self, data: bytes, source: Address, to: tuple[str, int]) -> bool:
        deliver = self._listening.get(to)
        if deliver is None:
            return False
        asyncio.get_running_loop().call_soon(deliver, data, source)
        return True


class MemoryEndpoint:
    """``net.ports.Endpoint`` on ``Wires``, where nothing waits or is lost."""

    behind, lost = False, 0

    def __init__(self, wires: Wires, local: Address) -> None:
        self._wires, self._local = wires, local

    @property
    def local(self) -> Address:
        return self._local

    async def open(self, on_datagram: Callable[[bytes, Address], None], duties: Supervisor) -> None:
        """Nothing is done between datagrams, so there is nothing to supervise."""
        self._wires.listen(self._local, on_datagram)

    def send(self, data: bytes, to: Address) -> bool:
        return self._wires.send(data, self._local, to)

    async def close(self) -> None:
        self._wires.listen(self._local, lambda data, source: None)


class MemoryTransport:
    """What the stock protocol sends through."""

    def __init__(self, wires: Wires, local: Address) -> None:
        self._wires, self._local = wires, local

    def sendto(self, data: bytes, to: tuple[str, int]) -> None:
        self._wires.send(data, self._local, to)

    def close(self) -> None:
        """Nothing is held open."""
