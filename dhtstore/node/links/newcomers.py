"""Streams that others opened and whose other end has not proved itself yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dhtstore.errors import ConnectionLost
from dhtstore.net.addresses import oldest_of_busiest_host
from dhtstore.net.ports import Entropy, Stream
from dhtstore.node.links.handshake import Credentials, ProvedPeer, admit, refuse
from dhtstore.params import HANDSHAKE_TIMEOUT_S, INBOUND_HANDSHAKES_MAX


class Newcomers:
    """At most INBOUND_HANDSHAKES_MAX of them: those that hold many places give way to those that
    come.  ``busy`` is whether there is no room for another link."""

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        entropy: Entropy,
        busy: Callable[[], bool],
    ) -> None:
        self._credentials, self._entropy, self._busy = credentials, entropy, busy
        self._greeting: dict[Stream, str] = {}  # their hosts, oldest first

    async def proved(self, stream: Stream) -> ProvedPeer:
        """Who is at the other end; raises ConnectionLost, RefusedByNetwork, InvalidSignature,
        RemoteProtocolError and TimeoutError."""
        if len(self._greeting) >= INBOUND_HANDSHAKES_MAX:
            oldest = oldest_of_busiest_host(self._greeting)
            del self._greeting[oldest]
            oldest.abort()
        self._greeting[stream] = stream.remote.host
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                if self._busy():
                    await refuse(stream, "busy", "this node has too many connections")
                    raise ConnectionLost("too many connections")
                return await admit(stream, self._credentials(), self._entropy)
        finally:
            self._greeting.pop(stream, None)
