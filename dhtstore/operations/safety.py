"""How safe what is held here is, as results of operations tell it."""

from __future__ import annotations

from typing import Literal

import msgspec

from dhtstore.operations.moment import Moment

CareAct = Literal["nothing", "wait", "repair", "drop", "move"]


class HoldersSeen(msgspec.Struct, frozen=True):
    """What estimates of losses are made of: holders were watched for ``watched_s`` in sum, of whom
    ``gone`` did not come back; so a holder is taken to be lost for good ``per_year``.  Not
    ``measured``: less than a year was watched, and what is assumed beside it weighs more."""

    watched_s: float
    gone: int
    per_year: float
    measured: bool


class UnitCare(msgspec.Struct, frozen=True):
    """What this node, which holds the unit, does about its copies: ``act`` as far as is known now,
    and ``why``; from ``due`` on a copy is made again, if those that are silent stay so, None where
    none is missing, or what is waited for has no time; the next ``audit`` of another holder is due
    then."""

    act: CareAct
    why: str
    due: Moment | None
    audit: Moment | None


class WeakObject(msgspec.Struct, frozen=True):
    """Something that is held here, by its weakest unit: ``live`` copies answer, ``copies`` are
    there or will most likely come back, ``replicas`` are wanted.  It is lost for good with
    the probability ``lost_per_year``; ``act``, ``why`` and ``due`` as ``UnitCare`` has them.
    ``name`` is what it was put or pinned as here, "" of what is held for others."""

    root: str
    name: str
    unit: str
    size: int
    live: int
    copies: int
    replicas: int
    lost_per_year: float
    act: CareAct
    why: str
    due: Moment | None


class CopiesStatus(msgspec.Struct, frozen=True):
    """Of ``watched`` units that are held here and of which others hold copies too, ``short`` have
    fewer than wanted: ``short_bytes`` have to be sent for the copies that are missing, and what
    they wait for is in ``waiting`` (in words -> units).  ``weakest`` are the objects most likely to
    be lost, 20 at most.  Repairs have sent ``spent`` bytes today, of ``budget``."""

    watched: int
    short: int
    short_bytes: int
    waiting: dict[str, int]
    weakest: list[WeakObject]
    spent: int
    budget: int
    seen: HoldersSeen
