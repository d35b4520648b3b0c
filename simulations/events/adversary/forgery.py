"""Records with signatures that their signers did not make.

The laboratory's signatures are a hash keyed by the public key, so anybody could make right ones;
a forger does not.  It has what an attacker of Ed25519 has: no signature at all, signatures by its
own key, and signatures that others made of something else.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from dhtstore.model.network import Network
from dhtstore.model.signing import Signer, attach, sign
from dhtstore.params import SIGNATURE_BYTES
from simulations.events.adversary.gang import Pair

_LATER = 1_000_000  # newer than anything its victim signs in a run


def forged(
    rng: random.Random, heard: Sequence[Pair], mine: Pair, network: Network, signer: Signer
) -> Pair:
    """``mine``, as if somebody who was overheard had signed it, and later than all it has said:
    that it provides the key, and is where the forger is."""
    record, contact = rng.choice(heard)
    way = rng.randrange(3)
    return (
        _as_if(way, mine[0], record, network, signer),
        _as_if(way, mine[1], contact, network, signer),
    )


def _as_if(way: int, mine: Any, genuine: Any, network: Network, signer: Signer) -> Any:
    """In one of three ways; ``genuine`` is what the victim did sign."""
    unsigned = replace(mine, public_key=genuine.public_key, sequence=genuine.sequence + _LATER)
    if way == 0:
        return attach(unsigned, bytes(SIGNATURE_BYTES))
    if way == 1:
        return attach(unsigned, genuine.signature)
    return sign(unsigned, network, signer)
