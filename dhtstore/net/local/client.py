"""The asking end of the local socket: blocking, and free of asyncio, which a command that only
asks would load for nothing.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from pathlib import Path
from types import TracebackType

from dhtstore.errors import NotRunning
from dhtstore.wire.control import ANSWER_MAX_BYTES, LENGTH_BYTES, body_length


class LocalClient:
    """One command's conversation with the node; blocking."""

    def __init__(self, path: Path) -> None:
        """Connect; raises NotRunning if nobody listens there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise NotRunning(f"no node is running here ({path}: {error.strerror})") from error
        if not same_user(self._socket):
            self._socket.close()
            raise NotRunning(f"{path} belongs to another user's process")

    def send(self, message: bytes, descriptors: list[int]) -> None:
        """Send the one request; raises NotRunning."""
        try:
            sent = socket.send_fds(self._socket, [message], descriptors)
            if sent < len(message):  # an empty send would fail if the node has answered and left
                self._socket.sendall(message[sent:])
        except OSError as error:
            raise NotRunning("the node refused the connection or stopped") from error

    def receive(self) -> bytes:
        """The body of the next message; raises NotRunning when the node dies before it."""
        length = body_length(self._exactly(LENGTH_BYTES), ANSWER_MAX_BYTES)
        return self._exactly(length)

    def abort(self) -> None:
        """End the conversation from another thread: the node stops, ``receive`` raises."""
        with contextlib.suppress(OSError):  # it has ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                piece = self._socket.recv(min(count - len(data), 1 << 20))
            except OSError:
                piece = b""
            if not piece:
                raise NotRunning("the node stopped while it was working on this command")
            data += piece
        return bytes(data)

    def __enter__(self) -> LocalClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()


def same_user(connection: socket.socket) -> bool:
    """Whether the kernel says that the other end runs as our user (SO_PEERCRED, unix(7))."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    uid: int = struct.unpack("3i", credentials)[1]
    return uid == os.geteuid()
