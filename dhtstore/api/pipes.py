"""Bytes between a program and a node: through a pipe, whichever process the node is in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from contextlib import aclosing
from functools import partial
from typing import Any, BinaryIO, Final, TypeVar, cast

from dhtstore.api.callers import Caller
from dhtstore.api.files import OpenedTarget, open_stream
from dhtstore.errors import NotRunning, TargetUnusable, UnreadableSource
from dhtstore.net.local.pipes import PipeWriter, read_pipe
from dhtstore.net.threads import ThreadBlocking
from dhtstore.node.context import surely
from dhtstore.operations.operation import Operation, Watch, unwatched
from dhtstore.store.disk import write_error
from dhtstore.store.files.stream_output import StreamOutput
from dhtstore.tasks import Supervisor, all_ended

R = TypeVar("R")

PIECE_BYTES: Final = 256 * 1024
_END: Final = object()  # not None: a file that does not block gives that when it has nothing yet

Bytes = bytes | bytearray | memoryview
Pieces = Bytes | BinaryIO | Iterable[Bytes] | AsyncIterable[Bytes]


async def put_pieces(
    caller: Caller,
    put: Operation[R],
    pieces: AsyncGenerator[Bytes, None],
    watch: Watch,
    timeout_s: float | None,
) -> R:
    """Have what ``pieces`` gives stored; raises what it raises, and what the put raises."""
    read_end, write_end = os.pipe()
    tasks = Supervisor()
    writer = PipeWriter(write_end)
    try:
        work: Coroutine[Any, Any, R] = caller.call(put, [read_end], watch, timeout_s)
        putting = tasks.spawn(work, "put")
        feeding = tasks.spawn(_feed(writer, pieces, putting), "feed")
        # A put that fails, or is not done in time, does not wait for its source.
        await asyncio.wait([putting, feeding], return_when=asyncio.FIRST_COMPLETED)
        if putting.cancelled() or not putting.done():
            await feeding
        return cast(R, await putting)
    finally:
        await tasks.close()
        writer.discard()
        await pieces.aclose()


async def _feed(
    writer: PipeWriter, pieces: AsyncIterator[Bytes], putting: asyncio.Task[Any]
) -> None:
    """Write all pieces, or as many as the node takes; raises what they raise.  Then the put is
    ended before the pipe is: the node must not take what it got for the whole."""
    failure: BaseException | None = None
    try:
        async with writer as pipe:
            try:
                async for piece in pieces:
                    await _write(pipe, piece)
            except _StoppedReading:
                raise
            except BaseException as error:
                failure = error
                putting.cancel()
                await all_ended([putting])
                raise
    except _StoppedReading:
        return  # the put says why itself
    except NotRunning as error:
        if error is failure:
            raise


class _StoppedReading(Exception):
    """The node takes no more."""


async def _write(pipe: PipeWriter, piece: Bytes) -> None:
    try:
        await pipe.write(memoryview(piece))
    except NotRunning as error:
        raise _StoppedReading from error


async def read_pieces(
    caller: Caller,
    read: Operation[R],
    timeout_s: float | None,
    watch: Watch = unwatched,
    done: Callable[[R], None] = lambda result: None,
) -> AsyncGenerator[bytes, None]:
    """What a read results in, as it comes; raises what it raises once all that came was taken,
    else ``done`` is told the result."""
    read_end, write_end = os.pipe()
    tasks = Supervisor()
    try:
        work: Coroutine[Any, Any, R]
        work = caller.call(read, [write_end], watch, timeout_s)
        reading = tasks.spawn(work, "read")
        await asyncio.sleep(0)  # it begins, and owns its end of the pipe from now on
        async with aclosing(read_pipe(read_end)) as pieces:
            async for piece in pieces:
                yield piece
        done(cast(R, await reading))
    finally:
        await tasks.close()
        os.close(read_end)


async def read_into(
    caller: Caller,
    read: Operation[R],
    path: str | os.PathLike[str],
    watch: Watch,
    timeout_s: float | None,
) -> R:
    """Write what a read results in to a FIFO or a device; raises what it raises, TargetUnusable
    and NoRoom."""
    descriptor = await asyncio.to_thread(open_stream, path, wait=False)
    try:
        os.set_blocking(descriptor, True)

        async def write(piece: bytes) -> None:
            await asyncio.to_thread(_write_all, descriptor, piece)

        return await _read_on(caller, read, write, path, watch, timeout_s)
    finally:
        os.close(descriptor)


async def read_into_file(
    caller: Caller,
    read: Operation[R],
    where: OpenedTarget,
    watch: Watch,
    timeout_s: float | None,
    *,
    force: bool,
) -> R:
    """The same into a file, which has its name only once it is whole; owns its directory."""
    blocking, opened = ThreadBlocking(), list[StreamOutput]()
    try:
        await blocking.run(
            lambda: opened.append(StreamOutput(where.directory, where.name, force=force))
        )
        write = partial(blocking.run, _write_all, opened[0].descriptor)
        result = await _read_on(caller, read, write, where.path, watch, timeout_s)
        await blocking.run(opened[0].finish)
        return result
    finally:
        for output in opened:
            await surely(blocking, output.close)
        os.close(where.directory)
        await blocking.close()


async def _read_on(
    caller: Caller,
    read: Operation[R],
    write: Callable[[bytes], Awaitable[None]],
    path: str | os.PathLike[str],
    watch: Watch,
    timeout_s: float | None,
) -> R:
    results: list[R] = []
    try:
        pieces = read_pieces(caller, read, timeout_s, watch, results.append)
        async with aclosing(pieces):
            async for piece in pieces:
                await write(piece)
    except OSError as error:
        raise write_error(error, os.fspath(path), TargetUnusable) from error
    return results[0]


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


async def pieces_of(source: Pieces) -> AsyncGenerator[Bytes, None]:
    """The bytes of a source, in pieces; files and iterables are read in a worker thread.

    Raises UnreadableSource for what gives no bytes.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        view = memoryview(source).cast("B")
        for at in range(0, len(view), PIECE_BYTES):
            yield view[at : at + PIECE_BYTES]
    elif isinstance(source, AsyncIterable):
        async for piece in source:
            yield _checked(piece)
    else:
        iterator = _iterator(source)
        while (following := await asyncio.to_thread(next, iterator, _END)) is not _END:
            yield _checked(following)


def _iterator(source: object) -> Iterator[object]:
    """The pieces of a file object, else of an iterable."""
    read = getattr(source, "read", None)
    if read is not None:
        return iter(lambda: read(PIECE_BYTES), b"")
    if isinstance(source, Iterable):
        return iter(source)
    raise UnreadableSource(f"no bytes can be taken from this: {type(source).__name__}").hinted(
        "give a path, bytes, an iterable of bytes, or a file opened in binary mode"
    )


def _checked(piece: object) -> Bytes:
    if not isinstance(piece, bytes | bytearray | memoryview):
        raise UnreadableSource(
            f"a piece of the source is not bytes but {type(piece).__name__}"
        ).hinted("encode text, and open files in binary mode")
    return piece
