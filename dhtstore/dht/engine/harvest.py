"""What a lookup gathers besides contacts: verified records, the newest of each signer.

Each node first names PROVIDERS_PER_ANSWER, by lot, and the rest only if as many as are wanted are
not found otherwise; a page with a wrong signature, or nobody new, is its last.  So a search checks
a datagram of wrong ones a node, and few right ones a provider.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from dhtstore.dht.core.peer import Peer
from dhtstore.dht.core.record_rules import (
    contact_form,
    in_time,
    is_withdrawal,
    not_ahead,
    provider_form,
)
from dhtstore.dht.engine.calls import Calls
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
    K,
)
from dhtstore.wire.datagram import (
    SILENT_BYTES,
    AddProvider,
    FoundContact,
    GetProviders,
    Provided,
    Providers,
    Response,
)

# Right ones of one provider, each newer than the last, so that not even that goes on for ever.
_SIGNATURES_PER_PROVIDER_MAX: Final = 16
_LOCAL_PAGE: Final = 2 * PROVIDERS_PER_ANSWER  # of what is kept here, those that answer first
_CONTACTS_AGREE: Final = 2  # answers with a contact record before a search ends early
# Proofs of that age are all as good: else whoever proves itself every second would come first.
_PROVED_LATELY_S: Final = 80 * 60.0  # one of twenty index nodes has asked within that


@dataclass(frozen=True, slots=True)
class Provider:
    """Who provides, and how to reach it if a holder of the record knew."""

    record: ProviderRecord
    contact: ContactRecord | None


OnProvider = Callable[[Provider], None]


@dataclass(frozen=True, slots=True)
class FoundProviders:
    """What a search found, and how many of the nodes that it ``asked`` had ``answered``;
    ``expired`` others were named by records that are out of time.  ``told_of_us`` are those others
    that named this node itself."""

    providers: list[Provider]
    asked: int
    answered: int
    expired: int = 0
    told_of_us: int = 0
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
    kept here, by no ``peer``, was checked when it came.  ``named`` are the keys of all it named."""

    peer: Peer | None = None
    offset: int = 0
    taken: int = 0
    lied: bool = False
    waiting: list[tuple[ProviderRecord, ContactRecord | None]] = field(default_factory=list)
    named: set[bytes] = field(default_factory=set)
    silent: frozenset[bytes] = frozenset()  # the first bytes of those of which it hears no more


class _Words:
    """What was said of the life of providers; by our own knowledge some are ``silent``."""

    def __init__(self, silent: Callable[[bytes], bool]) -> None:
        self._silent_here = silent
        self._proved_s: dict[bytes, float] = {}  # how long ago, by the newest proof

    def proved(self, signer: bytes, proved_s: float | None) -> None:
        """Somebody says so."""
        if proved_s is not None:
            self._proved_s[signer] = min(self._proved_s.get(signer, proved_s), proved_s)

    def in_order(
        self, signers: Collection[bytes], answerers: Collection[_Answerer]
    ) -> Collection[bytes]:
        """As ``ProviderHarvest.providers`` tells them."""
        heard = [one for one in signers if not self._silent(one, answerers)] or signers
        return sorted(heard, key=lambda signer: self._proved_s.get(signer, math.inf))

    def _silent(self, signer: bytes, answerers: Collection[_Answerer]) -> bool:
        part = signer[:SILENT_BYTES]
        silent = sum(part in each.silent for each in answerers) + self._silent_here(signer)
        return silent > sum(signer in each.named for each in answerers)


