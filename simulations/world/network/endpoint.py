"""One datagram socket of the simulated network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dhtstore.model.contact import Address
from dhtstore.tasks import Supervisor
from simulations.world.network.machine import Machine

OnDatagram = Callable[[bytes, Address], None]


class Carrier(Protocol):
    """The network, as far as a socket needs it."""

    def machine(self, address: Address) -> Machine: ...

    def bind(self, endpoint: SimEndpoint, address: Address) -> Address:
        """Where it is bound; raises AddressInUse."""

    def unbind(self, address: Address) -> None: ...

    def send(self, source: Machine, data: bytes, to: Address) -> bool: ...


class SimEndpoint:
    """One datagram socket of the simulated network (``net.ports.Endpoint``).

    It hands on what arrives at once, so nothing waits or is lost here."""

    behind, lost = False, 0

    def __init__(self, network: Carrier, address: Address) -> None:
        self._network = network
        self._address = address
        self._machine: Machine | None = None
        self.on_datagram: OnDatagram = _ignore

    @property
    def local(self) -> Address:
        return self._address

    async def open(self, on_datagram: OnDatagram, duties: Supervisor) -> None:
        """Without a loop that could end: an error of the callback ends the simulation."""
        self._address = self._network.bind(self, self._address)
        self._machine = self._network.machine(self._address)
        self.on_datagram = on_datagram

    def send(self, data: bytes, to: Address) -> bool:
        return self._machine is not None and self._network.send(self._machine, data, to)

    def drop(self) -> None:
        """Stop at once, as a crash does."""
        self._machine = None
        self.on_datagram = _ignore

    async def close(self) -> None:
        if self._machine is not None:
            self._network.unbind(self._address)
        self.drop()


def _ignore(data: bytes, source: Address) -> None:
    """What a closed socket does with a datagram."""
