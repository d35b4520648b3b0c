"""A put tells of each candidate when it was asked, what it answered and why it holds no copy."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from dhtstore.cli.explaining.timelines import WIDTH, lines_of_put
from dhtstore.errors import DhtstoreError, QuorumNotReached, TimedOut
from dhtstore.node.control import OperationRun, _put_result, interrupted, perform
from dhtstore.node.node import Node
from dhtstore.node.put_outcome import PutOutcome
from dhtstore.operations import messages
from dhtstore.operations.content import HolderReport, Put, PutResult
from dhtstore.operations.explaining.causes import CauseKind
from dhtstore.params import KIB, MIB
from simulations.world.ports.clock import SimClock
from tests.simulation.harness import Lab, address_of, put_with, small, tell

CONTENT: Final = random.Random(12).randbytes(3 * MIB)


@dataclass(frozen=True)
class Case:
    kind: CauseKind
    stage: str
    code: str = ""
    fault: Callable[[Lab, Node], object] = lambda lab, node: None
    capacity_bytes: int = 64 * MIB
    skew_s: float = 0.0


def behind_a_wall(lab: Lab, node: Node) -> None:
    """Datagrams come through, connections do not."""
    lab.network.machine(address_of(node)).hide()


def listens_no_more(lab: Lab, node: Node) -> None:
    node.ports.streams._listeners.pop(node.addresses()[0])  # type: ignore[attr-defined]


def another_key(lab: Lab, node: Node) -> None:
    node.ports.streams._key = lab.nodes[0].public_key  # type: ignore[attr-defined]


CASES: Final = {
    "no room": Case(CauseKind.REFUSED, "refused", "newcomer", capacity_bytes=64 * KIB),
    "off": Case(CauseKind.DIAL_TIMEOUT, "unreached", fault=behind_a_wall),
    "closed": Case(CauseKind.DIAL_REFUSED, "unreached", fault=listens_no_more),
    "another key": Case(CauseKind.WRONG_NODE, "unreached", fault=another_key),
    "clock": Case(CauseKind.CLOCK_OFF, "failed", skew_s=3 * 86_400.0),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_why_a_candidate_holds_no_copy_is_told_by_its_cause(case: Case) -> None:
    async def story(lab: Lab) -> None:
        putting = await lab.add()
        clock = SimClock(lab.loop, case.skew_s)
        other = await lab.add(small(case.capacity_bytes), seeds=None, clock=clock)
        case.fault(lab, other)
        for link in putting.links.open_links():
            await link.close()
        with pytest.raises(QuorumNotReached) as failed:
            await put_with(putting, CONTENT, replicas=2)
        result = told(failed.value.partial)
        [report] = [each for each in result.reports if each.cause]
        assert report.cause is not None
        assert (report.cause.kind, report.stage) == (case.kind, case.stage)
        assert case.code in report.code
        assert report.lookup == 1
        assert report.ended_s is not None
        check_lines(result)

    tell(story)


def test_a_put_that_works_has_a_timeline_of_each_copy_and_says_where_the_time_went() -> None:
    async def story(lab: Lab) -> None:
        await lab.grow(3)
        result = told(await put_with(lab.nodes[1], CONTENT, replicas=3))
        here, *others = result.reports
        assert here.lookup == 0
        for each in others:
            assert (each.stage, each.cause) == ("held", None)
            check_order(each)
            assert each.rate
        assert set(result.phases) >= {"looking up", "offering", "sending", "announcing"}
        check_lines(result)

    tell(story)


@pytest.mark.parametrize("how", ["deadline", "interrupted"])
def test_a_put_that_is_cut_short_tells_what_became_of_whom(tmp_path: Path, how: str) -> None:
    """As a get does: two holders had set room aside when it ended."""
    source = tmp_path / "file"
    source.write_bytes(CONTENT)

    async def story(lab: Lab) -> None:
        await lab.grow(4)
        putting = lab.nodes[1]
        lab.network.machine(address_of(putting)).up_bytes_per_s = MIB
        descriptor = os.open(source, os.O_RDONLY)
        timeout_s = 5.0 if how == "deadline" else None
        run = OperationRun(putting, [descriptor], lambda progress: None, timeout_s)
        asked = Put(kind="file", name="b", replicas=3, pipeline=False)
        work = asyncio.ensure_future(perform(asked, run))
        error: DhtstoreError
        if how == "deadline":
            with pytest.raises(TimedOut) as failed:
                await work
            error = failed.value
        else:
            await asyncio.sleep(5.0)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            error = interrupted(run)
        sent = messages.decode_answer(messages.encode_failure(error)[messages.LENGTH_BYTES :])
        assert isinstance(sent, messages.LocalFailure)
        here, *others = vars(messages.error_of(sent))["reports"]
        assert here.stage == "held"
        assert len([each for each in others if each.stage == "reserved" and each.answered_s]) == 2
        assert all(len(line) <= WIDTH for line in lines_of_put([here, *others]))

    tell(story)


def check_order(report: HolderReport) -> None:
    times = [report.offered_s, report.answered_s, report.first_byte_s, report.ended_s]
    assert None not in times
    assert times == sorted(times, key=lambda at: at or 0.0)


def told(outcome: PutOutcome) -> PutResult:
    return _put_result(Put(kind="stream", name="b"), outcome)


def check_lines(result: PutResult) -> None:
    lines = list(lines_of_put(result.reports, result.untold, result.phases))
    assert lines[0].startswith("unit ")
    assert lines[-1].startswith(("time: ", "  "))
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines), lines
