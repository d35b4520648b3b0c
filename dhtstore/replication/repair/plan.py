"""What one holder does about one unit now: a value with its reason.  Holders agree without a word.

Where its holders are away so often that a unit could not be fetched for more than a hundredth of
the time, there is one copy more.

Whoever has the lowest rank among the live holders repairs; rank i waits for i turns first, so that
it finds the new copy of a lower one.  A surplus copy goes only where enough holders of a *lower*
rank have proved theirs: the lowest ranks cannot find so many below themselves, so that enough
always stay, whatever each of them knows or does at the same time.  A copy that its holder never
drops, since its own user put it there, counts for all others as one of a lower rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from dhtstore.config import counted, format_duration
from dhtstore.params import RELIED_ON_FACTOR, TRIM_SHARE
from dhtstore.replication.health.copies import Copy, CopyState, Health


class Act(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    WAIT = "wait"  # until ``due_unix_s``, and then it is judged again
    REPAIR = "repair"  # make ``missing`` copies more
    DROP = "drop"  # the copy here is one too many
    MOVE = "move"  # to an emptier node, where the one here goes after that


@dataclass(frozen=True, slots=True)
class Choice:
    """And why, for people.  ``copies`` counts those that are there or will come back."""

    act: Act
    why: str
    copies: int
    missing: int = 0
    due_unix_s: float = 0.0


def watched(health: Health, now_unix_s: float) -> Health:
    """The same with since when there are too few copies, or too many."""
    short = health.counted < health.least or health.spare
    surplus = _enough(health.lasting, health.target)
    return replace(
        health,
        short_since_unix_s=_since(health.short_since_unix_s, now_unix_s, short),
        surplus_since_unix_s=_since(health.surplus_since_unix_s, now_unix_s, surplus),
    )


def _enough(lower: Sequence[Copy], target: int) -> bool:
    """Whether these suffice: there are ``target``, and they are there most of the time.  Of peers
    that are away half of the time more are kept, else each absence of one would be repaired."""
    return suffice([each.past.there_share for each in lower], target)


def suffice(there_shares: Sequence[float], target: int) -> bool:
    """Whether nearer holders that are there for such shares of the time let a farther one go."""
    return len(there_shares) >= target and sum(there_shares) >= TRIM_SHARE * target


def _since(before: float | None, now_unix_s: float, still: bool) -> float | None:
    if not still:
        return None
    return now_unix_s if before is None else min(before, now_unix_s)


def decide(health: Health, now_unix_s: float) -> Choice:
    """``health`` as ``watched`` just now."""
    if health.short_since_unix_s is not None:
        return _of_short(health, health.short_since_unix_s, now_unix_s)
    if health.surplus_since_unix_s is not None:
        return _of_surplus(health, health.surplus_since_unix_s, now_unix_s)
    away = len(health.at(CopyState.AWAY))
    silent = f", {away} of them silent, for less than {_their(away)} grace" if away else ""
    told = f"{_of_target(health)}{silent}{_looked_for(health)}"
    return Choice(Act.NOTHING, told, health.counted)


def _of_short(health: Health, since_unix_s: float, now_unix_s: float) -> Choice:
    copies, rank = health.counted, health.rank
    missing = max(health.target - copies, int(health.spare))
    told = f"{_of_target(health)}{_looked_for(health)}{_lost(health)}{_seldom(health)}"
    due_unix_s = since_unix_s + rank * health.periods.turn_s
    if now_unix_s >= due_unix_s:
        return Choice(Act.REPAIR, told, copies, missing)
    wait = _wait(due_unix_s - now_unix_s)
    lower = f"{counted(rank, 'holder')} nearer to it would repair first"
    return Choice(Act.WAIT, f"{told}; {lower}, this one in {wait}", copies, missing, due_unix_s)


def _of_target(health: Health) -> str:
    """Of copies that were found."""
    found = counted(health.counted - _unmet(health), "copy", "copies")
    return f"{found} of {health.target}"


def _looked_for(health: Health) -> str:
    unmet = _unmet(health)
    return f", {unmet} more looked for" if unmet else ""


def _unmet(health: Health) -> int:
    """Copies that count and of whose holders nothing is known."""
    return min(health.unheard, health.counted - 1 - len(health.live))


def _lost(health: Health) -> str:
    lost, lack = len(health.at(CopyState.LOST)), len(health.at(CopyState.LACKS))
    parts = [f"{lost} silent beyond {_their(lost)} grace"] * bool(lost)
    parts += [f"{lack} not whole"] * bool(lack)
    unproved = len(health.at(CopyState.LIVE)) - len(health.live)
    parts += [f"{unproved} yet to prove {_their(unproved)} copy"] * bool(unproved)
    away = len(health.at(CopyState.AWAY))
    one = "the silent one" if away == 1 else f"1 of {away} silent"
    does = "proves a copy" if health.at(CopyState.LIVE) else "answers"
    parts += [f"{one} not waited for, as nobody else {does}"] * (health.urgent and away > 0)
    return f" ({', '.join(parts)})" if parts else ""


def _their(count: int) -> str:
    return "its" if count == 1 else "their"


def _wait(wait_s: float) -> str:
    """What is yet to come is not over in no time."""
    return format_duration(max(1.0, wait_s))


def _seldom(health: Health) -> str:
    return f", of which none is there {100 * health.none_there:.0f} % of the time" * health.spare


def _of_surplus(health: Health, since_unix_s: float, now_unix_s: float) -> Choice:
    copies, target = health.counted, health.target
    lasting = counted(len(health.lasting), "holder")
    told = f"{lasting} nearer to it, or whose copy stays, answer, {target} are wanted"
    if health.stays:
        return Choice(Act.NOTHING, f"{told}; the copy here stays: {health.stays}", copies)
    due_unix_s = since_unix_s + health.periods.trim_after_s
    if now_unix_s < due_unix_s:
        wait = _wait(due_unix_s - now_unix_s)
        return Choice(Act.WAIT, f"{told}; judged again in {wait}", copies, 0, due_unix_s)
    return Choice(Act.DROP, told, copies)


def at_once(health: Health) -> Choice:
    """What is to be done where somebody asks for it now: a copy whose holder does not answer is
    not waited for."""
    live = 1 + len(health.live)
    answer = "answers" if live == 1 else "answer"
    told = f"{counted(live, 'copy', 'copies')} of {health.target} {answer}"
    missing = health.target - live
    if missing > 0:
        return Choice(Act.REPAIR, told, live, missing)
    return Choice(Act.NOTHING, told, live)


def may_drop(health: Health, now_unix_s: float, since_unix_s: float) -> bool:
    """Whether the copy here may go: enough holders of a lower rank, or that never drop theirs, have
    passed this node's own audit since then, and lately.  While others may still rely on a word of
    this node that its own copy stays, it does; and what it was proved by then may have gone
    since."""
    lately_s = health.periods.proved_lately_s
    if health.stays or now_unix_s - health.freed_unix_s < RELIED_ON_FACTOR * lately_s:
        return False
    earliest_unix_s = max(since_unix_s, now_unix_s - lately_s)
    proved = [each for each in health.lasting if each.proved(earliest_unix_s, now_unix_s)]
    return _enough(proved, health.target)
