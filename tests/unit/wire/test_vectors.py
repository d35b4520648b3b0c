"""tests/vectors/protocol.json says what the code does, and what the code reads back."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.errors import InvalidSignature, InvalidTicket, RemoteProtocolError
from dhtstore.model.signing import check, unpack
from dhtstore.wire import datagram, envelope, frames
from dhtstore.wire.ticket import Ticket
from tests.vectors import generate
from tests.vectors.generate import ANSWERS, FRAMES, MESSAGE_ID, NETWORK, PEER, REQUESTS, SIGNED

VECTORS: dict[str, dict[str, Any]] = {
    vector["name"]: vector for vector in json.loads(generate.FILE.read_text())["vectors"]
}
Decode = Callable[[bytes], object]


def encoded(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name]["hex"])


def frame_of(data: bytes) -> frames.Frame:
    if len(data) < frames.PREFIX.size:
        raise RemoteProtocolError("cut short")  # as a stream that ends
    header_bytes, body_bytes = frames.decode_prefix(data[: frames.PREFIX.size])
    header = data[frames.PREFIX.size :]
    if header_bytes != len(header):
        raise RemoteProtocolError("cut short")
    return frames.decode(header, body_bytes)


def cases() -> Iterator[tuple[str, object, Decode]]:
    """Each vector with a value: its name, the value, and what reads it."""
    for frame in FRAMES:
        yield f"frame {type(frame).__name__}", frame, frame_of
    for request in REQUESTS:
        yield f"request {type(request).__name__}", request, _request
    for request, answer in ANSWERS:
        yield f"response {type(answer).__name__}", answer, _answer_to(request)
    for signed in SIGNED:
        yield f"signed {type(signed).__name__}", signed, _unpacking(type(signed))


def _request(data: bytes) -> object:
    return datagram.decode_request(data[datagram.FRAME_OVERHEAD_BYTES :])


def _answer_to(request: datagram.Request) -> Decode:
    return lambda data: datagram.decode_response(request, data[datagram.FRAME_OVERHEAD_BYTES :])


def _unpacking(kind: type[Any]) -> Decode:
    return lambda data: unpack(kind, data)


CASES = list(cases())
every_case = pytest.mark.parametrize(("name", "value", "decode"), CASES, ids=[c[0] for c in CASES])


def test_the_file_is_what_the_generator_writes() -> None:
    assert generate.FILE.read_text() == generate.text(), "python -m tests.vectors.generate"


def test_every_message_has_a_vector() -> None:
    kinds = {
        kind.__name__
        for module in (frames, datagram)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    }
    parts = {"AuditItem", "Frame", "FrameRequest", "FrameResponse", "Provided"}
    parts |= {"_Named", "_Numbered"}
    unknown = {"UnknownFrame", "UnknownRequest", "UnknownProcedure"}
    named = {name.split()[1] for name, _, _ in CASES}
    assert kinds - parts - unknown <= named


@every_case
def test_a_vector_decodes_to_its_value(name: str, value: object, decode: Decode) -> None:
    assert decode(encoded(name)) == value
    assert VECTORS[name]["value"] == generate.plain(value)


@pytest.mark.parametrize("signed", SIGNED, ids=lambda s: type(s).__name__)
def test_signatures_hold_in_their_network(signed: Any) -> None:
    kind = type(signed)
    check(unpack(kind, encoded(f"signed {kind.__name__}")), NETWORK, PEER)


@every_case
def test_truncated_and_changed_vectors_are_refused_or_read_and_nothing_else(
    name: str, value: object, decode: Decode
) -> None:
    data = encoded(name)
    damaged = [data[:size] for size in range(len(data))]
    damaged += [
        data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
        for at in range(len(data))
        for bit in range(8)
    ]
    for each in damaged:
        _read_or_refused(decode, each)


@given(st.sampled_from(CASES), st.binary(max_size=40), st.data())
def test_bytes_put_in_anywhere_are_refused_or_read_and_nothing_else(
    case: tuple[str, object, Decode], extra: bytes, data: st.DataObject
) -> None:
    whole = encoded(case[0])
    at = data.draw(st.integers(0, len(whole)))
    _read_or_refused(case[2], whole[:at] + extra + whole[at:])


def _read_or_refused(decode: Decode, data: bytes) -> None:
    try:
        decode(data)
    except (RemoteProtocolError, InvalidSignature):
        return
    except Exception as error:
        pytest.fail(f"{data.hex()} raised {error!r}")


later_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(CASES), st.lists(later_values, min_size=1, max_size=4))
def test_fields_of_a_later_version_are_passed_over(
    case: tuple[str, object, Decode], more: list[Any]
) -> None:
    """Any message with more behind its fields is the same message."""
    name, value, decode = case
    kind, data = name.split()[0], encoded(name)
    start = {"frame": frames.PREFIX.size, "signed": 64}.get(kind, datagram.FRAME_OVERHEAD_BYTES)
    said = msgspec.msgpack.decode(data[start:])
    longer = {**said, "later": more} if isinstance(said, dict) else [*said, *more]
    body = msgspec.msgpack.encode(longer)
    head = data[:start]
    if kind == "frame":
        head = frames.PREFIX.pack(len(body), frames.PREFIX.unpack(head)[1])
    seen = decode(head + body)
    if kind == "signed":
        assert msgspec.structs.astuple(seen) == msgspec.structs.astuple(value)  # type: ignore[arg-type]
    else:
        assert seen == value


@pytest.mark.parametrize("name", ["datagram", "datagram padded", "datagram with cookie"])
def test_datagrams_are_sealed_for_the_peer(name: str) -> None:
    data = encoded(name)
    opened = envelope.parse(data)
    assert opened is not None
    keys = envelope.session_keys(PEER, NETWORK, PEER.node.public_key, opened.sender)
    assert data.startswith(NETWORK.datagram_prefix)
    assert envelope.verify(PEER, keys, data)
    assert datagram.decode_request(opened.frame[21:]) == REQUESTS[1]
    for at in range(len(data)):
        envelope.parse(data[:at])
        changed = data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]
        envelope.parse(changed)
        assert not envelope.verify(PEER, keys, changed)


def test_the_challenge_and_the_ticket_come_back() -> None:
    challenge = envelope.parse_challenge(encoded("datagram challenge"))
    assert challenge == (generate.KEY, MESSAGE_ID, generate.COOKIE)
    text = VECTORS["ticket"]["text"]
    assert Ticket.parse(text) == generate.TICKET
    for at in range(len(text)):
        with pytest.raises(InvalidTicket):
            Ticket.parse(text[:at])
