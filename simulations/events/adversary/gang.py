"""Who attacks together: accomplices that know each other, and what they have overheard."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from dhtstore.model.contact import Address, Contact, ContactRecord
from dhtstore.model.identity import DhtKey, PublicKey
from dhtstore.model.network import Network
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.signing import Signer, sign
from dhtstore.params import CONTACT_RECORD_TTL_S, PROVIDER_TTL_S, PUBLIC_KEY_BYTES, K
from dhtstore.wire.datagram import pack_contact
from simulations.nodes.population import PORT
from simulations.world.ports.clock import SimClock

_OVERHEARD_MAX, _DATAGRAMS_MAX = 4096, 256
Pair = tuple[ProviderRecord, ContactRecord]


@dataclass(frozen=True, slots=True)
class Accomplice:
    """One of them, as it is told to others; ``contact`` is packed as in datagrams, ``record`` its
    contact record, freshly signed."""

    number: int
    long_id: int
    contact: bytes
    record: Callable[[], ContactRecord]
    signer: Signer
    clock: SimClock

    def provides(self, key: bytes, network: Network) -> Pair:
        """Its signed word that it provides ``key``."""
        return provider_record(key, network, self.signer, self.clock.unix_s()), self.record()


class Gang:
    """``active`` while the attack lasts; ``acts`` counts what was done, by behaviour, and
    ``refused`` what others said of records that they were to store."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.active = rng, False
        self.accomplices: list[Accomplice] = []
        self.acts: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        self.datagrams: deque[bytes] = deque(maxlen=_DATAGRAMS_MAX)  # as they came, the newest
        self._overheard: dict[tuple[bytes, bytes], Pair] = {}

    def did(self, what: str) -> None:
        self.acts[what] = self.acts.get(what, 0) + 1

    def was_refused(self, why: str, times: int) -> None:
        self.refused[why] = self.refused.get(why, 0) + times

    def wrong(self, me: Accomplice) -> bytes:
        """Contacts that have nothing to do with what was asked: half of them of the gang, half of
        nobody."""
        others = [one for one in self.accomplices if one is not me]
        chosen = self.rng.sample(others, min(K // 2 - 1, len(others)))
        of_the_gang = [one.contact for one in (me, *chosen)]
        return b"".join([*of_the_gang, *(made_up(self.rng) for _ in range(K // 2))])

    def closest(self, target: bytes) -> bytes:
        """Contacts of those of the gang that are closest to ``target``."""
        number = int.from_bytes(target, "big")
        near = sorted(self.accomplices, key=lambda one: one.long_id ^ number)
        return b"".join(one.contact for one in near[:K])

    def overhear(self, pair: Pair) -> None:
        """Remember the first record of each signer for each key: the older it is, the better."""
        if len(self._overheard) < _OVERHEARD_MAX:
            self._overheard.setdefault((pair[0].key, pair[0].public_key), pair)

    def overheard(self, key: bytes | None = None) -> list[Pair]:
        """What was overheard, of one key or of all."""
        return [pair for (of, _), pair in self._overheard.items() if key in (None, of)]


def made_up(rng: random.Random) -> bytes:
    """The packed contact of a node that there is not, at an address where nobody is."""
    key = PublicKey(rng.randbytes(PUBLIC_KEY_BYTES))
    return pack_contact(Contact.of(key, unused_address(rng), storage=True))


def unused_address(rng: random.Random) -> Address:
    """Where no machine of a world is."""
    return Address(f"10.255.{rng.randrange(256)}.{rng.randrange(1, 255)}", PORT)


def provider_record(key: bytes, network: Network, signer: Signer, unix_s: float) -> ProviderRecord:
    """A record as an honest provider would sign it."""
    now = int(unix_s)
    record = ProviderRecord(DhtKey(key), signer.public_key, now, now, now + int(PROVIDER_TTL_S))
    return sign(record, network, signer)


def contact_record(
    address: Address, capacity_bytes: int, network: Network, signer: Signer, unix_s: float
) -> ContactRecord:
    """What a node at that address would say of itself."""
    now = int(unix_s)
    until = now + int(CONTACT_RECORD_TTL_S)
    record = ContactRecord(signer.public_key, (address,), capacity_bytes, "", now, now, until)
    return sign(record, network, signer)
