"""Output on its way to the sink."""

from __future__ import annotations

import asyncio

from dhtstore.content.dag.walk import Directory, Output, Piece
from dhtstore.errors import NoRoom
from dhtstore.node.fetching.sink_writer import SinkWriter
from dhtstore.params import OUTPUT_BYTES
from dhtstore.tasks import Supervisor
from dhtstore.transfer.in_order import InOrder
from simulations.world.loop.virtual_loop import VirtualLoop, run


def piece(offset: int, data: bytes) -> Piece:
    return Piece((), offset, data)


class SlowSink:
    """Takes a second for each call."""

    def __init__(self) -> None:
        self.calls: list[list[Output]] = []
        self.at_work = 0

    async def accept(self, outputs: list[Output]) -> None:
        self.at_work += 1
        assert self.at_work == 1, "one call at a time"
        await asyncio.sleep(1)
        self.calls.append(outputs)
        self.at_work -= 1


def test_what_comes_while_the_sink_works_goes_out_together() -> None:
    sink, woken = SlowSink(), list[int]()

    async def main() -> None:
        tasks = Supervisor()
        writer = SinkWriter(sink.accept, None, tasks, lambda: woken.append(writer.unwritten_bytes))
        writer.take([Directory(())])
        await asyncio.sleep(0.5)
        writer.take([piece(0, b"ab")])
        writer.take([piece(9, b"c")])
        assert writer.unwritten_bytes == 3 + 3 * OUTPUT_BYTES
        assert writer.writing
        await asyncio.sleep(2)
        assert not writer.writing
        await tasks.close()

    run(main(), VirtualLoop())
    assert sink.calls == [[Directory(())], [piece(0, b"ab"), piece(9, b"c")]]
    assert woken == [3 + 2 * OUTPUT_BYTES, 0, 0]


def test_pieces_that_wait_for_those_before_them_are_unwritten() -> None:
    sink = SlowSink()

    async def main() -> None:
        tasks = Supervisor()
        writer = SinkWriter(sink.accept, InOrder(), tasks, lambda: None)
        writer.take([piece(2, b"cd")])
        assert not writer.writing
        assert writer.unwritten_bytes == 2 + OUTPUT_BYTES
        writer.take([piece(0, b"ab")])
        await asyncio.sleep(2)
        assert writer.unwritten_bytes == 0
        await tasks.close()

    run(main(), VirtualLoop())
    assert sink.calls == [[piece(0, b"ab"), piece(2, b"cd")]]


def test_a_sink_that_fails_fails_the_owner_of_the_tasks() -> None:
    failures: list[BaseException] = []

    async def full(outputs: list[Output]) -> None:
        raise NoRoom("the disk is full")

    async def main() -> None:
        tasks = Supervisor(on_failure=lambda name, error: failures.append(error))
        SinkWriter(full, None, tasks, lambda: None).take([piece(0, b"ab")])
        await asyncio.sleep(1)
        await tasks.close()

    run(main(), VirtualLoop())
    assert [str(error) for error in failures] == ["the disk is full"]
