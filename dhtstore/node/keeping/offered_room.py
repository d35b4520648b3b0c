"""Room for what others offer: they wait for a collection for a while, and it goes on without."""

from __future__ import annotations

import asyncio

from dhtstore.errors import DhtstoreError, PeerRefused
from dhtstore.node.context import Disk
from dhtstore.params import OFFER_ROOM_S
from dhtstore.tasks import Supervisor


class OfferedRoom:
    """One collection at a time, for all that wait: it ends when it has made room, and not when
    they have been refused.  ``tasks`` owns it."""

    def __init__(self, disk: Disk, tasks: Supervisor) -> None:
        self._disk, self._tasks = disk, tasks
        self._making: asyncio.Task[None] | None = None

    async def made(self, size_bytes: int) -> None:
        """Wait until what may go has gone, as far as so much is wanted; it may still not be
        enough.  Raises PeerRefused (``room``) after OFFER_ROOM_S."""
        try:
            async with asyncio.timeout(OFFER_ROOM_S):
                while (others := self._making) is not None and not others.done():
                    await asyncio.wait({others})
                self._making = self._tasks.spawn(self._make(size_bytes), "room-for-offers")
                await asyncio.wait({self._making})
        except TimeoutError:
            raise PeerRefused("room", "room is being made here: offer it again later") from None

    async def _make(self, size_bytes: int) -> None:
        """What goes wrong shows when room is set aside."""
        try:
            await self._disk.make_room(size_bytes)
        except DhtstoreError:
            return
