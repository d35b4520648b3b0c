"""The records kept here for others: what may be kept is judged, its signature checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.stores.contact_store import ContactStore
from dhtstore.dht.core.stores.held import OURS, HeldRecord, Standing
from dhtstore.dht.core.stores.provider_store import ProviderStore
from dhtstore.dht.engine.channel import Channel
from dhtstore.errors import InvalidSignature, RemoteProtocolError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import NodeId, node_id
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import Signed, check, unpack

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto

S = TypeVar("S", bound=Signed)


class RecordKeeper:
    """Provider and contact records of one node.  Call ``tick`` before using the others: the
    stores know the time only from it."""

    def __init__(self, channel: Channel, network: Network, crypto: Crypto, clock: Clock) -> None:
        own_id = node_id(channel.own)
        self._providers, self._contacts = ProviderStore(own_id), ContactStore(own_id)
        self._channel, self._network, self._crypto, self._clock = channel, network, crypto, clock

    def tick(self) -> None:
        """Tell the stores the time, so that they drop what expired."""
        now, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        self._providers.tick(now, unix_s)
        self._contacts.tick(now, unix_s)

    def providers(self, key: bytes) -> list[ProviderRecord]:
        """The live records of a key, in the order in which their providers first appeared."""
        return self._providers.of_key(key)

    def contact(self, node: NodeId) -> ContactRecord | None:
        """The newest contact record of that node."""
        return self._contacts.get(node)

    def contact_of(self, record: ProviderRecord) -> ContactRecord | None:
        """How to reach who signed ``record``."""
        return self._contacts.of_provider(record)

    def keep(self, record: ProviderRecord | ContactRecord, standing: Standing = OURS) -> Verdict:
        """Keep a record here if it is in order, in time, signed and there is a place for one of
        that ``standing``; its signature is checked once, so repeating a record costs nothing."""
        store: Any = self._providers if isinstance(record, ProviderRecord) else self._contacts
        verdict: Verdict = store.verdict(record, standing)
        if verdict is not Verdict.KEPT or store.holds(record):
            return verdict
        if not self.signed(record):
            self._channel.count("bad_signatures")
            return Verdict.BAD_SIGNATURE
        store.add(record, standing)
        return verdict

    def takes(self, record: ProviderRecord, standing: Standing) -> bool:
        """Whether there is a place for a record of that ``standing``."""
        return self._providers.verdict(record, standing) is Verdict.KEPT

    def contended(self, record: ProviderRecord | ContactRecord) -> bool:
        """Whether places for such a record are scarce, so that its source must be proved."""
        if isinstance(record, ProviderRecord):
            return self._providers.contended(record.key)
        return self._contacts.crowded

    def doubtful(self, key: bytes) -> ProviderRecord | None:
        """One of a key whose signer was not asked yet whether it can be reached."""
        return self._providers.doubtful(key)

    def asked(self, record: ProviderRecord) -> None:
        """The signer of that record was."""
        self._providers.asked(record)

    def keep_reached(
        self, record: ProviderRecord, contact: ContactRecord, standing: Standing
    ) -> None:
        """The signer of both answered at an address of that ``standing``."""
        self.tick()
        if self.keep(record, standing) is Verdict.KEPT:
            self.keep(contact, standing)
            self._providers.reached(record.key, record.public_key, standing)

    def signed(self, record: ProviderRecord | ContactRecord) -> bool:
        """Whether the signature is valid in this network; costs about 150 microseconds."""
        try:
            check(record, self._network, self._crypto)
        except InvalidSignature:
            return False
        return True

    @property
    def count(self) -> int:
        """How many provider records are kept."""
        return self._providers.count

    def held(self) -> list[HeldRecord]:
        """All records that are kept, those of providers first."""
        return [*self._providers.held(), *self._contacts.held()]


def read(kind: type[S], packed: bytes | None) -> S | None:
    """None for one that is malformed: that costs only itself, not what stands beside it."""
    try:
        return None if packed is None else unpack(kind, packed)
    except RemoteProtocolError:
        return None
