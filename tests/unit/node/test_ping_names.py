"""What names a node for ping: an id, a key, or the beginning of an id that is known here."""

from __future__ import annotations

import pytest

from dhtstore.errors import AmbiguousName, UnknownNode, UsageError
from dhtstore.model.identity import NodeId, PublicKey, node_id
from dhtstore.node.flows.ping import named_node

KNOWN = [NodeId(bytes([0xAB, number]) + bytes(18)) for number in (0x10, 0x11, 0x20)]


def test_an_id_and_a_key_need_not_be_known() -> None:
    assert named_node("00" * 20, KNOWN) == bytes(20)
    assert named_node("11" * 32, KNOWN) == node_id(PublicKey(b"\x11" * 32))


def test_the_beginning_of_one_known_id_is_that_node() -> None:
    assert named_node("ab20", KNOWN) == named_node("AB200", KNOWN) == KNOWN[2]


def test_the_beginning_of_several_names_them() -> None:
    with pytest.raises(AmbiguousName) as raised:
        named_node("abcd", [NodeId(b"\xab\xcd" + bytes([n]) * 18) for n in range(3)])
    assert list(raised.value.causes) == [f"abcd{n:02x}" + f"{n:02x}" * 17 for n in range(3)]


@pytest.mark.parametrize("text", ["ab2", "xyz", "00", ""])
def test_what_is_too_short_or_no_hex_names_no_node(text: str) -> None:
    with pytest.raises(UsageError):
        named_node(text, [])


def test_a_beginning_that_nobody_has() -> None:
    with pytest.raises(UnknownNode):
        named_node("abcd", KNOWN)
