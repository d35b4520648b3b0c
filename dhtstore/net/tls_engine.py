"""OpenSSL between the bytes of a socket and those of its user."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import NoReturn, cast


class TlsEngine:
    """One end of a TLS connection, without the connection.

    What comes from the socket goes into ``receive``; whatever else is called, ``to_send`` then
    gives what is due to the socket.  All raise ssl.SSLError when the peer breaks TLS.
    """

    def __init__(self, context: ssl.SSLContext, *, server: bool) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)

    def receive(self, ciphertext: memoryview) -> None:
        self._incoming.write(ciphertext)

    def to_send(self) -> bytes:
        return self._outgoing.read() if self._outgoing.pending else b""

    def shake_hands(self) -> bool:
        """Go on with the handshake; False while more of it must come from the peer."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def say_goodbye(self) -> None:
        with suppress(ssl.SSLError):  # the peer's own goodbye is not waited for
            self.tls.unwrap()

    def encrypt(self, plain: memoryview) -> None:
        at, size, write = 0, len(plain), self.tls.write
        while at < size:
            at += write(plain[at:])  # one record of at most 16 KiB each time

    def decrypt_into(self, target: memoryview) -> int:
        """How much of the target could be filled; raises ssl.SSLZeroReturnError when the peer has
        said goodbye."""
        at, size, read = 0, len(target), self.tls.read
        with suppress(ssl.SSLWantReadError):
            while at < size:
                at += cast(int, read(size - at, target[at:])) or _ended()
        return at

    def decrypt(self, at_most: int) -> bytes:
        """Some bytes, none while more must come; raises ssl.SSLZeroReturnError when the peer has
        said goodbye."""
        try:
            return self.tls.read(at_most) or _ended()
        except ssl.SSLWantReadError:
            return b""


def _ended() -> NoReturn:
    """OpenSSL reads nothing, without an error, after the peer's close_notify."""
    raise ssl.SSLZeroReturnError
