"""What goes wrong around a node is told while it lasts, and ends nothing."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from dhtstore.errors import LocalProtocolError, NoRoom
from dhtstore.node.duties.lasting import lasting
from dhtstore.node.warnings import Warnings
from dhtstore.params import DUTY_RETRY_FIRST_S, DUTY_RETRY_MAX_S
from simulations.world.loop.virtual_loop import VirtualLoop, run
from simulations.world.ports.clock import SimClock


def test_a_warning_stands_until_it_is_over_and_is_logged_once() -> None:
    """Both times by its text: of several nobody knew which was over."""
    events: list[tuple[str, object]] = []
    warnings = Warnings(lambda event, **fields: events.append((event, fields["error"])))
    for _ in range(3):
        with warnings.tolerated("peers", "peers cannot be saved"):
            raise NoRoom("no room on the disk")
    text = "peers cannot be saved: no room on the disk"
    assert warnings.texts == [text]
    with warnings.tolerated("peers", "peers cannot be saved"):
        pass
    assert warnings.texts == []
    assert events == [("peers.failed", text), ("peers.over", text)]


def test_who_asks_how_a_node_is_has_it_look_again() -> None:
    full, warnings, tries = [True], Warnings(), list[bool]()

    async def save() -> None:
        tries.append(full[0])
        with warnings.tolerated("peers", "peers cannot be saved"):
            if full[0]:
                raise NoRoom("no room on the disk")

    async def ask() -> list[str]:
        await warnings.look_again()
        return warnings.texts

    warnings.can_be_tried("peers", save)
    assert asyncio.run(ask()) == []
    asyncio.run(save())
    warnings.tell("clock", "the clock is off")
    assert len(asyncio.run(ask())) == 2
    full[0] = False
    assert asyncio.run(ask()) == ["the clock is off"]
    assert tries == [True, True, False]


@pytest.mark.parametrize("error", [LocalProtocolError("ours"), ValueError("a bug")])
def test_a_defect_is_not_tolerated(error: Exception) -> None:
    warnings = Warnings()
    with pytest.raises(type(error)), warnings.tolerated("peers", "peers cannot be saved"):
        raise error
    assert warnings.texts == []


def tries(loop: VirtualLoop, warnings: Warnings, *, fails: int, until_s: float) -> list[float]:
    """When a duty was begun that the disk interrupts ``fails`` times."""
    began_s: list[float] = []

    async def work() -> None:
        began_s.append(loop.time())
        if len(began_s) <= fails:
            raise NoRoom("full")
        await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(until_s):
                await lasting("reprovide", work, warnings, SimClock(loop))

    run(main(), loop)
    return began_s


def test_a_duty_begins_again_less_and_less_often() -> None:
    began_s = tries(VirtualLoop(), Warnings(), fails=99, until_s=3600)
    pauses = [after - before for before, after in itertools.pairwise(began_s)]
    assert pauses[:3] == [DUTY_RETRY_FIRST_S, 2 * DUTY_RETRY_FIRST_S, 4 * DUTY_RETRY_FIRST_S]
    assert max(pauses) == DUTY_RETRY_MAX_S


def test_a_duty_that_is_interrupted_is_told() -> None:
    warnings = Warnings()
    tries(VirtualLoop(), warnings, fails=1, until_s=DUTY_RETRY_FIRST_S / 2)
    assert warnings.texts == ["reprovide is interrupted: full"]


def test_a_defect_ends_the_duty() -> None:
    async def work() -> None:
        raise LocalProtocolError("ours")

    loop = VirtualLoop()
    with pytest.raises(LocalProtocolError):
        run(lasting("reprovide", work, Warnings(), SimClock(loop)), loop)
