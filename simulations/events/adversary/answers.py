"""What each behaviour answers to a datagram's request, and what it leaves to the honest node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dhtstore.dht.core.record_rules import Verdict
from dhtstore.dht.engine.holding.keeping import read
from dhtstore.model.contact import ContactRecord
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.wire.datagram import (
    UNSUPPORTED,
    AddProvider,
    AddProviders,
    FindContact,
    FindNode,
    FindPolicy,
    FoundContact,
    FoundNodes,
    FoundPolicy,
    GetProviders,
    Provided,
    Providers,
    Request,
    Response,
    StoreContact,
    Stored,
    StoredEach,
    StorePolicy,
)
from simulations.events.adversary.forgery import forged
from simulations.events.adversary.gang import Accomplice, Gang, Pair

_TOLD_MAX = 2  # providers in an answer: they fit into a datagram


class Leave(Enum):
    """What is done instead of an answer of its own."""

    TO_THE_NODE = "to the node"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Mask:
    """One adversary: what it is to its accomplices, and how it behaves."""

    gang: Gang
    me: Accomplice
    network: Network
    behaviour: str

    @property
    def on(self) -> bool:
        """Whether it does what it is there for: until then it is an honest node."""
        return self.gang.active

    def acts(self) -> bool:
        """Whether it is on; then what it is about to do is counted."""
        if self.on:
            self.gang.did(self.behaviour)
        return self.on

    def hears(self, data: bytes) -> None:
        """A request, in the datagram as it came."""
        if self.behaviour == "replay":
            self.gang.datagrams.append(data)

    def answer(self, request: Request) -> Response | Leave:
        """Its own answer, or what happens instead."""
        if isinstance(request, AddProvider | AddProviders):
            self._overhear(request)
        if not self.on:
            return Leave.TO_THE_NODE
        answer = _ANSWERS.get(self.behaviour, _honest)(self, request)
        if answer is not Leave.TO_THE_NODE:
            self.acts()
        return answer

    def forgery(self, key: bytes) -> Pair | None:
        """Somebody else's word that it provides ``key``, forged; None while nobody is known."""
        heard = self.gang.overheard(key) or self.gang.overheard()
        if not heard:
            return None
        mine = self.me.provides(key, self.network)
        return forged(self.gang.rng, heard, mine, self.network, self.me.signer)

    def _overhear(self, request: AddProvider | AddProviders) -> None:
        contact = read(ContactRecord, request.contact)
        for packed in [request.record] if isinstance(request, AddProvider) else request.records:
            record = read(ProviderRecord, packed)
            if record is not None and contact is not None:
                self.gang.overhear((record, contact))


def _honest(mask: Mask, request: Request) -> Leave:
    return Leave.TO_THE_NODE


def _drop(mask: Mask, request: Request) -> Leave:
    return Leave.UNANSWERED


def _lie(mask: Mask, request: Request) -> Response | Leave:
    """Contacts that are none of those asked for, and providers that have nothing."""
    if isinstance(request, FindNode):
        return FoundNodes(mask.gang.wrong(mask.me))
    if isinstance(request, FindContact):
        return FoundContact(None, mask.gang.wrong(mask.me))
    if isinstance(request, FindPolicy):
        return FoundPolicy(None, mask.gang.wrong(mask.me))
    if isinstance(request, GetProviders):
        liars = (mask.me, *(one for one in mask.gang.accomplices if one is not mask.me))
        pairs = [one.provides(request.key, mask.network) for one in liars[:_TOLD_MAX]]
        return _providers(pairs, b"")
    return Leave.TO_THE_NODE


def _eclipse(mask: Mask, request: Request) -> Response | Leave:
    """As if nobody but the gang were near, and nothing were stored there."""
    if isinstance(request, FindNode):
        return FoundNodes(mask.gang.closest(request.target))
    if isinstance(request, FindContact):
        return FoundContact(None, mask.gang.closest(request.node))
    if isinstance(request, FindPolicy):
        return FoundPolicy(None, mask.gang.closest(request.key))
    if isinstance(request, GetProviders):
        return Providers(0, [], mask.gang.closest(request.key))
    return Leave.TO_THE_NODE


def _replay(mask: Mask, request: Request) -> Response | Leave:
    """The oldest that was ever heard of a key, whatever was said since."""
    old = mask.gang.overheard(request.key) if isinstance(request, GetProviders) else []
    return _providers(old[:_TOLD_MAX], b"") if old else Leave.TO_THE_NODE


def _refuse(mask: Mask, request: Request) -> Response | Leave:
    """No room for records, and no service to who seeks."""
    if isinstance(request, AddProviders):
        return StoredEach([Verdict.FULL.value] * len(request.records))
    if isinstance(request, AddProvider | StoreContact | StorePolicy):
        return Stored(Verdict.FULL.value)
    seeks = isinstance(request, FindNode | FindContact | FindPolicy | GetProviders)
    return UNSUPPORTED if seeks else Leave.TO_THE_NODE


def _forget(mask: Mask, request: Request) -> Response | Leave:
    """Kept, it says, and keeps nothing."""
    if isinstance(request, AddProviders):
        return StoredEach([Verdict.KEPT.value] * len(request.records))
    stores = isinstance(request, AddProvider | StoreContact | StorePolicy)
    return Stored(Verdict.KEPT.value) if stores else Leave.TO_THE_NODE


def _forge(mask: Mask, request: Request) -> Response | Leave:
    """Others' word that they provide the key, which they never gave."""
    if not isinstance(request, GetProviders):
        return Leave.TO_THE_NODE
    pairs = [pair for _ in range(_TOLD_MAX) if (pair := mask.forgery(request.key)) is not None]
    return _providers(pairs, b"") if pairs else Leave.TO_THE_NODE


def _providers(pairs: Sequence[Pair], contacts: bytes) -> Providers:
    told = [Provided(record.packed, contact.packed) for record, contact in pairs]
    return Providers(len(told), told, contacts)


_ANSWERS: Mapping[str, Callable[[Mask, Request], Response | Leave]] = {
    "drop": _drop,
    "lie": _lie,
    "eclipse": _eclipse,
    "replay": _replay,
    "refuse": _refuse,
    "forget": _forget,
    "forge": _forge,
}
