"""What must hold in every world, apart from any workload.

A checker looks at the world from outside and names what is wrong; ``blind_to`` says what it does
not check.  What users were promised is in the ``PromiseJournal``.
"""

from __future__ import annotations

from collections.abc import Iterable

from simulations.checks.answers import AnswersAreTrue
from simulations.checks.checker import Checker, Violation
from simulations.checks.disks import ClaimsHaveBlocks, DisksOpen, RoomIsCounted
from simulations.checks.objects import (
    CopiesReached,
    NothingLost,
    NoWrongBytes,
    PutsPinned,
    ReceiptsHold,
)
from simulations.checks.progress import NoForgottenTasks, OperationsEnd
from simulations.checks.records import (
    ProvidersReachable,
    RecordsExpire,
    RecordsGenuine,
    RecordsPlaced,
)
from simulations.checks.tables import DeadContactsGo, SoundTables
from simulations.checks.traffic import ServedOnce
from simulations.checks.world_view import WorldView

CHECKERS: tuple[Checker, ...] = (
    NothingLost(),
    ReceiptsHold(),
    PutsPinned(),
    CopiesReached(),
    NoWrongBytes(),
    ClaimsHaveBlocks(),
    DisksOpen(),
    RoomIsCounted(),
    SoundTables(),
    DeadContactsGo(),
    AnswersAreTrue(),
    RecordsExpire(),
    RecordsPlaced(),
    RecordsGenuine(),
    ProvidersReachable(),
    ServedOnce(),
    NoForgottenTasks(),
    OperationsEnd(),
)


def check_all(world: WorldView, checkers: Iterable[Checker] = CHECKERS) -> list[Violation]:
    """Everything that is wrong with the world now."""
    return [
        Violation(world.now_s, checker.name, what)
        for checker in checkers
        for what in checker.check(world)
    ]
