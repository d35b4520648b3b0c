"""Accepting on a listening socket, through whatever passes."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any, Final

ACCEPT_PAUSE_S: Final = 0.1  # after the system refused to accept: out of descriptors, mostly
# accept(2): no connection ever comes through a socket that is closed or does not listen.
_NOT_LISTENING: Final = frozenset((errno.EBADF, errno.EINVAL, errno.ENOTSOCK))


async def next_connection(listener: socket.socket) -> tuple[socket.socket, Any]:
    """The next connection and where it comes from, as ``socket.accept`` gives it.

    Waits while the system cannot accept; raises OSError when this socket never will.
    """
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await loop.sock_accept(listener)
        except OSError as error:
            if error.errno in _NOT_LISTENING:
                raise
            await asyncio.sleep(ACCEPT_PAUSE_S)
