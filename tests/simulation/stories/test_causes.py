"""Each cause of the closed list is brought about, and the get says so: cause -> fault -> verdict,
exit code, JSON."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest

from dhtstore.cli.exits import exit_code
from dhtstore.cli.explaining.timelines import WIDTH, lines_of
from dhtstore.cli.terminal.as_json import failure_line
from dhtstore.errors import DhtstoreError, NoRoom, PeerRefused, TooSlow
from dhtstore.model.cid import Cid
from dhtstore.model.identity import format_node
from dhtstore.node.control import OperationRun, fetching, interrupted
from dhtstore.node.flows.read import read
from dhtstore.node.links import own_requests
from dhtstore.node.links.link import Link
from dhtstore.node.node import Node
from dhtstore.operations.explaining.causes import CAUSES, TOLD_MAX_CHARS, CauseKind
from dhtstore.operations.explaining.report import FetchReport
from dhtstore.operations.operation import unwatched
from dhtstore.params import KIB, MIB
from dhtstore.wire.frames import Blocks, GetBlocks, Released
from simulations.events.users import put_bytes
from simulations.world.ports.clock import SimClock
from tests.simulation.harness import CLIENT, Lab, tell

CONTENT: Final = random.Random(11).randbytes(24 * MIB)
HOSTILE: Final = "not\x1b[31m now\n" * 100
Sink = Callable[[bytes | memoryview], Awaitable[None]]


@dataclass
class Scene:
    """Content that one node holds, and a reader that knows it."""

    lab: Lab
    holder: Node
    reader: Node
    root: Cid
    sink: Sink
    patch: pytest.MonkeyPatch
    timeout_s: float | None = None
    read_first: Cid | None = None
    taken_bytes: int = 0

    async def take(self, piece: bytes | memoryview) -> None:
        self.taken_bytes += len(piece)
        await self.sink(piece)


async def take(piece: bytes | memoryview) -> None:
    """Bytes that nobody needs."""


async def failure_in(scene: Scene) -> DhtstoreError:
    """What a read fails with, as the operations of a node make it."""
    run = OperationRun(scene.reader, [], unwatched, scene.timeout_s)
    try:
        async with fetching(run, scene.root) as session:
            if scene.read_first is not None:
                await read(session, scene.read_first, (), take)
            await read(session, scene.root, (), scene.take, timeout_s=scene.timeout_s)
    except DhtstoreError as error:
        return error
    raise AssertionError("it did not fail")


def at_first_byte(scene: Scene, fault: Callable[[], object]) -> None:
    """``fault`` once something has come."""

    async def sink(piece: bytes | memoryview) -> None:
        if scene.taken_bytes == len(piece):
            fault()

    scene.sink = sink


def served(scene: Scene, handler: Callable[[Any, GetBlocks, Any], Awaitable[None]]) -> None:
    scene.holder.links._handlers[GetBlocks] = handler  # type: ignore[index]


# --- the faults -----------------------------------------------------------------------------


async def nobody_has_it(scene: Scene) -> None:
    scene.root = Cid.of(b"nobody has this")


async def all_are_gone(scene: Scene) -> None:
    for node in scene.lab.nodes:
        if node is not scene.reader:
            scene.lab.crash(node)


async def the_holder_lost_it(scene: Scene) -> None:
    scene.holder.ports.store.delete([scene.root])


async def records_are_out_of_time(scene: Scene) -> None:
    clock = SimClock(scene.lab.loop, skew_s=30 * 86_400.0)
    scene.reader = await scene.lab.add(CLIENT, clock=clock)


async def no_address_is_known(scene: Scene) -> None:
    scene.reader.links.followable = lambda addresses: []  # type: ignore[method-assign]
    scene.reader.dht.address_of = lambda node: None  # type: ignore[method-assign]


async def nobody_listens(scene: Scene) -> None:
    scene.holder.ports.streams._listeners.pop(scene.holder.addresses()[0])  # type: ignore[attr-defined]


async def the_holder_is_off(scene: Scene) -> None:
    scene.lab.crash(scene.holder)


async def another_took_the_address(scene: Scene) -> None:
    scene.holder.ports.streams._key = scene.reader.public_key  # type: ignore[attr-defined]


async def the_holder_refuses(scene: Scene) -> None:
    async def refuse(link: object, request: GetBlocks, reply: object) -> None:
        raise PeerRefused("busy", HOSTILE)

    served(scene, refuse)


async def the_holder_stalls(scene: Scene) -> None:
    at_first_byte(scene, lambda: scene.lab.crash(scene.holder))


async def the_holder_is_slow(scene: Scene) -> None:
    """A block of 1 MiB buys a minute, so only small ones are ever too slow: what is measured of
    them is tested with the requests of links."""
    at_first_byte(scene, lambda: scene.lab.crash(scene.holder))
    scene.patch.setattr(own_requests, "Stalled", TooSlow)


async def the_holder_is_killed(scene: Scene) -> None:
    at_first_byte(scene, lambda: scene.lab.crash(scene.holder, silent=False))


async def the_holder_answers_nonsense(scene: Scene) -> None:
    async def nonsense(link: Link, request: GetBlocks, reply: object) -> None:
        link._outbox.queue(Released(request=0xFFFF))
        await asyncio.sleep(1.0)

    served(scene, nonsense)


async def the_holder_lies(scene: Scene) -> None:
    async def lie(link: object, request: GetBlocks, reply: Any) -> None:
        for index in range(len(request.cids)):
            await reply(Blocks(indices=(index,), sizes=(KIB,)), b"w" * KIB)

    served(scene, lie)


async def the_content_is_malformed(scene: Scene) -> None:
    garbage = b"\xff" * 64
    scene.root = Cid.of(garbage, codec=0x70)
    with scene.reader.ports.store.batch() as batch:
        batch.put(scene.root, garbage)
        batch.commit()


async def one_of_two_is_nowhere(scene: Scene) -> None:
    scene.read_first, scene.root = scene.root, Cid.of(b"nobody has this")


async def the_disk_here_is_full(scene: Scene) -> None:
    def full() -> None:
        raise NoRoom("no space left on device")

    at_first_byte(scene, full)


async def too_many_connections_here(scene: Scene) -> None:
    for link in scene.reader.links.open_links():
        await link.close()
    scene.reader.links._room_for_ours = lambda: False  # type: ignore[method-assign]


async def the_deadline_passes(scene: Scene) -> None:
    scene.lab.crash(scene.holder)
    scene.timeout_s = 2.0


@dataclass(frozen=True)
class Case:
    kind: CauseKind
    fault: Callable[[Scene], Awaitable[None]]
    verdict: str
    hint: str = ""


K = CauseKind
CASES: Final = (
    Case(K.NO_RECORDS, nobody_has_it, "nobody provides .* nodes asked answered", "check the CID"),
    Case(K.NOBODY_ASKED, all_are_gone, "cannot tell who provides", "connection"),
    Case(K.STALE, the_holder_lost_it, "1 node says it holds it: 1 without the blocks", "original"),
    Case(K.STALE, records_are_out_of_time, "the records of 1 node are out of time", "original"),
    Case(K.NO_ADDRESS, no_address_is_known, "1 told no address", "online"),
    Case(K.DIAL_REFUSED, nobody_listens, r"1 refused the connection at [\d.]+:", "its port"),
    Case(K.DIAL_TIMEOUT, the_holder_is_off, r"1 did not answer at [\d.]+:\d+", "firewall"),
    Case(K.WRONG_NODE, another_took_the_address, "1 not there: another node", "that address"),
    Case(K.REFUSED, the_holder_refuses, r"1 refused \(not\?\[31m now\?", "it said why"),
    Case(K.STALLED, the_holder_stalls, r"1 stalled after [\d.]+ MB", "to go on"),
    Case(K.TOO_SLOW, the_holder_is_slow, r"1 too slow after [\d.]+ .B", "goes on"),
    Case(K.LOST, the_holder_is_killed, r"1 broke off after [\d.]+ MB", "to go on"),
    Case(K.BROKE_RULES, the_holder_answers_nonsense, "1 broke the protocol", "version"),
    Case(K.WRONG_BYTES, the_holder_lies, "no holder gives the right bytes", "mends damaged"),
    Case(K.MALFORMED, the_content_is_malformed, "", "no holder can give a better copy"),
    Case(K.UNITS_MISSING, one_of_two_is_nowhere, "only 1 of 2 units have a holder", "kept for"),
    Case(K.OWN_DISK, the_disk_here_is_full, "no space left", "disk"),
    Case(K.OWN_LIMIT, too_many_connections_here, "too many connections here", "less is going on"),
    Case(K.DEADLINE, the_deadline_passes, "not done within 2 s: looking for holders, dialling"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.fault.__name__ for case in CASES])
def test_a_fault_is_told_by_its_cause(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        scene = await staged(lab, monkeypatch)
        await case.fault(scene)
        error = await failure_in(scene)
        report = vars(error)["report"]
        assert report.cause is case.kind, (str(error), report)
        assert exit_code(error) == CAUSES[case.kind].exit_code
        check_text(error, case)
        check_json(error, report)
        check_lines(report)

    tell(story)


async def staged(lab: Lab, patch: pytest.MonkeyPatch) -> Scene:
    await lab.grow(5)
    await asyncio.sleep(1)
    holder = lab.nodes[1]
    put = await put_bytes(holder, CONTENT, replicas=1)
    reader = await lab.add(CLIENT)
    return Scene(lab, holder, reader, put.cid, take, patch)


def check_text(error: DhtstoreError, case: Case) -> None:
    assert re.search(case.verdict, str(error)), str(error)
    assert case.hint in error.hint
    assert "\n" not in str(error) + error.hint
    assert (str(error) + error.hint).isprintable()


def check_json(error: DhtstoreError, report: FetchReport) -> None:
    line = failure_line(
        kind=type(error).__name__,
        message=str(error),
        hint=error.hint,
        exit_code=exit_code(error),
        causes=error.causes,
        report=report,
    )
    told = json.loads(line)["error"]
    assert told["report"]["cause"] == report.cause
    assert all(len(why) <= TOLD_MAX_CHARS for why in told["causes"].values())
    at = [each["began_s"] for each in told["report"]["searches"]]
    assert at == sorted(at)


def check_lines(report: FetchReport) -> None:
    lines = list(lines_of(report))
    assert lines
    assert len(lines) < 40
    assert all(len(line) <= WIDTH and line.isprintable() for line in lines), lines


def test_every_cause_is_brought_about_by_some_case() -> None:
    """Clocks that are off belong to puts; an interrupted command has a test of its own."""
    elsewhere = {CauseKind.CLOCK_OFF, CauseKind.INTERRUPTED}
    assert {case.kind for case in CASES} | elsewhere == set(CauseKind)
    assert set(CAUSES) == set(CauseKind)


def test_who_is_interrupted_hears_what_was_done_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        scene = await staged(lab, monkeypatch)
        run = OperationRun(scene.reader, [], unwatched, None)
        lab.crash(scene.holder)

        async def reading() -> None:
            async with fetching(run, scene.root) as session:
                await read(session, scene.root, (), take)

        task = asyncio.create_task(reading())
        await asyncio.sleep(3.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        error = interrupted(run)
        report = vars(error)["report"]
        assert report.cause is CauseKind.INTERRUPTED
        assert (
            report.doing
            == f"looking for holders, dialling node {format_node(scene.holder.node_id)}"
        )
        assert exit_code(error) == CAUSES[CauseKind.INTERRUPTED].exit_code

    tell(story)


def test_a_get_that_works_has_a_timeline_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(lab: Lab) -> None:
        scene = await staged(lab, monkeypatch)
        async with scene.reader.fetch_session() as session:
            report = (await read(session, scene.root, (), take)).report
        [told] = [each for each in report.holders if each.delivered]
        times = (told.found_s, told.connected_s, told.asked_s, told.first_byte_s, told.last_byte_s)
        assert None not in times
        assert list(times) == sorted(times, key=float)  # type: ignore[arg-type]
        assert told.delivered_bytes > len(CONTENT)
        assert told.rate
        assert [each.cause for each in told.tries] == [None]
        assert report.searches[0].holders == [told.node]
        assert report.searches[0].answered <= report.searches[0].asked
        assert len(list(lines_of(report))) <= 6
        check_lines(report)

    tell(story)
