"""The account of one holder: what it was asked and gave, when, and how it ended.

Whoever does something with a holder says so here in one call; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dhtstore.model.contact import subnet
from dhtstore.node.links.tries import Try
from dhtstore.operations.explaining.causes import Cause, CauseKind
from dhtstore.operations.explaining.report import TRIES_TOLD_MAX, AddressTry, HolderTimeline

Now = Callable[[], float]  # seconds since the command began to fetch


@dataclass(slots=True)
class HolderAccount:
    """``unreached`` is why the holder could not be connected to, the last time that failed; the
    other fields are those of HolderTimeline."""

    node: str
    now: Now
    origin: str = ""  # of the last address that was dialled
    trying: int = 0  # dials that are under way
    connected: bool = False
    unreached: str = ""
    asked: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    lacked: int = 0
    busy: int = 0
    resting: bool = False  # since it said so last
    cause: Cause | None = None
    tries: list[AddressTry] = field(default_factory=list)
    tries_count: int = 0
    found_s: float | None = None
    connected_s: float | None = None
    asked_s: float | None = None
    first_byte_s: float | None = None
    last_byte_s: float | None = None
    ended_s: float | None = None
    _over: bool = False  # it has ended, and the first that went wrong with it is known
    _owing: int = 0  # requests
    _owing_since_s: float = 0.0
    _owed_s: float = 0.0

    # --- what happens -----------------------------------------------------------------------

    def named(self) -> None:
        """A lookup says that it holds something."""
        if self.found_s is None:
            self.found_s = self.now()

    def dialled(self, tries: Sequence[Try]) -> None:
        """These addresses were tried."""
        self.tries_count += len(tries)
        for each in tries:
            self.origin = subnet(each.address)
            if len(self.tries) < TRIES_TOLD_MAX:
                began_s = max(0.0, self.now() - (each.took_s or 0.0))
                tried = AddressTry(str(each.address), began_s, each.took_s or 0.0, each.cause)
                self.tries.append(tried)

    def reached(self, origin: str) -> None:
        """There is a link to it, which leads to ``origin``."""
        self.named()
        self.connected, self.origin, self._over = True, origin, False
        self.connected_s = self.now() if self.connected_s is None else self.connected_s

    def lost_way(self, cause: Cause) -> None:
        """It could not be connected to, or did not let us in: then it was reached, and refused."""
        self.named()
        self.unreached = "" if cause.kind is CauseKind.REFUSED else cause.why
        if not (self.connected and self.cause):  # what went wrong at work says more
            self.end(cause)

    def ask(self, blocks: int) -> None:
        """A request for so many blocks goes out."""
        self.asked += blocks
        self.asked_s = self.now() if self.asked_s is None else self.asked_s
        if not self._owing:
            self._owing_since_s = self.now()
        self._owing += 1

    def heard(self) -> None:
        """Bytes of a block begin to come, or came."""
        self.last_byte_s = self.now()
        self.first_byte_s = self.last_byte_s if self.first_byte_s is None else self.first_byte_s

    def rests(self, cause: Cause) -> None:
        """It is busy, and asked again later."""
        self.busy += 1
        self.cause, self.resting = cause, True

    def gave(self, size_bytes: int) -> None:
        """A whole block came that is right."""
        if self.resting:
            self.cause, self.resting = None, False
        self.delivered += 1
        self.delivered_bytes += size_bytes

    def answered(self) -> None:
        """A request is over, however."""
        self._owing -= 1
        if not self._owing:
            self._owed_s += self.now() - self._owing_since_s

    def end(self, cause: Cause) -> None:
        """It is asked no more, until a lookup names it again.  What is left of its requests fails
        after the first; and who lied is remembered for that."""
        if not self._over and self.kind is not CauseKind.WRONG_BYTES:
            self.cause, self.ended_s, self._over = cause, self.now(), True
            self.resting = False

    # --- what that comes to -----------------------------------------------------------------

    @property
    def hopeless(self) -> bool:
        """Whether it never let us in, or turned us down then."""
        refused = self.kind is CauseKind.REFUSED and not self.resting
        return refused or (bool(self.unreached) and not self.connected)

    @property
    def kind(self) -> CauseKind | None:
        return self.cause.kind if self.cause is not None else None

    @property
    def owing(self) -> bool:
        """Whether something was asked of it and has not come yet."""
        return self._owing > 0

    def timeline(self) -> HolderTimeline:
        """As it stands now."""
        owed_s = self._owed_s + (self.now() - self._owing_since_s if self._owing else 0.0)
        return HolderTimeline(
            node=self.node,
            asked=self.asked,
            delivered=self.delivered,
            delivered_bytes=self.delivered_bytes,
            lacked=self.lacked,
            busy=self.busy,
            found_s=self.found_s,
            connected_s=self.connected_s,
            asked_s=self.asked_s,
            first_byte_s=self.first_byte_s,
            last_byte_s=self.last_byte_s,
            ended_s=self.ended_s,
            rate=self.delivered_bytes / owed_s if owed_s and self.delivered_bytes else None,
            cause=self.cause,
            tries=list(self.tries),
            tries_count=self.tries_count,
        )
