"""How many requests may be out at once: fewer where many datagrams get lost on our own way.

Loss-based control as of Google Congestion Control (draft-ietf-rmcat-gcc-02, section 6): below 2 %
lost one may send more, up to 10 % as much, above it less by half the share that was lost.  It
bears what a bad radio link loses by chance, which halving at each loss (RFC 5681) does not.  Only
those who answered are counted, at once or when they were asked again: who never does is dead, and
no congestion.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from dhtstore.params import ALPHA, RPC_IN_FLIGHT_MAX

LIMIT_MIN: Final = 2 * ALPHA  # a lookup goes on with so many once somebody answered
ANSWERS_A_JUDGEMENT: Final = 64  # at 6 % lost, by chance a fifth once in 10,000
_LOST_FEW: Final = 1 - (1 - 0.02) ** 2  # a request or its answer
_LOST_MANY: Final = 1 - (1 - 0.10) ** 2
_MORE: Final = 1.05  # each time, and one request

C = TypeVar("C")


class RequestWindow(Generic[C]):
    """Requests that are out, and those that wait until fewer are.  One that was not answered in
    time is out no more: it arrived, or was lost."""

    __slots__ = (
        "_answers",
        "_busiest",
        "_lost",
        "_out",
        "_start",
        "_starting",
        "_waiting",
        "limit",
    )

    def __init__(self, start: Callable[[C], None]) -> None:
        """``start`` sends what waited."""
        self._start, self._starting = start, False
        self.limit = float(RPC_IN_FLIGHT_MAX)
        self._out: dict[C, None] = {}
        self._waiting: deque[C] = deque()
        self._answers = self._lost = self._busiest = 0

    @property
    def out(self) -> int:
        """How many are out."""
        return len(self._out)

    @property
    def waiting(self) -> int:
        """How many are not sent yet."""
        return len(self._waiting)

    def begin(self, request: C) -> bool:
        """Whether ``request`` may be sent now; if not it waits."""
        if self._waiting or len(self._out) >= self.limit:
            self._waiting.append(request)
            return False
        self._out[request] = None
        return True

    def end(self, request: C) -> None:
        """It is out no more, for whatever reason; others may be sent."""
        if request not in self._out:
            return
        self._busiest = max(self._busiest, len(self._out))
        del self._out[request]
        if self._waiting and not self._starting:
            self._send_waiting()

    def _send_waiting(self) -> None:
        """What is sent may end at once, and must not send others from within."""
        self._starting = True
        try:
            while self._waiting and len(self._out) < self.limit:
                request = self._waiting.popleft()
                self._out[request] = None
                self._start(request)
        finally:
            self._starting = False

    def forget(self, request: C) -> bool:
        """What waited need not be sent any more; False if it does not wait."""
        if request not in self._waiting:
            return False
        self._waiting.remove(request)
        return True

    def all_waiting(self) -> list[C]:
        """What waits; it waits no more."""
        left = list(self._waiting)
        self._waiting.clear()
        return left

    def answered(self, *, lost: bool) -> None:
        """Somebody answered: ``lost`` what was sent to it first, or its answer."""
        self._answers += 1
        self._lost += lost
        if self._answers >= ANSWERS_A_JUDGEMENT:
            self._judge(self._lost / self._answers)

    def was_late(self) -> None:
        """What seemed lost was not."""
        self._lost = max(0, self._lost - 1)

    def _judge(self, lost_share: float) -> None:
        """What is not used proves nothing (RFC 7661): less is less than what was out."""
        if lost_share > _LOST_MANY:
            used = min(self.limit, self._busiest)
            self.limit = max(float(LIMIT_MIN), used * (1 - lost_share / 2))
        elif lost_share < _LOST_FEW:
            self.limit = min(float(RPC_IN_FLIGHT_MAX), (self.limit + 1) * _MORE)
        self._answers = self._lost = self._busiest = 0
