"""Which providers live, as far as this node knows: one entry each, whatever number of keys.

Young nodes go sooner than old ones (sessions are Weibull distributed with a shape below 1), so
the longer a provider is known to live the less often it is asked; who is silent is named no more,
asked less and less often, and named again once it is heard.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Final

import msgspec

from dhtstore.params import (
    PROVIDER_PONG_PAUSES,
    PROVIDER_PROBE_AT_HOUR_S,
    PROVIDER_PROBE_FIRST_S,
    PROVIDER_PROBE_MAX_S,
    PROVIDER_PROBE_MIN_S,
    PROVIDER_PROBE_SILENT_FACTOR,
    PROVIDER_PROBE_SILENT_MAX_S,
    PROVIDER_PROBES_IN_VAIN_MAX,
)

_HOUR_S: Final = 3600.0
_STALE_MAX: Final = 64  # entries of a queue that lead to nobody, before it is made anew
_GROWN_MAX: Final = 16


class Life(msgspec.Struct, gc=False):
    """One provider.  ``proved_s`` is when it last proved that it lives and ``since_s`` since when
    it does without a break, both in monotonic seconds; ``ponged`` whether it ever answered a ping
    of ours, and ``ponged_s`` when it did last.  ``failures`` are pings that it has not answered
    since, of ``places`` where it may be; ``queued_s`` is when to look at it, which is not after
    ``due_s``, when to ask."""

    due_s: float
    queued_s: float = math.inf
    proved_s: float = -math.inf
    since_s: float = -math.inf
    ponged_s: float = -math.inf
    records: int = 1
    failures: int = 0
    places: int = 1
    ponged: bool = False

    @property
    def silent(self) -> bool:
        """Whether it answered us once and answers nowhere any more.  Who never did is not told
        from one that only its own peers reach."""
        return self.ponged and self.failures >= self.places


class Liveness:
    """Of the signers of records that are kept.  ``now`` is monotonic seconds; ``spread``, at
    random around 1, keeps nodes that heard of a provider together from asking it together.

    Those that answered once are asked beside those that never did: these, whose keys are free,
    cannot keep them waiting."""

    __slots__ = ("_lives", "_queues")

    def __init__(self) -> None:
        self._lives: dict[bytes, Life] = {}
        self._queues: tuple[list[tuple[float, bytes]], ...] = ([], [])  # of who ponged the second

    def __len__(self) -> int:
        return len(self._lives)

    def records(self, signer: bytes) -> int:
        """How many of its records are kept."""
        life = self._lives.get(signer)
        return life.records if life is not None else 0

    def get(self, signer: bytes) -> Life | None:
        return self._lives.get(signer)

    def silent(self, signer: bytes) -> bool:
        """Whether it answered once and does no more."""
        life = self._lives.get(signer)
        return life is not None and life.silent

    def proved_ago_s(self, signer: bytes, now: float) -> float | None:
        """How long ago it last proved that it lives; None if it never did."""
        life = self._lives.get(signer)
        if life is None or life.proved_s == -math.inf:
            return None
        return max(0.0, now - life.proved_s)

    # --- what is kept ----------------------------------------------------------------------

    def enter(self, signer: bytes, now: float) -> None:
        """One more of its records is kept."""
        life = self._lives.get(signer)
        if life is not None:
            life.records += 1
            return
        life = self._lives[signer] = Life(now + PROVIDER_PROBE_FIRST_S)
        self._queue(signer, life)

    def leave(self, signer: bytes) -> None:
        """One of its records is kept no more."""
        life = self._lives[signer]
        life.records -= 1
        if not life.records:
            del self._lives[signer]
            for ponged, queue in enumerate(self._queues):
                if len(queue) > 2 * len(self._lives) + _STALE_MAX:
                    queue[:] = [q for q in queue if self._stands(q, bool(ponged))]
                    heapq.heapify(queue)

    # --- what is learned -------------------------------------------------------------------

    def proved(self, signer: bytes, at_s: float, spread: float = 1.0, *, pong: bool) -> None:
        """It proved at ``at_s`` that it lives; by a ``pong``, where it can be reached."""
        life = self._lives.get(signer)
        if life is None:
            return
        if pong:
            life.ponged_s = max(at_s, life.ponged_s)
        at_s = max(at_s, life.proved_s)
        broken = bool(life.failures) or life.since_s == -math.inf
        if broken:
            life.since_s = at_s
        life.proved_s, life.failures = at_s, 0
        if pong:
            self._believe(life)
            life.due_s = at_s + spread * _pause_s(at_s - life.since_s)
        elif broken:
            life.due_s = min(life.due_s, at_s + spread * PROVIDER_PROBE_FIRST_S)
        self._queue(signer, life)

    def asked_us(self, signer: bytes, now: float) -> None:
        """A request came from where it is known to answer: nearly as good as a pong.  Of two that
        keep records of each other only one must ask."""
        life = self._lives.get(signer)
        if life is not None and life.ponged and not life.failures:
            pause_s = _pause_s(now - life.since_s)
            life.proved_s = now
            until_s = min(now + pause_s, life.ponged_s + PROVIDER_PONG_PAUSES * pause_s)
            life.due_s = max(life.due_s, until_s)

    def failed(self, signer: bytes, now: float, places: int, spread: float = 1.0) -> None:
        """A ping to one of the ``places`` where it may be was not answered."""
        life = self._lives.get(signer)
        if life is None:
            return
        life.failures, life.places = life.failures + 1, max(1, places)
        beyond = min(life.failures - life.places, _GROWN_MAX)
        pause_s = PROVIDER_PROBE_FIRST_S
        if beyond >= 0:
            grown_s = PROVIDER_PROBE_MIN_S * PROVIDER_PROBE_SILENT_FACTOR**beyond
            pause_s = min(PROVIDER_PROBE_SILENT_MAX_S, grown_s)
        in_vain = not life.ponged and beyond >= PROVIDER_PROBES_IN_VAIN_MAX
        life.due_s = math.inf if in_vain else now + spread * pause_s
        self._queue(signer, life)

    def postpone(self, signer: bytes, due_s: float) -> None:
        """Nothing was learned: ask again then."""
        life = self._lives.get(signer)
        if life is not None:
            life.due_s = due_s
            self._queue(signer, life)

    def remembered(self, signer: bytes, proved_s: float, due_s: float, *, ponged: bool) -> None:
        """What an earlier run of this node knew; it is asked anew at ``due_s``."""
        life = self._lives.get(signer)
        if life is not None and proved_s > life.proved_s:
            life.proved_s = life.since_s = proved_s
            if ponged:
                self._believe(life)
            life.due_s = due_s
            self._queue(signer, life)

    # --- whom to ask -----------------------------------------------------------------------

    def due(self, now: float, at_most: int) -> list[bytes]:
        """Whom to ask now: of ``at_most`` a quarter that never answered, those that wait longest
        first.  What comes of each is to be told."""
        strangers = self._of_queue(0, now, max(1, at_most // 4))
        return strangers + self._of_queue(1, now, at_most - len(strangers))

    def next_s(self) -> float:
        """When to look again; never with nobody to look at."""
        return min([queue[0][0] for queue in self._queues if queue], default=math.inf)

    def _of_queue(self, ponged: int, now: float, at_most: int) -> list[bytes]:
        return list(self._taken(self._queues[ponged], now, at_most, bool(ponged)))

    def _taken(
        self, queue: list[tuple[float, bytes]], now: float, at_most: int, ponged: bool
    ) -> Iterator[bytes]:
        while queue and queue[0][0] <= now and at_most > 0:
            entry = heapq.heappop(queue)
            if not self._stands(entry, ponged):
                continue
            life = self._lives[entry[1]]
            life.queued_s = math.inf
            if life.due_s <= now:
                at_most -= 1
                yield entry[1]
            else:
                self._queue(entry[1], life)

    def _believe(self, life: Life) -> None:
        """It goes over to those that answered once."""
        if not life.ponged:
            life.ponged, life.queued_s = True, math.inf

    def _queue(self, signer: bytes, life: Life) -> None:
        """It is looked at when it is due, or before."""
        if life.due_s < life.queued_s:
            life.queued_s = life.due_s
            heapq.heappush(self._queues[life.ponged], (life.due_s, signer))

    def _stands(self, entry: tuple[float, bytes], ponged: bool) -> bool:
        life = self._lives.get(entry[1])
        return life is not None and life.queued_s == entry[0] and life.ponged is ponged


def _pause_s(age_s: float) -> float:
    """Until one that lives for ``age_s`` is asked again."""
    pause_s = PROVIDER_PROBE_AT_HOUR_S * math.sqrt(max(0.0, age_s) / _HOUR_S)
    return min(PROVIDER_PROBE_MAX_S, max(PROVIDER_PROBE_MIN_S, pause_s))
