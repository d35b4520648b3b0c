"""The asking end of the local socket: blocking, and free of asyncio, which a command that only
asks would load for nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from dhtstore.errors import DhtstoreError, NoNodeHere, NotRunning
from dhtstore.operations.conversation import Conversation

RECEIVE_BYTES = 1 << 20
STOPPING_MAX_S: Final = 10.0  # what a node may take to end an operation that was interrupted
FIRST_ANSWER_MAX_S: Final = 30.0  # a node that works tells much sooner what lies in its home
Abort = Callable[[], None]
R = TypeVar("R")


def converse(
    path: Path,
    conversation: Conversation[R],
    descriptors: Sequence[int],
    sent: Callable[[Abort], None] = lambda abort: None,
    rows: Callable[[list[Any]], None] | None = None,
) -> R:
    """Ask the node that listens at ``path`` and wait for the result.

    ``descriptors`` go along and are closed here; ``sent`` is called when the node has copies of
    its own, with what ends the request from any thread; ``rows`` gets those of a list as they come,
    which then are not in the result, and the node waits while it is busy.  Raises NotRunning if
    nobody listens or the node dies meanwhile, and what the operation failed with.
    KeyboardInterrupt ends the operation in the node, and is raised when the node has told what it
    keeps of it, with the fields of its last words.
    """
    try:
        connection = connected(path)
        with connection:
            try:
                send_request(connection, conversation.request, descriptors)
                close_all(descriptors)
                descriptors = ()
                sent(lambda: _shut_down(connection))
                if conversation.begins_soon:
                    _await_answer(connection)
                ended = False
                while not ended:
                    ended = conversation.feed(_receive(connection))
                    if rows is not None and (taken := conversation.take_rows()):
                        rows(taken)
            except KeyboardInterrupt as stopped:
                _hear_out(connection, conversation)
                vars(stopped).update(conversation.last_words)
                raise
            return conversation.result
    finally:
        close_all(descriptors)


def connected(path: Path) -> socket.socket:
    """A connection to the node that listens there; raises NotRunning."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        raise NoNodeHere(f"no node is running here ({path}: {error.strerror})") from error
    if not same_user(connection):
        connection.close()
        raise NotRunning(f"{path} belongs to another user's process").hinted(
            "run the command as the user of that node, or choose your own directory with --home"
        )
    return connection


def send_request(connection: socket.socket, request: bytes, descriptors: Sequence[int]) -> None:
    """Send the one request with its descriptors; raises NotRunning."""
    try:
        sent = socket.send_fds(connection, [request], list(descriptors))
        if sent < len(request):  # an empty send would fail if the node has answered and left
            connection.sendall(request[sent:])
    except OSError as error:
        raise NotRunning("the node refused the connection or stopped") from error


def close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def same_user(connection: socket.socket) -> bool:
    """Whether the kernel says that the other end runs as our user (SO_PEERCRED, unix(7))."""
    return _other_end(connection)[1] == os.geteuid()


def listening_pid(path: Path) -> int:
    """The process of the node that listens there; 0 if none does."""
    try:
        with connected(path) as connection:
            return _other_end(connection)[0]
    except NotRunning:
        return 0


def _other_end(connection: socket.socket) -> tuple[int, int, int]:
    """Process, user and group of the other end."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, gid = struct.unpack("3i", credentials)
    return pid, uid, gid


def _await_answer(connection: socket.socket) -> None:
    """Raises NotRunning for a node that is stopped or stuck."""
    if not select.select([connection], [], [], FIRST_ANSWER_MAX_S)[0]:
        raise silent(connection)


def silent(connection: socket.socket) -> NotRunning:
    """The error for a node that listens and does not answer."""
    pid = _other_end(connection)[0]
    return NotRunning(f"the node here (process {pid}) does not answer").hinted(
        f"it is stopped or stuck: let it go on (kill -CONT {pid}), or end it and start it again"
    )


def _receive(connection: socket.socket) -> bytes:
    """What came; empty at the end of the connection, by whichever side."""
    try:
        return connection.recv(RECEIVE_BYTES)
    except OSError:
        return b""


def _hear_out(connection: socket.socket, conversation: Conversation[R]) -> None:
    """Say that nobody waits any more, and take what the node says while it stops."""
    with contextlib.suppress(OSError, DhtstoreError):
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(STOPPING_MAX_S)
        while not conversation.feed(_receive(connection)):
            continue


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)
