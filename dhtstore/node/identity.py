"""Who this node is, and what it signs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from dhtstore.errors import InvalidSignature
from dhtstore.model.contact import Address, ContactRecord
from dhtstore.model.identity import DhtKey, NodeId, PublicKey, dht_key, node_id
from dhtstore.model.network import Network
from dhtstore.model.policy import Claim, Grant, word_for
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import Signed, check, sign, unpack
from dhtstore.net.ports import Clock, Crypto
from dhtstore.node.ports import NodeSettings
from dhtstore.node.sequences import Sequences
from dhtstore.params import (
    CONTACT_RECORD_RENEW_S,
    CONTACT_RECORD_TTL_S,
    DONOR_FEATURE,
    FEATURES,
    PROVIDER_TTL_S,
    RECEIPT_VERSION,
)
from dhtstore.wire.frames import Offer

S = TypeVar("S", bound=Signed)
_RECORDS_REMEMBERED: Final = 16  # of those this node signed of itself


def _donor(settings: NodeSettings) -> frozenset[str]:
    """Who gives room to what is short of copies says so."""
    return frozenset([DONOR_FEATURE] if settings.donated_bytes else [])


class Identity:
    """The node's keys in its network, and its signed contact record.

    ``addresses`` tells what others may reach it at: known once the sockets are open.
    """

    features: frozenset[str] = FEATURES

    def __init__(
        self,
        crypto: Crypto,
        clock: Clock,
        settings: NodeSettings,
        addresses: Callable[[], tuple[Address, ...]],
    ) -> None:
        self.network: Network = settings.network
        self.public_key: PublicKey = crypto.node.public_key
        self.owner: PublicKey = crypto.owner.public_key
        self.node: NodeId = node_id(self.public_key)
        self.addresses = addresses
        self._crypto, self._clock, self._settings = crypto, clock, settings
        self.sequences = Sequences()
        self._record: ContactRecord | None = None
        self._own_signatures: deque[bytes] = deque(maxlen=_RECORDS_REMEMBERED)

    def gives(self, settings: NodeSettings) -> None:
        """Records from now on tell of these."""
        self._settings, self._record = settings, None

    def now_unix_s(self) -> int:
        """The wall clock, as signed objects state it."""
        return int(self._clock.unix_s())

    def sign(self, unsigned: S) -> S:
        """A copy of ``unsigned``, signed by the node's key for its network."""
        return sign(unsigned, self.network, self._crypto.node)

    def sign_as_owner(self, unsigned: S) -> S:
        return sign(unsigned, self.network, self._crypto.owner)

    def word(
        self, holder: PublicKey, meeting: bytes, unit: DhtKey, stored: int, blocks: int
    ) -> bytes:
        """Our owner's word to ``holder``: see ``model.policy.word_for``."""
        said = word_for(self.network, holder, meeting, key=unit, stored=stored, blocks=blocks)
        return self._crypto.owner.sign(said)

    def grant(self, claim: Claim) -> Grant:
        """Our owner's leave for others to place what is claimed."""
        key, root = dht_key(claim.unit), claim.policy.root
        return self.sign_as_owner(Grant(self.owner, root, key, claim.stored_bytes, claim.blocks))

    def check_leave(self, meeting: bytes, offer: Offer) -> None:
        """Raises InvalidSignature unless ``offer`` came with its owner's word to this node, or
        under a grant for what is offered; RemoteProtocolError."""
        if offer.grant is None:
            self._check_word(meeting, offer)
            return
        grant = unpack(Grant, offer.grant)
        granted = grant.owner, grant.key, grant.stored, grant.blocks
        if granted != (offer.owner, offer.key, offer.stored, offer.blocks):
            raise InvalidSignature("an offer under a grant for something else")
        self.check(grant)

    def _check_word(self, meeting: bytes, offer: Offer) -> None:
        said = word_for(
            self.network,
            self.public_key,
            meeting,
            key=offer.key,
            stored=offer.stored,
            blocks=offer.blocks,
        )
        if not self._crypto.verify(PublicKey(offer.owner), said, offer.word):
            raise InvalidSignature("an offer without its owner's word for it")

    def check(self, signed: Signed, network: Network | None = None) -> None:
        """Raises InvalidSignature unless its own signer signed it for ``network``, ours if None."""
        check(signed, network or self.network, self._crypto)

    def record(self) -> ContactRecord:
        """The contact record, signed anew when it is old or of a time that has not come yet, and
        when this node is to be reached elsewhere."""
        now, addresses = self.now_unix_s(), self.addresses()
        held = self._record
        fresh = held is not None and 0 <= now - held.issued < CONTACT_RECORD_RENEW_S
        if held is None or not fresh or held.addresses != addresses:
            self._record = held = self._fresh_record(now, addresses)
            self._own_signatures.append(held.signature)
        return held

    def signed_here(self, record: ContactRecord) -> bool:
        """Whether this node signed that contact record since it started, lately."""
        return record.signature in self._own_signatures

    def outrun(self, sequence: int) -> bool:
        """A record of ours with that sequence is out there, by a clock that was ahead or from
        another disk: what is signed from now on is newer.  False if it was signed since this node
        started."""
        if sequence <= self.sequences.last:
            return False
        self.sequences.used(sequence)
        self._record = None
        return True

    def provider_record(self, key: DhtKey) -> ProviderRecord:
        """A fresh signed statement that this node holds the unit behind ``key``."""
        return self._statement(key, int(PROVIDER_TTL_S))

    def withdrawal(self, key: DhtKey) -> ProviderRecord:
        """A fresh signed statement that it holds that unit no longer."""
        return self._statement(key, 0)

    def _statement(self, key: DhtKey, lifetime_s: int) -> ProviderRecord:
        now = self.now_unix_s()
        return self.sign(
            ProviderRecord(
                key=key,
                public_key=self.public_key,
                sequence=self.sequences.next(now),
                issued=now,
                expires=now + lifetime_s,
            )
        )

    def receipt(self, claim: Claim) -> Receipt:
        """Our word that the claimed unit is on this disk: for ``copies.acknowledge`` only."""
        policy = claim.policy
        return self.sign(
            Receipt(
                version=RECEIPT_VERSION,
                network=self.network.name,
                node=self.node,
                public_key=self.public_key,
                unit=claim.unit,
                root=policy.root,
                size=claim.size_bytes,
                blocks=claim.blocks,
                owner=policy.owner,
                policy_seq=policy.sequence,
                time=self.now_unix_s(),
                expires=policy.expires,
                stored=claim.stored_bytes,
            )
        )

    def _fresh_record(self, now_unix_s: int, addresses: tuple[Address, ...]) -> ContactRecord:
        return self.sign(
            ContactRecord(
                public_key=self.public_key,
                addresses=addresses,
                capacity_bytes=self._settings.capacity_bytes,
                domain=self._settings.domain,
                sequence=self.sequences.next(now_unix_s),
                issued=now_unix_s,
                expires=now_unix_s + int(CONTACT_RECORD_TTL_S),
                features=tuple(sorted(self.features | _donor(self._settings))),
            )
        )
