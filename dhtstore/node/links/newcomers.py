"""Streams that others opened and whose other end has not proved itself yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dhtstore.errors import ConnectionLost
from dhtstore.model.contact import subnet
from dhtstore.net.accepting import oldest_of_busiest
from dhtstore.net.ports import Entropy, Stream
from dhtstore.node.links.handshake import Credentials, ProvedPeer, admit, refuse
from dhtstore.params import HANDSHAKE_TIMEOUT_S, INBOUND_HANDSHAKES_MAX


class Newcomers:
    """At most INBOUND_HANDSHAKES_MAX of them: origins that hold many places give way to those that
    come.  ``busy`` is whether there is no room for another link of an origin."""

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        entropy: Entropy,
        busy: Callable[[str], bool],
    ) -> None:
        self._credentials, self._entropy, self._busy = credentials, entropy, busy
        self._greeting: dict[Stream, str] = {}  # their origins, oldest first

    async def proved(self, stream: Stream) -> ProvedPeer:
        """Who is at the other end; raises ConnectionLost, RefusedByNetwork, InvalidSignature,
        RemoteProtocolError and TimeoutError."""
        if len(self._greeting) >= INBOUND_HANDSHAKES_MAX:
            oldest = oldest_of_busiest(self._greeting)
            del self._greeting[oldest]
            oldest.abort()
        origin = self._greeting[stream] = subnet(stream.remote)
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                if self._busy(origin):
                    await refuse(stream, "busy", "this node has too many connections")
                    raise ConnectionLost("too many connections")
                return await admit(stream, self._credentials(), self._entropy)
        finally:
            self._greeting.pop(stream, None)
