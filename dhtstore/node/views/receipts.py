"""receipts: what holders signed for a root that was put from here, checked again."""

from __future__ import annotations

from dhtstore.errors import NotHere
from dhtstore.model.cid import Cid
from dhtstore.model.network import Network
from dhtstore.model.signing import Verifier, check
from dhtstore.node.context import Disk, Ledger
from dhtstore.node.views.spelling import receipt_text
from dhtstore.operations.keeping import SignedReceipt


async def signed_receipts(
    disk: Disk, ledger: Ledger, verifier: Verifier, network: Network, root: Cid
) -> list[SignedReceipt]:
    """Needs no network.  Raises NotHere, and InvalidSignature if one does not verify."""
    found = await disk.blocking.run(ledger.receipts.for_root, root)
    if not found:
        raise NotHere(f"no receipts for {root} here: it was not put from this node")
    for receipt in found:
        check(receipt, Network(receipt.network, network.key), verifier)
    return [receipt_text(receipt) for receipt in found]
