"""Nodes that one that stuffs makes up: keys with an answer to every ping, and nothing behind."""

from __future__ import annotations

import random
from collections.abc import Callable

from dhtstore.model.contact import Address, Contact
from dhtstore.model.identity import PublicKey, node_id
from dhtstore.model.network import Network
from dhtstore.params import PUBLIC_KEY_BYTES
from dhtstore.tasks import Supervisor
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import FindNode, FoundNodes, Ping, Pong, Providers
from simulations.events.adversary.gang import Gang
from simulations.events.adversary.masked_ports import decoded, request_in, sealed, sealed_answer
from simulations.world.network.endpoint import SimEndpoint
from simulations.world.ports.crypto import SimCrypto


class MadeUpNode:
    """One key at a port of its own, which introduces itself to others and answers while ``up``."""

    def __init__(
        self, rng: random.Random, endpoint: SimEndpoint, network: Network, gang: Gang,
        up: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.crypto = SimCrypto(rng.randbytes(PUBLIC_KEY_BYTES), b"")
        self.id = node_id(self.crypto.node.public_key)
        self._rng, self._endpoint, self._network = rng, endpoint, network
        self._gang, self._up = gang, up
        self._asked: dict[bytes, tuple[PublicKey, bytes]] = {}  # by message id: whom, and what

    async def open(self, duties: Supervisor) -> None:
        await self._endpoint.open(self._hear, duties)

    async def close(self) -> None:
        await self._endpoint.close()

    def introduce_itself(self, to: Contact) -> None:
        """Ask something, so that ``to`` hears of it."""
        message_id = self._rng.randbytes(envelope.MESSAGE_ID_BYTES)
        frame = datagram.encode_request(message_id, FindNode(to.node))
        self._asked = {message_id: (to.public_key, frame)}
        self._send(to.public_key, frame, to.address)

    def _send(self, to: PublicKey, frame: bytes, at: Address, cookie: bytes = b"") -> None:
        flags = envelope.COOKIE if cookie else 0
        self._endpoint.send(sealed(self.crypto, self._network, to, frame, flags, cookie), at)

    def _hear(self, data: bytes, source: Address) -> None:
        if not self._up():
            return
        challenge = envelope.parse_challenge(data)
        if challenge is not None:
            asked = self._asked.pop(challenge.message_id, None)
            if asked is not None:
                self._send(*asked, source, challenge.cookie)
        elif (opened := request_in(data)) is not None:
            request = decoded(opened)
            if request is not None and (answer := self._answer(request)) is not None:
                reply = sealed_answer(self.crypto, self._network, opened, answer)
                self._endpoint.send(reply, source)

    def _answer(self, request: datagram.Request) -> datagram.Response | None:
        if isinstance(request, Ping):
            return Pong(b"")
        if isinstance(request, FindNode):
            return FoundNodes(self._gang.closest(request.target))
        if isinstance(request, datagram.GetProviders):
            return Providers(0, [], self._gang.closest(request.key))
        return None
