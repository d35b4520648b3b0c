"""What all transfers of a node share: its limits, and what goes before what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from math import inf

from dhtstore.node.traffic.gate import Gate, Granted
from dhtstore.params import (
    BLOCK_SIZE_MAX_BYTES,
    SERVED_LATELY_S,
)
from dhtstore.transfer.fair_queue import Payer, Turn
from dhtstore.transfer.priority import Priority


class Traffic:
    """``up`` and ``down`` are the limits of what leaves and what comes."""

    def __init__(self) -> None:
        self.up, self.down = Gate(), Gate()
        self._fetching = 0  # fetches that somebody waits for
        self._served_s = -inf

    def served(self) -> None:
        """Blocks leave for a peer that waits for them."""
        self._served_s = asyncio.get_running_loop().time()

    def begun(self, priority: Priority) -> None:
        """A fetch; to be ``ended``."""
        self._fetching += priority is Priority.FOREGROUND

    def ended(self, priority: Priority) -> None:
        self._fetching -= priority is Priority.FOREGROUND

    def yields(self, priority: Priority) -> bool:
        """Whether work of that kind stands back now for what somebody waits for."""
        if priority is Priority.FOREGROUND:
            return False
        lately = asyncio.get_running_loop().time() - self._served_s < SERVED_LATELY_S
        return bool(self._fetching) or lately


class Pull:
    """What one fetch may ask for now: told of what it asks, on the account of ``payer``.  ``held``
    hears when it begins to wait for its turn within the limit, and when that is over."""

    def __init__(
        self,
        traffic: Traffic,
        priority: Priority,
        payer: Payer,
        held: Callable[[bool], None] = lambda waits: None,
    ) -> None:
        self._traffic, self._priority, self._payer, self._held = traffic, priority, payer, held
        self._allowed_bytes = 0  # that it was let through for and has not asked for yet
        self._joined_bytes = 0  # for which it waits
        self._turn: Turn[Granted] | None = None
        self._wake: Callable[[], None] = _nobody

    def begin(self) -> None:
        """To be ended."""
        self._traffic.begun(self._priority)

    def end(self) -> None:
        self._traffic.ended(self._priority)
        if self._turn is not None:
            self._traffic.down.leave(self._turn)
        self._traffic.down.charge(-self._allowed_bytes)
        self._allowed_bytes = self._joined_bytes = 0

    def tell(self, wake: Callable[[], None]) -> None:
        """What to call when more may be asked for."""
        self._wake = wake

    def most(self, room_bytes: int) -> int:
        """How much may be owed, of ``room_bytes`` that there is memory for."""
        if self._traffic.yields(self._priority):
            room_bytes = min(room_bytes, BLOCK_SIZE_MAX_BYTES)
        if self._traffic.down.limit is None or self._allowed_bytes > 0:
            return room_bytes
        return 0

    def steps(self, room_bytes: int, owed_bytes: int) -> Iterator[int]:
        """How much may be owed: as little more as it was let through for, and where no block is so
        small, more, up to the largest.  Whoever asks for something then stops."""
        room_bytes = self.most(room_bytes)
        if self._traffic.down.limit is None:
            yield room_bytes
            return
        more_bytes = self._allowed_bytes
        while more_bytes > 0:
            yield min(room_bytes, owed_bytes + more_bytes)
            if more_bytes >= BLOCK_SIZE_MAX_BYTES:
                return
            more_bytes = min(more_bytes * 2, BLOCK_SIZE_MAX_BYTES)

    def asked(self, count: int) -> None:
        """So many bytes were asked for, as they are claimed to be."""
        self._traffic.down.pay(self._payer, count - self._allowed_bytes, self._priority)
        self._allowed_bytes = 0

    def came(self, more_bytes: int) -> None:
        """So many more came than they were claimed to be; below 0: fewer."""
        self._traffic.down.pay(self._payer, more_bytes, self._priority)

    def wait(self) -> None:
        """There is more to ask for: in its turn."""
        gate = self._traffic.down
        if gate.limit is not None and not self._allowed_bytes and not self._joined_bytes:
            self._joined_bytes = gate.portion_bytes
            self._held(True)
            self._turn = gate.join(self._granted, self._payer, self._joined_bytes, self._priority)

    def _granted(self) -> None:
        self._allowed_bytes, self._joined_bytes = self._joined_bytes, 0
        self._held(False)
        self._wake()


def _nobody() -> None:
    """Nothing waits."""
