"""The asking end of the local socket for programs that run an event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from dhtstore.net.local import client
from dhtstore.net.local.client import (
    RECEIVE_BYTES,
    close_all,
    connected,
    send_request,
    silent,
)
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.operation import Rows

R = TypeVar("R")


async def converse(
    path: Path,
    conversation: Conversation[R],
    descriptors: Sequence[int],
    rows: Rows | None = None,
) -> R:
    """As ``client.converse``; whoever is cancelled here ends the request in the node.

    Connecting and sending block for as long as the node's socket has no room: a request is small.
    """
    loop = asyncio.get_running_loop()
    try:
        connection = connected(path)
        with connection:
            send_request(connection, conversation.request, descriptors)
            close_all(descriptors)
            descriptors = ()
            connection.setblocking(False)
            if conversation.begins_soon:
                await _await_answer(loop, connection)
            ended = False
            while not ended:
                ended = conversation.feed(await _receive(loop, connection))
                if rows is not None and (taken := conversation.take_rows()):
                    await rows(taken)
            return conversation.result
    finally:
        close_all(descriptors)


async def _await_answer(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Raises NotRunning for a node that is stopped or stuck."""
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        async with asyncio.timeout(client.FIRST_ANSWER_MAX_S):
            await readable.wait()
    except TimeoutError as error:
        raise silent(connection) from error
    finally:
        loop.remove_reader(connection)


async def _receive(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    try:
        return await loop.sock_recv(connection, RECEIVE_BYTES)
    except OSError:
        return b""
