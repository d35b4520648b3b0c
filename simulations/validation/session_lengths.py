"""Sessions and absences as schedules make them, beside the parameters of each churn preset.

Observed as in the field, from outside: a schedule is watched for some weeks.  Of the sessions
(and absences) that begin in the first half each is seen for at least the second half's length,
so nothing is cut off unnoticed; means are of durations limited to that horizon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, stdev

from simulations.events.churn import PRESETS, ChurnModel, Schedule
from simulations.events.sessions import Durations
from simulations.validation.findings import Finding
from simulations.validation.theory import residual_survival, stays_another

_MINUTE_S, _HOUR_S = 60.0, 3600.0
WATCHED_S = 30 * 24 * _HOUR_S
HORIZON_S = WATCHED_S / 2
UP_BEFORE_MIN = (0, 10, 30, 60, 120, 240, 480, 960)
_QUANTILES = (0.25, 0.5, 0.75, 0.9)
_RESIDUAL_H = (1, 4, 12, 24)


@dataclass(slots=True)
class Observed:
    """Durations in seconds, infinite where the end was not seen: ``sessions`` and ``absences``
    that began in the first half, ``residual`` of nodes that were up at the start."""

    nodes: int
    up_at_start: int
    up_at_end: int
    sessions: list[float] = field(default_factory=list)
    absences: list[float] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)


def watch(model: ChurnModel, nodes: int, seed: int) -> Observed:
    """Watch one schedule for WATCHED_S."""
    schedule = Schedule(model, nodes, seed)
    up, since_s = list(schedule.up_at_start), [-math.inf] * nodes
    found = Observed(nodes, sum(up), 0)
    for change in schedule.changes(WATCHED_S):
        _note(found, up[change.node], since_s[change.node], change.at_s)
        up[change.node], since_s[change.node] = change.up, change.at_s
    for node in range(nodes):
        _note(found, up[node], since_s[node], math.inf)
    found.up_at_end = sum(up)
    return found


def _note(found: Observed, up: bool, since_s: float, until_s: float) -> None:
    """A session or absence; it was under way at the start if it is without a beginning."""
    if since_s == -math.inf and up:
        found.residual.append(until_s)
    elif 0 <= since_s < HORIZON_S:
        (found.sessions if up else found.absences).append(until_s - since_s)


def stays_another_hour(sessions: Sequence[float]) -> list[tuple[int, int, int]]:
    """(minutes up, of how many sessions, how many of these lasted another hour)."""
    found = []
    for minutes in UP_BEFORE_MIN:
        reached = sum(s > _MINUTE_S * minutes for s in sessions)
        stayed = sum(s > _MINUTE_S * (minutes + 60) for s in sessions)
        found.append((minutes, reached, stayed))
    return found


# --- beside their parameters -----------------------------------------------------------------


def validate(nodes: int, seed: int) -> list[Finding]:
    """Every preset."""
    return [
        finding
        for name, model in sorted(PRESETS.items())
        for finding in findings(name, model, watch(model, nodes, seed))
    ]


def findings(name: str, model: ChurnModel, seen: Observed) -> list[Finding]:
    """One preset's figures beside the parameters it was made from."""
    return [
        *_durations(f"{name} session", model.session, seen.sessions),
        *_durations(f"{name} absence", model.absence, seen.absences),
        *_residual(name, model.session, seen),
        *_rising(name, model.session, seen.sessions),
        _up(f"{name} up at the start", seen.up_at_start, seen.nodes, model),
        _up(f"{name} up at the end", seen.up_at_end, seen.nodes, model),
    ]


def _up(name: str, up: int, nodes: int, model: ChurnModel) -> Finding:
    return Finding.share(name, up, nodes, model.availability, "mean session / mean cycle")


def _durations(what: str, parameters: Durations, seen: Sequence[float]) -> list[Finding]:
    limited = [min(duration, HORIZON_S) / _MINUTE_S for duration in seen]
    expected = parameters.mean_s / _MINUTE_S * (1 - residual_survival(parameters, HORIZON_S))
    room = 4 * stdev(limited) / math.sqrt(len(limited)) / expected
    name = f"{what}, mean to {HORIZON_S / _HOUR_S:.0f} h, min"
    found = [Finding.within(name, fmean(limited), expected, room, "parameters")]
    ordered = sorted(limited)
    for share in _QUANTILES:
        off = 4 * math.sqrt(share * (1 - share) / len(ordered))  # of the share below a quantile
        low, expected, high = (
            quantile_s(parameters, one) / _MINUTE_S
            for one in (max(share - off, 0.001), share, min(share + off, 0.999))
        )
        name, measured = f"{what}, {share:.0%} quantile, min", ordered[int(share * len(ordered))]
        found.append(Finding(name, measured, expected, "parameters", low, high))
    return found


def quantile_s(durations: Durations, share: float) -> float:
    """The duration that ``share`` of all do not exceed, by bisection."""
    low_s, high_s = 0.0, 1.0
    while durations.survival(high_s) > 1 - share:
        high_s *= 2
    while high_s - low_s > 1e-4 * high_s:
        middle_s = (low_s + high_s) / 2
        above = durations.survival(middle_s) > 1 - share
        low_s, high_s = (middle_s, high_s) if above else (low_s, middle_s)
    return high_s


def _residual(name: str, session: Durations, seen: Observed) -> list[Finding]:
    return [
        Finding.share(
            f"{name} found up, still up after {hours} h",
            sum(left_s > hours * _HOUR_S for left_s in seen.residual),
            len(seen.residual),
            residual_survival(session, hours * _HOUR_S),
            "integral of S / mean",
        )
        for hours in _RESIDUAL_H
    ]


def _rising(name: str, session: Durations, sessions: Sequence[float]) -> list[Finding]:
    """Kademlia 2002, figure 3: the longer a node has been up, the likelier it stays."""
    seen = stays_another_hour(sessions)
    found = [
        Finding.share(
            f"{name} up {minutes} min, stays another 60", stayed, reached,
            stays_another(session, minutes * _MINUTE_S, _HOUR_S),
            "exp((x/l)^k - ((x+60)/l)^k)",
        )
        for minutes, reached, stayed in seen
    ]  # fmt: skip
    shares = [finding.measured for finding in found]
    least = min(later - earlier for earlier, later in pairwise(shares))
    rises = Finding.at_least(f"{name} least rise from one to the next", least, 0, "Kademlia fig. 3")
    return [*found, rises]
