"""Agreed keys with the peers used last, and what a stranger must do to earn an agreement.

An agreement costs 50 to 80 microseconds, so strangers' are rationed: freely at a low rate, above
it only against a cookie that proves their address, then at a rate per address prefix (WireGuard
section 5.3 does the same under load), and never more than STRANGER_KEYS_PER_S.  A key is
remembered only after its first valid MAC.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from hmac import compare_digest

from dhtstore.dht.core.limits import PerSecond
from dhtstore.dht.core.peer import line_and_subnet
from dhtstore.dht.core.rations import AgreementRations
from dhtstore.errors import InvalidSignature
from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import (
    CHALLENGES_PER_LINE_PER_S,
    CHALLENGES_PER_S,
    CHALLENGES_PER_SUBNET_PER_S,
    COOKIE_LIFETIME_S,
    SESSION_KEYS_MAX,
)
from dhtstore.wire import envelope
from dhtstore.wire.datagram import pack_address
from dhtstore.wire.envelope import KeyAgreement, Opened


class Outside(Enum):
    """What a datagram's outside proved."""

    VALID = "valid"
    FORGED = "forged"
    NEEDS_COOKIE = "needs cookie"
    OVER_RATE = "over rate"


class RecentKeys:
    """Keys by peer, ``most`` at most: those of a peer go when half as many others were put since
    it was.  Reading one that is among the newer half writes nothing."""

    __slots__ = ("_half", "_newer", "_older")

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._newer: dict[bytes, bytes] = {}
        self._older: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)

    def __iter__(self) -> Iterator[bytes]:
        yield from self._older
        yield from self._newer

    def get(self, peer: bytes) -> bytes | None:
        return self._newer.get(peer) or self._older.get(peer)

    def put(self, peer: bytes, keys: bytes) -> None:
        if peer not in self._newer:
            if len(self._newer) >= self._half:
                self._older, self._newer = self._newer, {}
            self._newer[peer] = keys


class Sessions:
    """Session keys of one node; see the module.  ``now`` is monotonic seconds."""

    __slots__ = (
        "_challenges",
        "_crypto",
        "_keys",
        "_network",
        "_own",
        "_rations",
        "_secret",
        "_strangers",
    )

    def __init__(
        self, network: Network, crypto: KeyAgreement, own: PublicKey, cookie_secret: bytes
    ) -> None:
        self._network, self._crypto, self._own = network, crypto, own
        self._keys = RecentKeys(SESSION_KEYS_MAX // 2)
        self._strangers = RecentKeys(SESSION_KEYS_MAX // 2)  # a flood pushes out each other's only
        self._challenges = PerSecond(
            CHALLENGES_PER_LINE_PER_S, CHALLENGES_PER_SUBNET_PER_S, CHALLENGES_PER_S
        )
        self._rations = AgreementRations()
        self._secret = cookie_secret

    def keys_for(self, peer: PublicKey) -> bytes:
        """Keys to send our own request with; raises InvalidSignature for an unusable key."""
        return self._keys.get(peer) or self._strangers.get(peer) or self._agree(peer)

    def _agree(self, peer: PublicKey) -> bytes:
        return envelope.session_keys(self._crypto, self._network, self._own, peer)

    def remember(self, peer: PublicKey, keys: bytes) -> None:
        """After a valid MAC on a request.  Keeps ``peer`` itself, so it should be the object that
        others keep too, not one cut from a datagram."""
        if self._keys.get(peer) is None:
            self._strangers.put(peer, keys)

    def check_answer(self, keys: bytes, peer: PublicKey, data: bytes) -> Outside:
        """Check a datagram that claims to be from ``peer``, with whom we share ``keys``."""
        if not envelope.verify(self._crypto, keys, data):
            return Outside.FORGED
        self._keys.put(peer, keys)
        return Outside.VALID

    def check_request(
        self, opened: Opened, data: bytes, source: Address, now: float
    ) -> tuple[Outside, bytes]:
        """Check a request; agrees on a key with a stranger if its ration allows.  The keys that
        come with VALID are the caller's to ``remember``."""
        keys = self._keys.get(opened.sender) or self._strangers.get(opened.sender)
        if keys is None:
            refusal = self._refuse_stranger(opened, source, now)
            if refusal is not None:
                return refusal, b""
            try:
                keys = self._agree(opened.sender)
            except InvalidSignature:
                return Outside.FORGED, b""
        valid = envelope.verify(self._crypto, keys, data)
        return (Outside.VALID, keys) if valid else (Outside.FORGED, b"")

    def _refuse_stranger(self, opened: Opened, source: Address, now: float) -> Outside | None:
        if self.proves_address(opened, source, now):
            return None if self._rations.take(source.host, now) else Outside.OVER_RATE
        return None if self._rations.take_cold(now) else Outside.NEEDS_COOKIE

    def proves_address(self, opened: Opened, source: Address, now: float) -> bool:
        """Whether the datagram carries a cookie that we sent to that address lately."""
        if not opened.cookie:
            return False
        epoch = int(now // COOKIE_LIFETIME_S)
        ours = (self._cookie(source, epoch), self._cookie(source, epoch - 1))
        return any(compare_digest(opened.cookie, cookie) for cookie in ours)

    def challenge(self, message_id: bytes, source: Address, now: float) -> bytes | None:
        """The datagram that asks for a cookie; None if its source has had enough of them.  What
        a cookie says is not remembered."""
        if not self._challenges.take(*line_and_subnet(source.host), now):
            return None
        cookie = self._cookie(source, int(now // COOKIE_LIFETIME_S))
        return envelope.challenge(self._network, self._own, message_id, cookie)

    def _cookie(self, source: Address, epoch: int) -> bytes:
        where = epoch.to_bytes(8, "big", signed=True) + pack_address(source)
        return self._crypto.mac(self._secret, b"dhtstore/cookie/1\0", where)
