"""What a lookup gathers besides contacts: verified records, the newest of each signer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_stores import contact_form, in_time, provider_form
from dhtstore.dht.engine.crawl import Crawl
from dhtstore.dht.engine.keeping import RecordKeeper
from dhtstore.errors import RemoteProtocolError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import NodeId
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import Signed, unpack
from dhtstore.params import CONTACT_RECORD_TTL_S, PROVIDER_TTL_S, PROVIDERS_PER_KEY_MAX
from dhtstore.wire.datagram import FoundContact, GetProviders, Providers, Response

_VERIFICATIONS_MAX: Final = 8 * PROVIDERS_PER_KEY_MAX  # of one search: 50 ms of lies at most
S = TypeVar("S", bound=Signed)
_CONTACTS_AGREE: Final = 2  # answers with a contact record before a search ends early


@dataclass(frozen=True, slots=True)
class Provider:
    """Who provides, and how to reach it if a holder of the record knew."""

    record: ProviderRecord
    contact: ContactRecord | None


OnProvider = Callable[[Provider], None]


@dataclass(frozen=True, slots=True)
class FoundProviders:
    """What a search found, and how many of the nodes that it ``asked`` had ``answered``."""

    providers: list[Provider]
    asked: int
    answered: int

    def extent(self) -> str:
        """How far a search that found nobody can be believed, in words."""
        if not self.asked:
            return "this node knows no other node"
        return f"{self.answered} of {self.asked} nodes asked answered"


class ProviderHarvest:
    """Gathers the providers of one key from local and remote answers; ``on_provider`` is told
    of each when it is found."""

    def __init__(
        self,
        keeper: RecordKeeper,
        key: bytes,
        wanted: int,
        unix_s: Callable[[], float],
        on_provider: OnProvider,
    ) -> None:
        self.crawl: Crawl | None = None
        self._on_provider = on_provider
        self._keeper, self._key, self._wanted, self._unix_s = keeper, key, wanted, unix_s
        self._records: dict[bytes, ProviderRecord] = {}
        self._contacts: dict[bytes, ContactRecord] = {}
        self._offsets: dict[bytes, int] = {}
        self._verifications = 0

    def take_local(self) -> bool:
        """Take what this node keeps (checked on arrival); True if that is enough."""
        for record in self._keeper.providers(self._key):
            self._records[record.public_key] = record
            contact = self._keeper.contact_of(record)
            if contact is not None:
                self._contacts[record.public_key] = contact
            self._on_provider(Provider(record, contact))
        return self._enough()

    def on_answer(self, peer: Peer, response: Response) -> bool:
        """Take one page; ask for the next; True if no more is needed."""
        if not isinstance(response, Providers):
            return False
        for provided in response.providers:
            record = read(ProviderRecord, provided.record)
            if record is not None:
                self._take(record, read(ContactRecord, provided.contact))
        self._ask_next_page(peer, response)
        return self._enough()

    def providers(self) -> list[Provider]:
        """In the order in which they were found."""
        return [Provider(r, self._contacts.get(key)) for key, r in self._records.items()]

    def _enough(self) -> bool:
        return len(self._records) >= self._wanted

    def _ask_next_page(self, peer: Peer, page: Providers) -> None:
        offset = self._offsets.get(peer.id, 0) + len(page.providers)
        self._offsets[peer.id] = offset
        if page.providers and offset < page.total and not self._enough() and self.crawl:
            self.crawl.ask_page(peer, GetProviders(self._key, offset))

    def _take(self, record: ProviderRecord, contact: ContactRecord | None) -> None:
        if record.key != self._key or not provider_form(record):
            return
        if not in_time(record, PROVIDER_TTL_S, self._unix_s()):
            return
        held = self._records.get(record.public_key)
        if held is None and len(self._records) >= PROVIDERS_PER_KEY_MAX:
            return
        if held is None or record.sequence > held.sequence:
            if not self._verified(record):
                return
            self._records[record.public_key] = record
        if contact is not None and contact.public_key == record.public_key:
            self._take_contact(contact)
        if held is None:
            self._on_provider(Provider(record, self._contacts.get(record.public_key)))

    def _take_contact(self, contact: ContactRecord) -> None:
        held = self._contacts.get(contact.public_key)
        if held is not None and contact.sequence <= held.sequence:
            return
        usable = contact_form(contact) and in_time(contact, CONTACT_RECORD_TTL_S, self._unix_s())
        if usable and self._verified(contact):
            self._contacts[contact.public_key] = contact

    def _verified(self, record: ProviderRecord | ContactRecord) -> bool:
        """Each record is checked once: a copy of one we hold never gets here."""
        self._verifications += 1
        return self._verifications <= _VERIFICATIONS_MAX and self._keeper.signed(record)


class ContactHarvest:
    """Gathers the contact record of one node."""

    def __init__(self, keeper: RecordKeeper, node: NodeId, unix_s: Callable[[], float]) -> None:
        self.newest: ContactRecord | None = keeper.contact(node)
        self._keeper, self._node, self._unix_s = keeper, node, unix_s
        self._answers = 0

    def on_answer(self, peer: Peer, response: Response) -> bool:
        """True once enough nodes answered with a record that is in order."""
        packed = response.contact if isinstance(response, FoundContact) else None
        record = read(ContactRecord, packed)
        if record is not None and self._usable(record):
            self._answers += 1
            if self.newest is None or record.sequence > self.newest.sequence:
                self.newest = record
        return self._answers >= _CONTACTS_AGREE

    def _usable(self, record: ContactRecord) -> bool:
        if not contact_form(record) or record.node != self._node:
            return False
        if record == self.newest:
            return True
        return in_time(record, CONTACT_RECORD_TTL_S, self._unix_s()) and self._keeper.signed(record)


def read(kind: type[S], packed: bytes | None) -> S | None:
    """None for one that is malformed: that costs only itself, not what stands beside it."""
    try:
        return None if packed is None else unpack(kind, packed)
    except RemoteProtocolError:
        return None
