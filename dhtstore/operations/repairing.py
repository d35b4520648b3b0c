"""What is asked of a node about copies of what it holds: what it does about them, what happened."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from dhtstore.operations.moment import Moment
from dhtstore.operations.operation import Operation


class RepairedUnit(msgspec.Struct, frozen=True, gc=False):
    """A unit and what is done about it: ``act`` is "repair", "wait", "drop", "move" or "nothing",
    ``why`` the reason in words.  ``copies`` were there or will most likely come back, ``replicas``
    are wanted; ``made`` were made now, beside those, for ``sent`` bytes.  ``name`` is what it was
    put or pinned as here, "" of what is held for others."""

    unit: str
    root: str
    act: str
    why: str
    copies: int
    replicas: int
    made: int
    sent: int
    name: str = ""


class RepairResult(msgspec.Struct, frozen=True):
    """Of ``looked`` units that are held here, ``units`` are those about which something is done;
    ``more`` others are left out.  Repairs have sent ``spent`` bytes today, of ``budget``."""

    dry_run: bool
    looked: int
    units: list[RepairedUnit]
    more: int
    spent: int
    budget: int


class RepairCopies(Operation[RepairResult], frozen=True, kw_only=True):
    """Make the copies now that are missing of what is held here; or only tell what is planned."""

    op: ClassVar[str] = "repair"

    dry_run: bool = False


class LeaveResult(msgspec.Struct, frozen=True):
    """Of ``looked`` claims on units here, ``units`` are those for which others do not hold as many
    copies as are wanted, each with the reason; ``more`` others are left out.  ``made`` copies were
    made elsewhere, for ``sent`` bytes.  ``left`` is whether the node ends now; ``cancelled``
    whether it was leaving, and stays as was asked."""

    looked: int
    units: list[RepairedUnit]
    more: int
    made: int
    sent: int
    left: bool
    cancelled: bool


class LeaveNetwork(Operation[LeaveResult], frozen=True, kw_only=True):
    """Bring everything that is held here to others, then end; or stay after all."""

    op: ClassVar[str] = "leave"

    cancel: bool = False


class CopyEvent(msgspec.Struct, frozen=True, gc=False):
    """What happened to a copy: ``kind`` is "lost", "repaired", "moved", "refused", "dropped" or
    "removed"; ``node`` is whom it is about, "" for nobody else; ``size`` is how many bytes moved or
    went; ``why`` tells what there was before it.  ``name`` is what it was put or pinned as here, ""
    of what is held for others."""

    time: Moment
    kind: str
    unit: str
    root: str
    node: str
    size: int
    why: str
    name: str = ""


class ListEvents(Operation[list[CopyEvent]], frozen=True, kw_only=True):
    """The ``last`` events, the oldest first; of the last ``since_s`` seconds, if that is given."""

    op: ClassVar[str] = "events"

    last: int = 100
    since_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
