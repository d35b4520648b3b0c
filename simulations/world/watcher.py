"""What an onlooker of the network is told: what is sent, and what becomes of it."""

from __future__ import annotations

from typing import Protocol

from dhtstore.model.contact import Address


class Watcher(Protocol):
    """Sees everything and changes nothing: a run that is watched has the digest of one that is
    not.  Pipes are told apart by themselves: each is one direction of one stream."""

    def datagram(
        self, now_s: float, fate: str, source: Address, target: Address, data: bytes
    ) -> None:
        """One was sent; ``fate`` says what will become of it on the way."""

    def arrived(self, now_s: float, source: Address, target: Address, data: bytes) -> None:
        """One was handed to its receiver."""

    def perished(
        self, now_s: float, why: str, source: Address, target: Address, data: bytes
    ) -> None:
        """One that was to arrive did not."""

    def dialled(self, begun_s: float, now_s: float, source: Address, to: Address, why: str) -> None:
        """A dial ended; ``why`` not, or "" if there is a stream."""

    def opened(
        self, now_s: float, there: object, back: object, source: Address, target: Address
    ) -> None:
        """These pipes are a stream that ``source`` opened."""

    def wrote(self, now_s: float, pipe: object, data: bytes) -> None:
        """More bytes into a pipe; none are its end."""

    def ended(self, now_s: float, pipe: object, why: str) -> None:
        """Nothing more is written into a pipe."""
