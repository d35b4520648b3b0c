"""What a lookup gathers besides contacts: verified records, the newest of each signer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_rules import contact_form, in_time, provider_form
from dhtstore.dht.engine.crawl import Crawl
from dhtstore.dht.engine.holding.keeping import RecordKeeper, read
from dhtstore.model.contact import ContactRecord
from dhtstore.model.identity import NodeId
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.params import (
    CONTACT_RECORD_TTL_S,
    PROVIDER_TTL_S,
    PROVIDERS_PER_ANSWER,
    PROVIDERS_PER_KEY_MAX,
)
from dhtstore.wire.datagram import FoundContact, GetProviders, Providers, Response

# Right ones of one provider, each newer than the last, so that not even that goes on for ever.
_SIGNATURES_PER_PROVIDER_MAX: Final = 16
_LOCAL_PAGE: Final = 2 * PROVIDERS_PER_ANSWER  # of what is kept here, those that answer first
_CONTACTS_AGREE: Final = 2  # answers with a contact record before a search ends early


@dataclass(frozen=True, slots=True)
class Provider:
    """Who provides, and how to reach it if a holder of the record knew."""

    record: ProviderRecord
    contact: ContactRecord | None


OnProvider = Callable[[Provider], None]


@dataclass(frozen=True, slots=True)
class FoundProviders:
    """What a search found, and how many of the nodes that it ``asked`` had ``answered``;
    ``expired`` others were named by records that are out of time."""

    providers: list[Provider]
    asked: int
    answered: int
    expired: int = 0
    own_clock: str = ""  # how ours differs from those of most peers, if it does

    def extent(self) -> str:
        """How far a search that found nobody can be believed, in words."""
        if not self.asked:
            return "this node knows no other node"
        why = f"{self.answered} of {self.asked} nodes asked answered"
        if self.own_clock:  # records that are in time look as if they were not
            why += f"; this node's clock is {self.own_clock}"
        return why


@dataclass(slots=True)
class _Answerer:
    """What one node told: ``taken`` counts the providers it was the first to name, and ``waiting``
    are those it named beyond its share.  One that ``lied`` is asked for no further page; what is
    kept ``here`` was checked when it came."""

    here: bool = False
    offset: int = 0
    taken: int = 0
    lied: bool = False
    waiting: list[tuple[ProviderRecord, ContactRecord | None]] = field(default_factory=list)


class ProviderHarvest:
    """Gathers the providers of one key from local and remote answers; ``on_provider`` is told
    of each when it is found.

    No answer keeps others out: each node first names PROVIDERS_PER_ANSWER, by lot, and the rest
    only if ``wanted`` are not found otherwise; a page with a wrong signature is its last.  So a
    search checks a datagram of wrong ones a node, and a bounded number of right ones a provider.
    """

    def __init__(
        self,
        keeper: RecordKeeper,
        key: bytes,
        wanted: int,
        unix_s: Callable[[], float],
        rng: random.Random,
        on_provider: OnProvider,
    ) -> None:
        self._crawl: Crawl | None = None
        self._on_provider = on_provider
        self._keeper, self._key, self._wanted = keeper, key, min(wanted, PROVIDERS_PER_KEY_MAX)
        self._unix_s, self._rng = unix_s, rng
        self._records: dict[bytes, ProviderRecord] = {}
        self._contacts: dict[bytes, ContactRecord] = {}
        self._answerers: dict[bytes, _Answerer] = {}
        self._signatures: dict[bytes, int] = {}
        self._expired: dict[bytes, None] = {}

    def follow(self, crawl: Crawl) -> None:
        """Further pages are asked for by this one from now on."""
        self._crawl = crawl

    def take_local(self) -> bool:
        """Take of what this node keeps as of an answer; True if that is enough."""
        here = self._answerers[b""] = _Answerer(here=True)
        records = self._keeper.providers(self._key)
        for at in range(0, len(records), _LOCAL_PAGE):
            page = records[at : at + _LOCAL_PAGE]
            for record in self._rng.sample(page, len(page)):
                self._sort(here, record, self._keeper.contact_of(record))
        return self._enough()

    def on_answer(self, peer: Peer, response: Response) -> bool:
        """Take one page; ask for the next; True if no more is needed."""
        if not isinstance(response, Providers):
            return False
        answerer = self._answerers.setdefault(peer.id, _Answerer())
        for provided in self._rng.sample(response.providers, len(response.providers)):
            record = read(ProviderRecord, provided.record)
            if record is not None and self._usable(record):
                self._sort(answerer, record, read(ContactRecord, provided.contact))
        self._ask_next_page(peer, answerer, response)
        return self._enough()

    def take_waiting(self) -> Iterator[None]:
        """Nobody else will answer: take what is still wanted, from each node in turn, one a step,
        since signatures are dear."""
        told = [each for each in self._answerers.values() if each.waiting]
        self._rng.shuffle(told)
        while told and not self._enough():
            for answerer in told:
                self._take_one_more(answerer)
                yield
            told = [each for each in told if each.waiting]

    def providers(self) -> list[Provider]:
        """In the order in which they were found."""
        return [Provider(r, self._contacts.get(key)) for key, r in self._records.items()]

    @property
    def expired(self) -> int:
        """How many were named whose record is out of time, and by no other; not verified."""
        return sum(key not in self._records for key in self._expired)

    def _enough(self) -> bool:
        return len(self._records) >= self._wanted

    def _ask_next_page(self, peer: Peer, answerer: _Answerer, page: Providers) -> None:
        answerer.offset += len(page.providers)
        more = page.providers and answerer.offset < page.total and not answerer.lied
        if more and not self._enough() and self._crawl:
            self._crawl.ask_page(peer, GetProviders(self._key, answerer.offset))

    def _usable(self, record: ProviderRecord) -> bool:
        if record.key != self._key or not provider_form(record):
            return False
        if in_time(record, PROVIDER_TTL_S, self._unix_s()):
            return True
        if len(self._expired) < PROVIDERS_PER_KEY_MAX:
            self._expired[record.public_key] = None
        return False

    def _sort(
        self, answerer: _Answerer, record: ProviderRecord, contact: ContactRecord | None
    ) -> None:
        """Take it now, or once the others were heard."""
        if record.public_key in self._records or answerer.taken < PROVIDERS_PER_ANSWER:
            self._take(answerer, record, contact)
        elif not answerer.lied:
            answerer.waiting.append((record, contact))

    def _take_one_more(self, answerer: _Answerer) -> None:
        """The next that is not known by now."""
        known = len(self._records)
        while answerer.waiting and len(self._records) == known and not self._enough():
            self._take(answerer, *answerer.waiting.pop(0))

    def _take(
        self, answerer: _Answerer, record: ProviderRecord, contact: ContactRecord | None
    ) -> None:
        held = self._records.get(record.public_key)
        if held is None and len(self._records) >= PROVIDERS_PER_KEY_MAX:
            return
        if held is None or record.sequence > held.sequence:
            if not self._verified(answerer, record):
                return
            self._records[record.public_key] = record
        if contact is not None and contact.public_key == record.public_key:
            self._take_contact(answerer, contact)
        if held is None:
            answerer.taken += 1
            self._on_provider(Provider(record, self._contacts.get(record.public_key)))

    def _take_contact(self, answerer: _Answerer, contact: ContactRecord) -> None:
        held = self._contacts.get(contact.public_key)
        if held is not None and contact.sequence <= held.sequence:
            return
        in_order = contact_form(contact) and in_time(contact, CONTACT_RECORD_TTL_S, self._unix_s())
        if (answerer.here or in_order) and self._verified(answerer, contact):
            self._contacts[contact.public_key] = contact

    def _verified(self, answerer: _Answerer, record: ProviderRecord | ContactRecord) -> bool:
        """Each record is checked once: a copy of one we hold never gets here.  Index nodes check
        what they keep, so who tells of one that is not signed has lied."""
        signer = record.public_key
        seen = self._signatures.get(signer, 0)
        if seen >= _SIGNATURES_PER_PROVIDER_MAX:
            return False
        if not answerer.here and not self._keeper.signed(record):
            answerer.lied = True
            answerer.waiting.clear()
            return False
        self._signatures[signer] = seen + 1
        return True


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
