"""For how long yet silent holders are waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from dhtstore.replication.health.copies import Copy, CopyState, Health

_MOMENT_S = 1e-3  # what is over by reckoning is so by its clock, too


def waits_s(health: Health) -> float | None:
    """Until there are too few copies, if nobody who is silent is heard meanwhile; None where there
    are by now, and where that is never."""
    if health.counted < health.least:
        return None
    passed_s, then = 0.0, health
    while left_s := [each for each in _left_s(then) if 0 < each < inf]:
        passed_s += min(left_s) + _MOMENT_S
        then = _after(health, passed_s)
        if then.counted < then.least:
            return passed_s
    return None


def believed(health: Health) -> Health:
    """The same where all proofs that are yet to come are there."""
    return replace(health, copies=[replace(each, by_block=True) for each in health.copies])


def _left_s(health: Health) -> Iterator[float]:
    """Whenever fewer may count than before."""
    for each in health.at(CopyState.AWAY):
        yield each.left_s(health.periods)
    if health.unheard:
        yield health.periods.grace_first_s - health.unknown_s
    yield health.urgent_left_s


def _after(health: Health, passed_s: float) -> Health:
    copies = [_silent(each, passed_s) for each in health.copies]
    return replace(health, copies=copies, unknown_s=health.unknown_s + passed_s)


def _silent(copy: Copy, passed_s: float) -> Copy:
    """For so much longer, if it is."""
    silent_s = copy.past.silent_s
    if not silent_s:
        return copy
    return replace(copy, past=replace(copy.past, silent_s=silent_s + passed_s))
