"""Operations on nodes: this one, its peers, and how well a root is held."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import msgspec

from dhtstore.operations.keeping import DamagePlace, PutSummary
from dhtstore.operations.moment import Moment
from dhtstore.operations.operation import Operation
from dhtstore.operations.safety import CopiesStatus, HoldersSeen, UnitCare


class NodeIdentity(msgspec.Struct, frozen=True):
    """Who a node is: keys in hex, ``addresses`` as HOST:PORT, and the ticket others join by.  Of a
    node that does not run they are those of its next start; none, and ``ticket`` is "", where the
    system will choose its port."""

    node: str
    public_key: str
    owner: str
    network: str
    addresses: list[str]
    ticket: str


class IdentifyNode(Operation[NodeIdentity], frozen=True, kw_only=True):
    """Who this node is."""

    op: ClassVar[str] = "id"
    needs_node: ClassVar[bool] = False


class RoomShare(msgspec.Struct, frozen=True):
    """``used`` of at most ``limit`` bytes: of all owners that are new here together ("newcomers"),
    of the foreign owner that has most ("owner"), by the one network that brought most ("origin",
    then ``name`` says which), of those that have a share: this node's own site has none."""

    of: str
    used: int
    limit: int
    name: str = ""


class RoomStatus(msgspec.Struct, frozen=True):
    """What of the room of a node is whose, in bytes.  ``accept`` is whose data it takes; ``own``
    and ``others`` what claims of its owner and of others are charged with: blocks that several
    share count for each, so both together may be more than is used.  ``reserved`` is set aside for
    offers and puts under way, and ``unclaimed`` what is used beyond all that, at least: pinned by
    hand, left by a put that was killed, or not collected yet.  ``free`` can
    be written now, None for no limit; ``disk_free`` is what the disk has, of which ``promised``
    were promised by other nodes of this user, and ``disk_reserve`` are left alone.  ``shares``
    bound strangers where anyone may store.  ``cache`` is what cached roots brought, which goes
    first; ``garbage`` what nothing keeps, None while nobody has looked; ``dead`` what the last
    collection left in packs that belongs to nothing, None before one.  Of what is used ``packs``
    and ``index`` are the lengths of files (the log of the index is one), ``reserved`` and ``aside``
    are kept free for what is announced and for the next changes of the index.  ``donated`` is for
    what is short of copies, ``donated_used`` of it are used: it is filled last."""

    accept: str
    own: int
    others: int
    reserved: int
    unclaimed: int
    free: int | None
    disk_free: int | None
    promised: int
    shares: list[RoomShare] = []
    cache: int = 0
    garbage: int | None = None
    dead: int | None = None
    disk_reserve: int = 0
    packs: int = 0
    index: int = 0
    aside: int = 0
    donated: int = 0
    donated_used: int = 0


class AnnouncingStatus(msgspec.Struct, frozen=True):
    """Of ``units`` that are kept, so many are ``announced``: index nodes have their records, the
    oldest since ``oldest``; ``overdue`` ones should have been announced by now.  Where it no longer
    ``keeps_up``, records may end before they are renewed."""

    units: int
    announced: int
    overdue: int
    oldest: Moment | None
    keeps_up: bool


class TrafficStatus(msgspec.Struct, frozen=True):
    """What the node costs its line: datagrams a second and their bytes, over the last ``window_s``;
    ``contacts`` of the routing table, and open ``sockets`` of the process, None where the system
    does not tell."""

    window_s: float
    packets_in: float
    packets_out: float
    bytes_in: float
    bytes_out: float
    contacts: int
    sockets: int | None


class NodeStatus(msgspec.Struct, frozen=True):
    """Sizes in bytes, ``capacity`` 0 on a client.  ``units`` counts those
    kept here because of a claim, ``records`` the provider records kept for the network.
    ``incomplete_units`` of those that are kept lack blocks, as last looked at; ``damaged_blocks``
    were found damaged and are served to nobody; ``damage`` names the first places that they belong
    to.  Every block here was read again and compared with its name since ``verified``, None where
    that was never so.  ``warnings`` say what is wrong around the node.
    ``clock_ahead_s`` is by how many seconds its clock is ahead of most peers', behind if below 0;
    None while too few of them have told.  ``room`` says whose the bytes are, ``announcing`` whether
    what is kept can be found, ``traffic`` what the DHT costs, ``copies`` how safe what is held
    is, None where others' copies are not watched.  What only a running node knows is
    None where none runs (``running``), and ``node`` is "" where none ever ran."""

    node: str
    network: str
    uptime_s: float | None
    peers: int | None
    storage_peers: int | None
    capacity: int
    used: int
    blocks: int
    units: int
    puts: int
    records: int | None
    incomplete_units: int | None = 0
    damaged_blocks: int = 0
    damage: list[DamagePlace] = []
    verified: Moment | None = None
    warnings: list[str] = []
    clock_ahead_s: float | None = None
    running: bool = True
    room: RoomStatus | None = None
    announcing: AnnouncingStatus | None = None
    traffic: TrafficStatus | None = None
    copies: CopiesStatus | None = None


class DescribeNode(Operation[NodeStatus], frozen=True, kw_only=True):
    """How this node is doing."""

    op: ClassVar[str] = "status"
    needs_node: ClassVar[bool] = False


