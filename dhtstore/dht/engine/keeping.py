"""The records kept here for others: what may be kept is judged, its signature checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.record_stores import ContactStore, ProviderStore
from dhtstore.dht.engine.channel import Channel
from dhtstore.errors import InvalidSignature
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import NodeId
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import check

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto


class RecordKeeper:
    """Provider and contact records of one node.  Call ``tick`` before using the others: the
    stores know the time only from it."""

    def __init__(self, channel: Channel, network: Network, crypto: Crypto, clock: Clock) -> None:
        self._providers, self._contacts = ProviderStore(), ContactStore()
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

    def keep(self, record: ProviderRecord | ContactRecord) -> Verdict:
        """Keep a record here if it is in order, in time and signed; its signature is checked
        once, so repeating a record costs nothing."""
        store: Any = self._providers if isinstance(record, ProviderRecord) else self._contacts
        verdict: Verdict = store.verdict(record)
        if verdict is not Verdict.KEPT or store.holds(record):
            return verdict
        if not self.signed(record):
            self._channel.count("bad_signatures")
            return Verdict.BAD_SIGNATURE
        store.add(record)
        return verdict

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

    def expiries_s(self) -> list[float]:
        """When each provider record that is kept ends, in monotonic seconds."""
        return self._providers.expiries_s()
