"""Operations on what is kept: puts, receipts, pins, the local store."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from dhtstore.operations.explaining.report import NO_REPORT, FetchReport
from dhtstore.operations.moment import Moment
from dhtstore.operations.operation import Naming, Operation
from dhtstore.params import REPLICAS_MAX, TTL_MAX_S


class SignedReceipt(msgspec.Struct, frozen=True):
    """A holder's receipt with every field.

    ``unit`` is a CID where the unit has one root, else the hex of its hash; keys and the signature
    are hex; ``expires`` None for "until removed".  ``body`` is what was
    signed, in hex, with what a later version may have added: enough to verify it offline
    (docs/protocol.md tells how).  ``against`` is what speaks against the copy by now, as far as is
    known here: its holder is gone or lacks it; "" if nothing does.
    """

    version: int
    network: str
    node: str
    public_key: str
    unit: str
    root: str
    size: int
    blocks: int
    owner: str
    policy_seq: int
    time: Moment
    expires: Moment | None
    signature: str
    body: str
    against: str = ""


class ListReceipts(Operation[list[SignedReceipt]], frozen=True, kw_only=True):
    """The receipts for ``root``, put from here, each verified again."""

    op: ClassVar[str] = "receipts"
    about: ClassVar[str] = "root"
    needs_node: ClassVar[bool] = False

    root: str


SafeState = Literal["safe", "believed", "shared", "silent", "short", "none", "expired", ""]


class PutSummary(msgspec.Struct, frozen=True, gc=False):
    """One put from here.  ``copies`` is the smallest number over the units of copies that a holder
    signed for, or was found to have, and that was not found lost since; ``proved`` is when that
    one of them was last proved that was not for longest.  ``expires`` None for "until removed".

    ``state`` is "safe" (as many as are wanted, none of their holders is silent, and each was proved
    within eight days), "believed" (as many, by receipts that are older, and nobody looked
    lately), "shared" (as many with ``others``, which hold a copy that another owner wants, and
    signed none for this one), "silent" (as many only with those whose holders are silent), "short"
    (fewer than wanted), "none" (no copy is known), "expired" (it was wanted until then).  ``live``
    are copies without those of silent holders, which are known where a node holds the same; the
    longest silent since ``silent``, and if none comes back a copy is made again from ``due`` on,
    null where as many are enough as answer; of what never had all of its copies this node makes
    those, if it holds one.
    ``networks`` is on how many networks those copies are, None where that is not known of all."""

    name: str
    cid: str
    size: int
    created: Moment
    copies: int
    replicas: int
    expires: Moment | None
    proved: Moment | None = None
    state: SafeState = ""
    live: int = 0
    networks: int | None = None
    silent: Moment | None = None
    due: Moment | None = None
    others: int = 0


class ListPuts(Operation[list[PutSummary]], frozen=True, kw_only=True):
    """What was put from here, oldest first."""

    op: ClassVar[str] = "list"
    needs_node: ClassVar[bool] = False


class CheckPuts(Operation[list[PutSummary]], frozen=True, kw_only=True):
    """As ``ListPuts``, once the holders of each were asked whether they still hold it."""

    op: ClassVar[str] = "list-check"


class PinInfo(msgspec.Struct, frozen=True):
    """``kind`` is "put" for what a put keeps and "user" for what was pinned by hand."""

    cid: str
    kind: str
    name: str


class PinAdded(PinInfo, frozen=True):
    """What was pinned, and in ``report`` what was done for it, lookup by lookup and holder by
    holder.  ``before`` is the name of an earlier pin of it, "" where there was none, or none with a
    name."""

    report: FetchReport = NO_REPORT
    before: str = ""


class AddPin(Operation[PinAdded], frozen=True, kw_only=True):
    """Fetch all of ``root`` into the store here, keep it and announce it."""

    op: ClassVar[str] = "pin-add"
    about: ClassVar[str] = "root"

    root: str
    name: str = ""


class RemovePin(Operation[PinInfo], frozen=True, kw_only=True):
    """Stop keeping ``root`` for its own sake."""

    op: ClassVar[str] = "pin-rm"
    about: ClassVar[str] = "root"
    named_by: ClassVar[Naming] = "pin"

    root: str


class ListPins(Operation[list[PinInfo]], frozen=True, kw_only=True):
    """The pins, by CID."""

    op: ClassVar[str] = "pin-ls"
    needs_node: ClassVar[bool] = False


class RemovedPut(msgspec.Struct, frozen=True):
    """What was ended: ``size`` bytes of content called ``name`` here ("" for none).  Of
    ``elsewhere`` other nodes that are known to have copies, ``told`` have ended them; ``unreached``
    do once they answer this node, or when they are back, and find out from the network if it is
    ``stored`` there by now.  ``others`` are claims of other owners on the same, here and at those
    that were told; what they keep stays.  It is ``pinned`` by hand as well: then its blocks stay
    here, too."""

    cid: str
    name: str
    size: int
    elsewhere: int
    pinned: bool
    told: int = 0
    unreached: int = 0
    others: int = 0
    stored: bool = False


class RemovePut(Operation[RemovedPut], frozen=True, kw_only=True):
    """End what this owner has put, on this node and at all holders: entry, receipts, pin and
    claims."""

    op: ClassVar[str] = "rm"
    about: ClassVar[str] = "root"
    named_by: ClassVar[Naming] = "put"

    root: str


class PolicyInfo(msgspec.Struct, frozen=True):
    """What ``owner`` (hex) wants for a root: so many copies, until it ``expires``, None for "until
    removed"; ``removed`` if it wants none any more.  ``signed`` is when it said so.  Where it was
    ``changed`` now, ``told`` holders know, of which ``lacking`` keep nothing for this owner,
    ``unreached`` ones do not yet; and it is ``stored`` in the network for those."""

    cid: str
    owner: str
    replicas: int
    expires: Moment | None
    removed: bool
    signed: Moment
    changed: bool = False
    told: int = 0
    unreached: int = 0
    stored: bool = False
    lacking: int = 0


class SetPolicy(Operation[PolicyInfo], frozen=True, kw_only=True):
    """What this node's owner wants for ``root``: so many ``replicas``, for ``ttl_s`` seconds from
    now on, 0 for until it is removed.  None is as before; with neither it is only told."""

    op: ClassVar[str] = "policy"
    about: ClassVar[str] = "root"
    named_by: ClassVar[Naming] = "put"

    root: str
    replicas: Annotated[int, msgspec.Meta(ge=1, le=REPLICAS_MAX)] | None = None
    ttl_s: Annotated[float, msgspec.Meta(ge=0, le=TTL_MAX_S)] | None = None


class UnknownBelow(msgspec.Struct, frozen=True):
    """What is kept below ``root`` cannot be told, and ``why``: a block is gone or damaged.  None
    where a damaged row of the ledger does not even tell the root."""

    root: str | None
    why: str


class CollectResult(msgspec.Struct, frozen=True):
    """What was removed, or with ``dry_run`` would be, in blocks and bytes: ``garbage`` is what
    nothing keeps, ``cache`` what nobody asked to keep (roots, and the bytes that they brought), the
    latter only if asked for.  ``claims`` were over.  ``kept`` blocks stay, for what is kept and for
    the cache: of that, ``stay_roots`` that brought ``stay`` bytes.  ``freed`` is how many
    bytes the store takes less than before; ``dead`` are those in packs that belong to nothing and
    are not worth moving what stands around them, or would be moved by a run.  While there are
    ``unknown`` nothing is garbage: `verify` tells what mends them."""

    dry_run: bool
    garbage_blocks: int
    garbage: int
    cache_roots: int
    cache: int
    claims: int
    kept: int
    freed: int
    dead: int
    unknown: list[UnknownBelow] = []
    stay_roots: int = 0
    stay: int = 0


class CollectGarbage(Operation[CollectResult], frozen=True, kw_only=True):
    """Remove what nothing keeps, with ``cache`` also what is cached, and compact packs; with
    ``dry_run`` only tell."""

    op: ClassVar[str] = "gc"

    dry_run: bool = False
    cache: bool = False


KeepKind = Literal["pin", "put", "claim", "running", "cache"]


class KeepReason(msgspec.Struct, frozen=True):
    """Something that keeps a block, which is ``root`` or lies below it: "pin" (by hand) or "put",
    called ``name``; a "claim" of ``owner`` (key in hex), until it ``expires`` (None: until
    removed; ``over``: that has passed, and it ends when this is found again after a day of
    running); a put that is "running"; or the "cache", last ``used`` then, which keeps it until room
    is wanted."""

    kind: KeepKind
    root: str
    name: str = ""
    owner: str | None = None
    expires: Moment | None = None
    used: Moment | None = None
    over: bool = False


class WhyResult(msgspec.Struct, frozen=True):
    """Why the block ``cid``, of ``size`` bytes, is here.  Not ``complete``: the search was cut
    short, or what lies below a damaged block could not be looked at.  ``garbage``: nothing keeps
    it, ``since`` then at least (None: from before the node was started), and it goes with the next
    collection, `gc` or one that the node begins by itself."""

    cid: str
    size: int
    reasons: list[KeepReason]
    complete: bool
    garbage: bool
    since: Moment | None = None


class WhyHere(Operation[WhyResult], frozen=True, kw_only=True):
    """What keeps the block ``root``, which may lie anywhere in a DAG."""

    op: ClassVar[str] = "why"
    about: ClassVar[str] = "root"

    root: str


class IncompleteUnit(msgspec.Struct, frozen=True):
    """A unit that is kept for ``roots`` (CIDs) and lacks blocks here, and ``why``."""

    unit: str
    roots: list[str]
    why: str


class DamagePlace(msgspec.Struct, frozen=True):
    """What a damaged ``block`` belongs to: ``root``, which is kept by a "put" of this node or by a
    "pin", called ``name``, or for another "owner", whose key ``owner`` is (hex, else None).
    ``path`` is of the file or directory below the root that lacks the block; "" for the root
    itself.  ``mend`` is the command that fetches it anew; so does putting the same again, from
    wherever it was put."""

    block: str
    root: str
    kept_by: str
    name: str
    path: str
    owner: str | None
    mend: str


class VerifyResult(msgspec.Struct, frozen=True):
    """``size`` counts the bytes of the ``blocks`` that are whole; ``damaged`` names the others.
    ``incomplete`` of the units kept lack blocks; ``units`` names the first thousand of them, and
    ``places`` the first thousand places that the damaged blocks belong to.  ``before`` of the
    blocks were read by runs of the last week that were cut short, and this one went on.
    ``unwritten`` says why the node could not write down what was found, "" if it could."""

    blocks: int
    size: int
    damaged: list[str]
    incomplete: int = 0
    units: list[IncompleteUnit] = []
    places: list[DamagePlace] = []
    before: int = 0
    unwritten: str = ""


class VerifyStore(Operation[VerifyResult], frozen=True, kw_only=True):
    """Read every block of the local store again and compare it with its CID; then compare the
    units that are kept with what is there."""

    op: ClassVar[str] = "verify"
    needs_node: ClassVar[bool] = False