class CapacityChange(msgspec.Struct, frozen=True):
    """The disk that a node gives, in bytes: ``before``, and now ``capacity``, of which ``used`` are
    used.  ``over`` is by how much that is too much: until it is gone nothing new is taken.
    ``freed`` went at once since nothing keeps it.  Not ``applied``: it is written down and counts
    from the next start."""

    capacity: int
    before: int
    used: int
    over: int = 0
    freed: int = 0
    applied: bool = True
    room: RoomStatus | None = None


class SetCapacity(Operation[CapacityChange], frozen=True, kw_only=True):
    """Give more of the disk, or less, from now on and after the next start."""

    op: ClassVar[str] = "set_capacity"

    capacity: int


ProvedBy = Literal["receipt", "record", "check", "audit", ""]
UNSIGNED: Final = ("announced", "says so")  # states of a HolderStatus whose copy is a word
FOR_OTHERS: Final = "for others"
SIGNED_BEFORE: Final = "it signed for an earlier policy"  # why a copy does not count


class HolderStatus(msgspec.Struct, frozen=True):
    """What is known of one copy: ``state`` is "live" (asked now it says that it has all, and its
    receipt is here or it gave a block picked at random; or it was looked at here), "believed" (it
    signed a receipt, last proved at ``proved``), "lacks" (it has not all blocks any more),
    "silent" (it could not be reached when last asked), "gone" (long not proved, and announced by
    nobody), "announced" (it announces the unit, which is a word), "says so" (it was asked too,
    and has signed no receipt for what was put from here) or "for others" (nor has this one, but it
    proved its copy in an audit: another owner wants it).  The first two count; without a receipt
    nothing counts of what was put from here.  ``why`` says why not.

    ``proved_by`` is how it was proved last: by its "receipt", its provider "record" (which is its
    word), a "check" or an "audit".  Of a holder that this
    node watches, ``seen`` is when it was heard last, ``silent_s`` for how long it has been silent
    since, and ``there`` the part of the time for which it was there; None where nobody watches.
    ``network`` and ``domain`` (its operator's label) are where it was met, "" if that is not
    known."""

    node: str
    state: str
    proved: Moment | None
    why: str = ""
    proved_by: ProvedBy = ""
    network: str = ""
    domain: str = ""
    seen: Moment | None = None
    silent_s: float | None = None
    there: float | None = None


class UnitStatus(msgspec.Struct, frozen=True):
    """Who holds one unit: ``providers`` (node ids) are those whose copy counts, ``holders`` all
    that are known, ``announced`` those of them who say that they hold it and proved nothing.
    ``care`` is what this node does about it, None if it does not hold it; ``lost_per_year`` the
    probability that it is lost for good within a year (docs/replication.md), None of what others
    put until its holders were asked."""

    unit: str
    size: int
    providers: list[str]
    holders: list[HolderStatus] = []
    announced: list[str] = []
    care: UnitCare | None = None
    lost_per_year: float | None = None


class OwnerWants(msgspec.Struct, frozen=True):
    """An ``owner`` (public key) that wants ``replicas`` copies of it, for what it put as ``root``,
    until ``expires``, None for "until removed"; ``own`` is this node's own owner."""

    owner: str
    root: str
    replicas: int
    expires: Moment | None
    own: bool


class RootStatus(msgspec.Struct, frozen=True):
    """``replicas`` is what was asked for when it was put from here, None if it was not;
    ``copies`` the smallest number over the units of copies that count, at most ``replicas``: the
    same as ``list`` says of what was put from here, else those that were proved now;
    ``min_acks`` is how many there have to be.  ``checked`` is whether holders were asked now.
    ``put`` is its row of ``list``, None if it was not put from here; ``lost_per_year`` the
    probability that some of it is lost for good within a year, by what was ``seen`` of holders,
    None where that of a unit is not known.
    ``owners`` are all that want some of it, as far as is known here."""

    cid: str
    replicas: int | None
    copies: int
    units: list[UnitStatus]
    min_acks: int = 1
    checked: bool = False
    put: PutSummary | None = None
    lost_per_year: float | None = None
    seen: HoldersSeen | None = None
    owners: list[OwnerWants] = []


class DescribeRoot(Operation[RootStatus], frozen=True, kw_only=True):
    """Which copies there are of each unit of ``root``; with ``check`` their holders are asked now,
    and what is known of those who signed is written down where it was put from here."""

    op: ClassVar[str] = "root-status"
    about: ClassVar[str] = "root"

    root: str
    check: bool = False


class KnownPeer(msgspec.Struct, frozen=True):
    """A node of the routing table.  ``seen_s`` is how many seconds ago it last answered; ``rtt_ms``
    None before a measurement."""

    node: str
    address: str
    storage: bool
    rtt_ms: float | None
    seen_s: float


class ListPeers(Operation[list[KnownPeer]], frozen=True, kw_only=True):
    """The routing table, by node id."""

    op: ClassVar[str] = "peers"


class PingResult(msgspec.Struct, frozen=True):
    """Who answered, where, and how fast; ``itself``: the node that was asked to ping."""

    node: str
    address: str
    rtt_ms: float
    itself: bool = False


class PingNode(Operation[PingResult], frozen=True, kw_only=True):
    """A round trip to ``target``: a node id or public key in hex, a ticket or HOST:PORT."""

    op: ClassVar[str] = "ping"

    target: str
