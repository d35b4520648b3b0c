"""The records kept here for others: what may be kept is judged, its signature checked once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.core.stores import key_places
from dhtstore.dht.core.stores.contact_store import ContactStore
from dhtstore.dht.core.stores.held import OURS, HeldRecord, Standing
from dhtstore.dht.core.stores.liveness import Liveness
from dhtstore.dht.core.stores.policy_store import PolicyStore
from dhtstore.dht.core.stores.provider_store import ProviderStore
from dhtstore.dht.engine.channel import Channel
from dhtstore.errors import InvalidSignature, RemoteProtocolError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import NodeId, node_id
from dhtstore.model.network import Network
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import Signed, check, unpack
from dhtstore.params import NODE_ID_BYTES

if TYPE_CHECKING:
    from dhtstore.net.ports import Clock, Crypto

Kept = ProviderRecord | ContactRecord | Policy
S = TypeVar("S", bound=Signed)


class RecordKeeper:
    """Provider and contact records of one node, and policies.  Call ``tick`` before using the
    others: the stores know the time only from it."""

    def __init__(self, channel: Channel, network: Network, crypto: Crypto, clock: Clock) -> None:
        self.own = channel.own
        self.changed: dict[bytes, None] = {}
        self._on_change: Callable[[], None] = _nobody
        own_id = node_id(self.own)
        self._providers, self._contacts = ProviderStore(own_id), ContactStore(own_id)
        self._policies = PolicyStore(own_id)
        self._channel, self._network, self._crypto, self._clock = channel, network, crypto, clock

    def tick(self) -> None:
        """Tell the stores the time, so that they drop what expired."""
        now, unix_s = self._clock.monotonic_s(), self._clock.unix_s()
        self._providers.tick(now, unix_s)
        self._contacts.tick(now, unix_s)
        self._policies.tick(now, unix_s)

    def providers(self, key: bytes) -> list[ProviderRecord]:
        """The records of a key whose providers are not silent, the best first."""
        return self._providers.of_key(key)

    def silent(self, key: bytes) -> list[ProviderRecord]:
        """The records of its other providers, who answered once and do so no more."""
        return key_places.silent(self._providers.all_of_key(key), self.lives, self._now_s)

    def withdrawn(self, key: bytes) -> list[ProviderRecord]:
        """What was taken back of a key and could be brought again, the newest first."""
        return key_places.withdrawn(self._providers.all_of_key(key), self._now_s)

    @property
    def lives(self) -> Liveness:
        """What is known of the life of providers whose records are kept."""
        return self._providers.lives

    def proved_ago_s(self, signer: bytes) -> float | None:
        """How long ago a provider last proved that it lives; None if it never did."""
        if signer == self.own:
            return 0.0
        return self.lives.proved_ago_s(signer, self._now_s)

    @property
    def _now_s(self) -> float:
        return self._clock.monotonic_s()

    def contact(self, node: NodeId) -> ContactRecord | None:
        """The newest contact record of that node."""
        return self._contacts.get(node)

    def contact_of(self, record: ProviderRecord) -> ContactRecord | None:
        """How to reach who signed ``record``."""
        return self._contacts.of_provider(record)

    def policy(self, key: bytes) -> Policy | None:
        """What the owner of that key wants for its root."""
        return self._policies.get(key)

    def keep(self, record: Kept, standing: Standing = OURS) -> Verdict:
        """Keep a record here if it is in order, in time, signed and there is a place for one of
        that ``standing``; its signature is checked once, so repeating a record costs nothing."""
        store = self._store_of(record)
        verdict: Verdict = store.verdict(record, standing)
        held = verdict is Verdict.KEPT and store.holds(record)
        if verdict is not Verdict.KEPT or (held and store is not self._policies):
            return verdict
        if not held and not self.signed(record):
            self._channel.count("bad_signatures")
            return Verdict.BAD_SIGNATURE
        store.add(record, standing)
        self._on_change()
        return verdict

    def _store_of(self, record: Kept) -> Any:
        if isinstance(record, Policy):
            return self._policies
        return self._providers if isinstance(record, ProviderRecord) else self._contacts

    def restore(self, record: Kept, standing: Standing, left_s: float) -> bool:
        """Keep for at most ``left_s`` seconds what an earlier run kept; False if it is out of time
        or there is no place for it.  Its signature was checked."""
        kept: bool = self._store_of(record).restore(record, standing, left_s)
        return kept

    def watch(self, on_change: Callable[[], None]) -> None:
        """From now on put down in ``changed`` the names of records that come and go, and tell
        ``on_change`` when some came."""
        self._on_change = on_change
        self._providers.watch(self.changed)
        self._contacts.watch(self.changed)
        self._policies.watch(self.changed)

    def by_name(self, name: bytes) -> HeldRecord | None:
        """What is kept under a name (``core.stores.held.name_of``)."""
        if name[:1] == b"c":
            return self._contacts.of_node(name[1:])
        if name[:1] == b"y":
            return self._policies.of_key(name[1:])
        return self._providers.of_signer(name[1 : 1 + NODE_ID_BYTES], name[1 + NODE_ID_BYTES :])

    def takes(self, record: ProviderRecord, standing: Standing) -> bool:
        """Whether there is a place for a record of that ``standing``."""
        return self._providers.verdict(record, standing) is Verdict.KEPT

    def contended(self, record: Kept) -> bool:
        """Whether places for such a record are scarce, so that its source must be proved."""
        if isinstance(record, ProviderRecord):
            return self._providers.contended(record.key)
        if isinstance(record, Policy):
            return self._policies.crowded
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
            self.lives.proved(record.public_key, self._now_s, pong=True)

    def signed(self, record: Kept) -> bool:
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
        """All records of nodes that are kept, those of providers first."""
        return [*self._providers.held(), *self._contacts.held()]


def _nobody() -> None:
    """Who writes nothing down need not know what changes."""


def read(kind: type[S], packed: bytes | None) -> S | None:
    """None for one that is malformed: that costs only itself, not what stands beside it."""
    try:
        return None if packed is None else unpack(kind, packed)
    except RemoteProtocolError:
        return None
