"""What is wrong around this node and not a reason to end: a full disk, a clock that is off.

Told in the log when it begins or changes, and by ``status`` for as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from dhtstore.errors import DhtstoreError, DutyFailed, LocalProtocolError
from dhtstore.trace import Tracer, no_trace


class Warnings:
    """One text for each thing that is wrong, named by ``what``, in the order of their beginning."""

    def __init__(self, tracer: Tracer = no_trace) -> None:
        self._tracer = tracer
        self._texts: dict[str, str] = {}
        self._again: dict[str, Callable[[], Awaitable[object]]] = {}

    @property
    def texts(self) -> list[str]:
        return list(self._texts.values())

    def tell(self, what: str, text: str) -> None:
        """From now on this is wrong."""
        if self._texts.get(what) != text:
            self._texts[what] = text
            self._tracer(f"{what}.failed", error=text)

    def over(self, what: str) -> None:
        """It is not, or no more."""
        if (text := self._texts.pop(what, None)) is not None:
            self._tracer(f"{what}.over", error=text)

    def can_be_tried(self, what: str, again: Callable[[], Awaitable[object]]) -> None:
        """``again`` does under ``tolerated`` what was in vain: it may be over before its time."""
        self._again[what] = again

    async def look_again(self) -> None:
        """Try what is wrong once more, for somebody who asks how this node is."""
        for what in tuple(self._texts):
            if again := self._again.get(what):
                await again()

    @contextmanager
    def tolerated(self, what: str, does: str) -> Iterator[None]:
        """Work that this node can do without for a while, and repeats: what the disk or the network
        does to it is told as ``does``, with the reason; a defect is raised."""
        try:
            yield
        except (LocalProtocolError, DutyFailed):
            raise
        except (DhtstoreError, OSError) as error:
            self.tell(what, f"{does}: {error}")
        else:
            self.over(what)
