"""receipts: what holders signed for a root that was put from here, checked again."""

from __future__ import annotations

from msgspec.structs import replace

from dhtstore.errors import NotHere
from dhtstore.model.cid import Cid
from dhtstore.model.network import Network
from dhtstore.model.receipt import Receipt
from dhtstore.model.signing import Verifier, check
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.views.spelling import receipt_text
from dhtstore.operations.keeping import SignedReceipt
from dhtstore.store.ledger.listing.tally import Evidence


async def signed_receipts(
    disk: Disk, ledger: Ledger, verifier: Verifier, network: Network, root: Cid
) -> list[SignedReceipt]:
    """With what speaks against each by now.  Needs no network.  Raises NotHere, and
    InvalidSignature if one does not verify."""
    found = await disk.blocking.run(ledger.receipts.for_root, root)
    if not found:
        raise NotHere(f"no receipts for {root} here: it was not put from this node")
    for receipt in found:
        check(receipt, Network(receipt.network, network.key), verifier)
    proofs = await disk.blocking.run(ledger.receipts.proofs, root)
    return [replace(receipt_text(each), against=_against(each, proofs)) for each in found]


def _against(receipt: Receipt, proofs: Evidence) -> str:
    """What was found of its holder since."""
    proof = proofs.get((receipt.unit, receipt.node))
    refuted = proof is not None and proof.state != "live" and proof.unix_s >= receipt.time
    return f"{proof.state}: {proof.why}" if proof and refuted else ""
