"""Receipts that were written down (``receipts CID --json``): are they as their holders signed?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dhtstore.config import format_size
from dhtstore.errors import DhtstoreError, InvalidSignature, UsageError
from dhtstore.model.cid import Cid
from dhtstore.model.network import Network
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import check, unpack
from dhtstore.net.crypto import Ed25519Verifier
from dhtstore.node.views.spelling import receipt_text
from dhtstore.operations.keeping import SignedReceipt
from dhtstore.params import NETWORK_NAME_MAX_BYTES, RECEIPTS_FILE_MAX_BYTES


class _Printed(msgspec.Struct, frozen=True):
    """What `put --json` prints has them, too."""

    receipts: list[SignedReceipt]


def verify_receipts(text: bytes | str) -> list[SignedReceipt]:
    """The receipts in ``text``, a JSON array of them or what a put has printed as JSON, all
    verified: each was signed by the key that it names, and every field is what was signed.

    Raises UsageError for what is no list of receipts, InvalidSignature naming the first that
    does not hold.  Whether a holder still has the unit no receipt tells: ``status --check`` asks.
    """
    rows = _rows(text.encode() if isinstance(text, str) else text)
    for number, row in enumerate(rows, 1):
        _verify(number, row)
    return list(rows)


def _rows(text: bytes) -> Sequence[SignedReceipt]:
    if len(text) > RECEIPTS_FILE_MAX_BYTES:
        most = format_size(RECEIPTS_FILE_MAX_BYTES)
        raise UsageError(f"more than {most} is too large for a list of receipts").hinted(
            "a list of more receipts than that is verified in parts"
        )
    try:
        found = msgspec.json.decode(text, type=list[SignedReceipt] | _Printed)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"this is no list of receipts: {_why(text, error)}").hinted(
            "`dhtstore receipts CID --json` writes one"
        ) from error
    return found.receipts if isinstance(found, _Printed) else found


def _why(text: bytes, error: Exception) -> str:
    if not text.strip():
        return "it is empty"
    if "truncated" in str(error):
        return "its end is missing"
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    return "it is no JSON"


def _verify(number: int, row: SignedReceipt) -> None:
    name = f"receipt {number}, of node {row.node[:16]},"
    try:
        receipt = unpack(Receipt, _bytes(row.signature) + _bytes(row.body))
        Cid.decode(receipt.root)
        named = len(receipt.network.encode()) <= NETWORK_NAME_MAX_BYTES
        if not named or receipt.node != receipt.node_id or receipt_text(receipt) != row:
            raise InvalidSignature("it says something else than what was signed")
        check(receipt, Network(receipt.network), Ed25519Verifier())
    except InvalidSignature as error:
        raise _does_not(f"{name} does not hold: {error}") from error
    except (ValueError, DhtstoreError) as error:
        raise _does_not(f"{name} does not decode: {error}") from error


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidSignature("its signature or its body is not hexadecimal") from None


def _does_not(text: str) -> InvalidSignature:
    return InvalidSignature(text).hinted(
        "it was changed since it was written; the owner has it as it was: `dhtstore receipts CID`"
    )
