"""What a node that leaves has to do about a unit that it holds."""

from __future__ import annotations

from dhtstore.config import counted
from dhtstore.replication.health.copies import CopyState, Health
from dhtstore.replication.repair.plan import Act, Choice


def hand_over(health: Health, since_unix_s: float, now_unix_s: float) -> Choice:
    """The copy here counts for nothing, and so does each that was not proved to this node since
    then.  It goes where the others are enough."""
    live = sum(each.proved(since_unix_s, now_unix_s) for each in health.at(CopyState.LIVE))
    told = f"{counted(live, 'other copy is', 'other copies are')} proved, {health.target} wanted"
    missing = health.target - live
    if missing > 0:
        return Choice(Act.REPAIR, told, live, missing)
    return Choice(Act.DROP, told, live)
