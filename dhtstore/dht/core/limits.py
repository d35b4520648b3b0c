"""How often something may happen, and whose turn it is: a token bucket, refilled by the time that
passes, and what waits for its tokens."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from typing import Final, Generic, TypeVar

T = TypeVar("T")
_ORIGINS_MAX: Final = 256  # that wait; one more is turned away
_EACH_MAX: Final = 4


class TokenBucket:
    """At most ``rate_per_s`` on average, ``burst`` at once."""

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_s")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s, self._burst = rate_per_s, burst
        self._tokens, self._updated_s = burst, 0.0

    def take(self, now: float) -> bool:
        """Take one token at ``now`` (monotonic seconds); False if there is none."""
        refilled = self._tokens + (now - self._updated_s) * self._rate_per_s
        self._tokens, self._updated_s = min(self._burst, refilled), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait_s(self) -> float:
        """Until the next token, in seconds, as of the last time that one was taken."""
        return max(0.0, (1 - self._tokens) / self._rate_per_s)


class PerSecond:
    """How many each origin, its subnet and all of them get: buckets that are filled up once a
    second, so that only who came within it is remembered."""

    __slots__ = ("_all", "_all_max", "_ends_s", "_had", "_origin_max", "_subnet_max")

    def __init__(self, origin_max: int, subnet_max: int, all_max: int) -> None:
        self._origin_max, self._subnet_max, self._all_max = origin_max, subnet_max, all_max
        self._had: dict[object, int] = {}
        self._all, self._ends_s = 0, -math.inf

    def __len__(self) -> int:
        return len(self._had)

    def take(self, origin: object, subnet: object, now: float, *, beyond: bool = False) -> bool:
        """Take one at ``now`` (monotonic seconds), ``beyond`` what all may have; False if there
        is none.  Names of origins and subnets must differ."""
        had = self._had
        if now >= self._ends_s:
            had.clear()
            self._all, self._ends_s = 0, now + 1
        if self._all >= self._all_max and not beyond:
            return False
        of_origin, of_subnet = had.get(origin, 0), had.get(subnet, 0)
        if of_origin >= self._origin_max or of_subnet >= self._subnet_max:
            return False
        had[origin], had[subnet] = of_origin + 1, of_subnet + 1
        self._all += 1
        return True


class OnceAMinute:
    """Whether to tell of somebody: once a minute each, and ``most`` of them."""

    __slots__ = ("_ends_s", "_most", "_told")

    def __init__(self, most: int) -> None:
        self._most, self._ends_s = most, -math.inf
        self._told: set[object] = set()

    def take(self, who: object, now: float) -> bool:
        """``now`` is monotonic seconds."""
        if now >= self._ends_s:
            self._told.clear()
            self._ends_s = now + 60
        if who in self._told or len(self._told) >= self._most:
            return False
        self._told.add(who)
        return True


class Turns(Generic[T]):
    """What waits for the tokens of a bucket: of each origin in turn, so that one that comes with
    much, or with many others, keeps nobody waiting for longer than a round."""

    __slots__ = ("_bucket", "_waiting")

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._bucket = TokenBucket(rate_per_s, burst)
        self._waiting: OrderedDict[bytes, deque[T]] = OrderedDict()

    def add(self, origin: bytes, item: T) -> bool:
        """Whether it waits; False if too much does already."""
        queue = self._waiting.get(origin)
        if queue is None:
            if len(self._waiting) >= _ORIGINS_MAX:
                return False
            queue = self._waiting[origin] = deque()
        if len(queue) >= _EACH_MAX:
            return False
        queue.append(item)
        return True

    def due(self, now: float) -> list[T]:
        """Those that wait no longer at ``now`` (monotonic seconds)."""
        items = []
        while self._waiting and self._bucket.take(now):
            origin, queue = self._waiting.popitem(last=False)
            items.append(queue.popleft())
            if queue:
                self._waiting[origin] = queue  # behind all others
        return items

    def wait_s(self) -> float | None:
        """Until the next is due, in seconds from the last look; None if nothing waits."""
        return self._bucket.wait_s() if self._waiting else None