class ProviderHarvest:
    """Gathers the providers of one key; ``on_provider`` is told of each when it is found.

    Who proved lately that it lives comes first, by anybody's word; that it is silent counts only by
    the word of most of those that keep its record, and where others were found.  The newest word of
    a signer counts, so what was withdrawn is not found where one that was asked knows that.
    Where ``silent`` ones are asked for, each is named by those that call it silent, too.
    """

    def __init__(
        self,
        keeper: RecordKeeper,
        key: bytes,
        wanted: int,
        unix_s: Callable[[], float],
        rng: random.Random,
        on_provider: OnProvider,
        *,
        silent: bool = False,
    ) -> None:
        self._crawl: Crawl | None = None
        self._on_provider = on_provider
        self._keeper, self._key, self._wanted = keeper, key, min(wanted, PROVIDERS_PER_KEY_MAX)
        self._unix_s, self._rng = unix_s, rng
        self._records, self._contacts = dict[bytes, ProviderRecord](), dict[bytes, ContactRecord]()
        self._answerers = dict[bytes, _Answerer]()
        self._signatures, self._expired = dict[bytes, int](), dict[bytes, None]()
        self._silent, self._words = silent, _Words(keeper.lives.silent)
        self._withdrawn = dict[bytes, ProviderRecord]()

    def follow(self, crawl: Crawl) -> None:
        """Further pages are asked for by this one from now on."""
        self._crawl = crawl

    def page(self, offset: int = 0) -> GetProviders:
        """What to ask for."""
        return GetProviders(self._key, offset, self._silent)

    def take_local(self) -> bool:
        """Take of what this node keeps as of an answer; True if that is enough."""
        here = self._answerers[b""] = _Answerer()
        self._withdrawn = {one.public_key: one for one in self._keeper.withdrawn(self._key)}
        records = self._keeper.providers(self._key)
        records = records + self._keeper.silent(self._key) * self._silent
        for at in range(0, len(records), _LOCAL_PAGE):
            page = records[at : at + _LOCAL_PAGE]
            for record in self._rng.sample(page, len(page)):
                ago_s = self._keeper.proved_ago_s(record.public_key)
                self._words.proved(record.public_key, ago_s)
                here.named.add(record.public_key)
                self._sort(here, record, self._keeper.contact_of(record))
        return self._enough()

    def on_answer(self, peer: Peer, response: Response) -> bool:
        """Take one page; ask for the next; True if no more is needed."""
        if not isinstance(response, Providers):
            return False
        answerer = self._answerers.setdefault(peer.id, _Answerer(peer))
        answerer.silent |= frozenset(_parts(response.silent))
        before = len(answerer.named)
        for provided in sorted(response.providers, key=partial(_turn, self._rng)):
            record = read(ProviderRecord, provided.record)
            if record is not None and self._usable(answerer, record):
                self._words.proved(record.public_key, provided.proved_s)
                answerer.named.add(record.public_key)
                self._sort(answerer, record, read(ContactRecord, provided.contact))
        answerer.offset += len(response.providers)
        if len(answerer.named) > before and answerer.offset < response.total:
            self._ask_next_page(peer, answerer)
        return self._enough()

    def take_waiting(self) -> Iterator[None]:
        """Nobody else will answer: take what is wanted of each node in turn, one a step."""
        told = [each for each in self._answerers.values() if each.waiting]
        self._rng.shuffle(told)
        while told and not self._enough():
            for answerer in told:
                self._take_one_more(answerer)
                yield
            told = [each for each in told if each.waiting]

    def providers(self) -> list[Provider]:
        """Those that proved last that they live first; silent ones where there is nobody else."""
        order = self._words.in_order(self._records, self._answerers.values())
        return [Provider(self._records[key], self._contacts.get(key)) for key in order]

    def corrections(self) -> Iterator[tuple[Peer, AddProvider]]:
        """Withdrawals for those that still name what was taken back: a split kept them away."""
        for signer, withdrawal in self._withdrawn.items():
            contact = self._contacts.get(signer)
            if signer in self._records or contact is None:
                continue
            request = AddProvider(withdrawal.packed, contact.packed)
            for each in self._answerers.values():
                if each.peer is not None and signer in each.named:
                    yield each.peer, request

    def witnesses(self, signer: bytes) -> int:
        """How many other nodes named it."""
        return sum(signer in one.named for one in self._answerers.values() if one.peer is not None)

    @property
    def expired(self) -> int:
        """How many were named by records alone that are out of time; not verified."""
        return sum(key not in self._records for key in self._expired)

    def _enough(self) -> bool:
        return len(self._records) >= self._wanted

    def _ask_next_page(self, peer: Peer, answerer: _Answerer) -> None:
        """Unless it named enough: it could hold a search to its deadline."""
        enough = len(answerer.named) >= self._wanted or self._enough()
        if self._crawl and not (enough or answerer.lied):
            self._crawl.ask_page(peer, self.page(answerer.offset))

    def _usable(self, answerer: _Answerer, record: ProviderRecord) -> bool:
        if record.key != self._key or not provider_form(record):
            return False
        if is_withdrawal(record):
            self._take_back(answerer, record)
            return False
        if in_time(record, PROVIDER_TTL_S, self._unix_s()):
            return True
        if len(self._expired) < PROVIDERS_PER_KEY_MAX:
            self._expired[record.public_key] = None
        return False

    def _take_back(self, answerer: _Answerer, withdrawal: ProviderRecord) -> None:
        """What its signer said before is not found any more."""
        signer = withdrawal.public_key
        known = self._withdrawn.get(signer)
        full = known is None and len(self._withdrawn) >= PROVIDERS_PER_KEY_MAX
        older = known is not None and known.sequence >= withdrawal.sequence
        if full or older or not not_ahead(withdrawal, self._unix_s()):
            return
        if self._verified(answerer, withdrawal):
            self._withdrawn[signer] = withdrawal
            self._keeper.keep(withdrawal)  # in the place of an older record here, if one is
            record = self._records.get(signer)
            if record is not None and record.sequence < withdrawal.sequence:
                del self._records[signer]

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
        withdrawn = self._withdrawn.get(record.public_key)
        if withdrawn is not None and withdrawn.sequence > record.sequence:
            self._take_contact(answerer, contact, record.public_key)
            return
        if held is None and len(self._records) >= PROVIDERS_PER_KEY_MAX:
            return
        if held is None or record.sequence > held.sequence:
            if not self._verified(answerer, record):
                return
            self._records[record.public_key] = record
        self._take_contact(answerer, contact, record.public_key)
        if held is None:
            answerer.taken += 1
            self._on_provider(Provider(record, self._contacts.get(record.public_key)))

    def _take_contact(
        self, answerer: _Answerer, contact: ContactRecord | None, signer: bytes
    ) -> None:
        if contact is None or contact.public_key != signer:
            return
        held = self._contacts.get(signer)
        if held is not None and contact.sequence <= held.sequence:
            return
        in_order = contact_form(contact) and in_time(contact, CONTACT_RECORD_TTL_S, self._unix_s())
        if (answerer.peer is None or in_order) and self._verified(answerer, contact):
            self._contacts[signer] = contact

    def _verified(self, answerer: _Answerer, record: ProviderRecord | ContactRecord) -> bool:
        """Once each.  Index nodes check what they keep: who tells of an unsigned one has lied."""
        signer = record.public_key
        seen = self._signatures.get(signer, 0)
        if seen >= _SIGNATURES_PER_PROVIDER_MAX:
            return False
        if answerer.peer is not None and not self._keeper.signed(record):
            answerer.lied = True
            answerer.waiting.clear()
            return False
        self._signatures[signer] = seen + 1
        return True


def correct(harvest: ProviderHarvest, calls: Calls) -> None:
    """Tell nodes of withdrawals that they had not heard of."""
    for peer, request in islice(harvest.corrections(), K):
        calls.ask(peer, request, _unheeded, attempts=1)


def _unheeded(peer: Peer, response: Response | None) -> None:
    """Whoever tells others need not know what became of it."""


def _turn(rng: random.Random, provided: Provided) -> tuple[bool, float]:
    """Those that proved lately that they live first, by lot."""
    late = provided.proved_s is None or provided.proved_s > _PROVED_LATELY_S
    return late, rng.random()


def _parts(silent: bytes) -> Iterator[bytes]:
    for at in range(0, len(silent), SILENT_BYTES):
        yield silent[at : at + SILENT_BYTES]


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
