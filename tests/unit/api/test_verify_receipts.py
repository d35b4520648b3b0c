"""Receipts that were written down: what was changed, cut or made up since does not hold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.api.proofs.receipts import verify_receipts
from dhtstore.errors import InvalidSignature, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.identity import node_id
from dhtstore.model.network import Network
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import sign
from dhtstore.net.crypto import Ed25519Signer
from dhtstore.node.views.spelling import receipt_text
from dhtstore.params import RECEIPTS_FILE_MAX_BYTES

HOLDER, OTHER = Ed25519Signer(b"h" * 32), Ed25519Signer(b"o" * 32)


def receipt(by: Ed25519Signer = HOLDER, network: str = "main", **fields: Any) -> Receipt:
    cid, key = Cid.of(b"unit").raw, HOLDER.public_key
    unsigned = Receipt(1, network, node_id(key), key, cid, cid, 4, 1, b"o" * 32, 1, 9, 0, 132)
    return sign(msgspec.structs.replace(unsigned, **fields), Network(network[:64]), by)


def written(*receipts: Receipt, **changes: object) -> bytes:
    rows = [msgspec.to_builtins(receipt_text(each)) for each in receipts]
    return msgspec.json.encode([{**row, **changes} for row in rows])


def test_what_holders_signed_holds_in_whatever_network() -> None:
    both = written(receipt(), receipt(network="another"))
    assert [row.network for row in verify_receipts(both)] == ["main", "another"]
    assert verify_receipts("[]") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 5},
        {"owner": "ff" * 32},
        {"expires": {"unix_s": 1, "rfc3339": "1970-01-01T00:00:01Z"}},
        {"signature": "00" * 64},
        {"signature": "no hex"},
        {"signature": ""},
        {"body": ""},
        {"body": "ff" * 100},
        {"network": "another"},
    ],
)
def test_what_was_changed_since_does_not(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidSignature, match="receipt 1, of node"):
        verify_receipts(written(receipt(), **changes))


def test_what_is_no_hexadecimal_is_said_to_be_none() -> None:
    with pytest.raises(InvalidSignature, match="its signature or its body is not hexadecimal"):
        verify_receipts(written(receipt(), body="no hex"))


@pytest.mark.parametrize(
    "made_up",
    [
        receipt(OTHER),
        receipt(node=b"n" * 20),
        receipt(root=b"no cid"),
        receipt(network="n" * 300),
    ],
)
def test_what_its_holder_did_not_sign_so_does_not(made_up: Receipt) -> None:
    row = msgspec.to_builtins(receipt_text(receipt()))
    body = {"signature": made_up.signature.hex(), "body": made_up.packed[64:].hex()}
    for rows in ([{**row, **body}], [row, {**row, **body}]):
        with pytest.raises(InvalidSignature, match=f"receipt {len(rows)}"):
            verify_receipts(msgspec.json.encode(rows))


@given(st.binary(max_size=200))
def test_what_is_no_list_of_receipts_is_said_to_be_none(text: bytes) -> None:
    if text.strip() != b"[]":
        with pytest.raises(UsageError, match="no list of receipts"):
            verify_receipts(text)


def test_what_a_put_has_printed_has_its_receipts_too() -> None:
    printed = b'{"cid": "bafy", "size": 4, "receipts": %s}' % written(receipt())
    assert [row.size for row in verify_receipts(printed)] == [4]
    with pytest.raises(InvalidSignature, match="receipt 1"):
        verify_receipts(b'{"receipts": %s}' % written(receipt(), size=5))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it is empty"),
        (written(receipt())[:-40], "its end is missing"),
        (b"the receipts are in the other file", "it is no JSON"),
        (bytes(range(256)), "it is no JSON"),
        (b'[{"cid": "bafy"}]', "missing required field"),
        (b" " * (RECEIPTS_FILE_MAX_BYTES + 1), "too large for a list of receipts"),
    ],
)
def test_it_is_told_why_it_is_no_list_of_receipts(text: bytes, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        verify_receipts(text)
