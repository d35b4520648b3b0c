"""Few short inputs that stand for all that were tried: ``corpus.json`` beside this.

Of each decoder, the shortest found for each thing it says; ``python -m tests.fuzz --distil`` adds
those that say something new.  Inputs that broke something stand there too, with ``broke`` telling
what.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from dhtstore.errors import DhtstoreError
from dhtstore.model.contact import ContactRecord
from dhtstore.model.policy import Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import unpack
from dhtstore.wire import datagram, envelope, frames
from tests.fuzz.mutator import Mutator
from tests.vectors.generate import ANSWERS, FRAMES, REQUESTS, SIGNED, body_bytes_of, sealed

FILE: Final = Path(__file__).with_name("corpus.json")
INPUT_MAX_BYTES: Final = 160  # of one that is kept
_HEAD: Final = datagram.FRAME_OVERHEAD_BYTES
_SENT: Final = re.compile(
    r" '[^']*'$| - at .*|, got .*|(?<=value) .*|(?<=codec) .*|: ?[0-9.:a-f]+$|: \[.*", re.DOTALL
)
Decode = Callable[[bytes], object]


def _kinds() -> dict[str, tuple[Decode, list[bytes]]]:
    """What decodes by name, with good inputs."""
    kinds: dict[str, tuple[Decode, list[bytes]]] = {
        "frame": (_frame, [frames.encode(each, body_bytes_of(each)) for each in FRAMES]),
        "request": (
            datagram.decode_request,
            [datagram.encode_request(bytes(20), each)[_HEAD:] for each in REQUESTS],
        ),
        "outside": (envelope.parse, [sealed(), sealed(bytes(16)), sealed(size_bytes=100)]),
        "contacts": (_contacts, [bytes(32) + b"\x01\x01\x02\x03\x04\x01\x01"]),
    }
    for request, answer in ANSWERS:
        packed = datagram.encode_response(bytes(20), answer)[_HEAD:]
        name = f"answer to {type(request).__name__}"
        kinds.setdefault(name, (partial(datagram.decode_response, request), []))[1].append(packed)
    for kind in (ContactRecord, ProviderRecord, Policy, Receipt):
        good = [each.packed for each in SIGNED if isinstance(each, kind)]
        kinds[f"signed {kind.__name__}"] = (partial(_unpack, kind), good)
    return kinds


def _unpack(kind: Any, packed: bytes) -> object:
    return unpack(kind, packed)


def _frame(data: bytes) -> object:
    """All of it lies in ``data``: a stream reads as many bytes for a prefix."""
    size = frames.PREFIX.size
    _, body_bytes = frames.decode_prefix(data[:size].ljust(size, b"\0"))
    return frames.decode(data[size:], body_bytes)


def _contacts(packed: bytes) -> object:
    cut = datagram.split_contacts(packed, ipv6=False)
    return [datagram.unpack_contact(each) for each in cut]


KINDS: Final = _kinds()


def outcome_of(kind: str, data: bytes) -> str:
    """What is made of it, for people: of a refusal why, without what was sent and where it stood.
    Whatever is no error of ours is raised."""
    try:
        return type(KINDS[kind][0](data)).__name__
    except DhtstoreError as error:
        why = _SENT.sub("", str(error))
        return f"{type(error).__name__}: {re.sub(r'0x[0-9a-f]+|[0-9]+', '#', why)}"


def entries() -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def distil(count: int, seed: int) -> int:
    """Try ``count`` inputs, and keep what says something new; how many there are then."""
    kept = {(one["kind"], one["outcome"]): one for one in entries()} if FILE.exists() else {}
    rng = random.Random(seed)
    names = [*KINDS]
    for _ in range(count):
        kind = rng.choice(names)
        good = KINDS[kind][1]
        data = Mutator(rng, good).message(rng.choice(good))
        said = outcome_of(kind, data)
        known = kept.get((kind, said))
        if known is None or ("broke" not in known and 2 * len(data) < len(known["hex"])):
            kept[kind, said] = {"kind": kind, "outcome": said, "hex": data.hex()}
    small = [_smaller(one) for _, one in sorted(kept.items())]
    short = [one for one in small if "broke" in one or len(one["hex"]) <= 2 * INPUT_MAX_BYTES]
    FILE.write_text(json.dumps(short, indent=1) + "\n", encoding="utf-8")
    return len(short)


def _smaller(one: dict[str, str]) -> dict[str, str]:
    """The same outcome with fewer bytes, as far as leaving some out leads."""
    data, size = bytes.fromhex(one["hex"]), 64
    while size:
        for at in range(0, len(data), size):
            shorter = data[:at] + data[at + size :]
            if outcome_of(one["kind"], shorter) == one["outcome"]:
                data = shorter
                break
        else:
            size //= 2
    return {**one, "hex": data.hex()}
