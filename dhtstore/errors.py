"""The error tree, on one page.

Every error says what happened (the message), whose fault it is (its place in the tree) and what
to do next (``hint``: that of the class, or of the case where it knows better).  Errors carry
fields, not only text.  ``cli/exits.py`` maps them to exit codes in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Self


class DhtstoreError(Exception):
    """Something dhtstore can name went wrong; ``hint`` says what to do next."""

    # node, or whatever of several it is -> what went wrong there, or tells it from the others
    causes: Mapping[str, str] = MappingProxyType({})

    hint: str = "report it, with what the node logs (`dhtstore join --log-level debug`)"

    def hinted(self, hint: str) -> Self:
        """This error with another hint than its class has: of one line, without a full stop.

        raise UnreadableSource(f"{path} is a pipe").hinted("put what comes out of it as -")
        """
        self.hint = hint
        return self

    def __reduce__(self) -> tuple[Callable[..., DhtstoreError], tuple[object, ...]]:
        """Errors cross processes with their fields, whatever their constructors take."""
        return restored, (type(self), self.args, dict(vars(self)))


def restored(
    kind: type[DhtstoreError], args: tuple[object, ...], fields: Mapping[str, object]
) -> DhtstoreError:
    """An error as it was elsewhere."""
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(fields)
    return error


# --- the caller's fault ---------------------------------------------------------------------


class UsageError(DhtstoreError):
    """An argument, a file or a setting that cannot be used as given."""

    hint = "see --help for what this command takes"


class InvalidCid(UsageError):
    """A string or bytes that are not a CID we can read."""

    hint = "a CID looks like bafybei... or Qm...; copy it whole, without spaces"


class InvalidPath(InvalidCid):
    """A path below a CID that no directory can have, or a URL that no content can have."""

    hint = "CID/path takes names by the letter, ipfs://CID/path escaped, as %20 for a space"


class AmbiguousName(UsageError):
    """A name, or the beginning of an id, that several have; ``causes`` tells them apart."""

    hint = "give more of it, or all of one of these"

    def __init__(self, message: str, *, causes: Mapping[str, str]) -> None:
        super().__init__(message)
        self.causes = causes


class InvalidTicket(UsageError):
    """A ticket that was cut, mistyped or made by something else."""

    hint = "copy the whole line that `dhtstore join` printed, or give HOST:PORT"


class InvalidSetting(UsageError):
    """A setting with an unknown name or an impossible value."""

    hint = "see `dhtstore config` for the settings and their values"


class UnreadableSource(UsageError):
    """A file to put that is missing, unreadable, or of a kind that cannot be stored."""

    hint = "check the path and its permissions"


class SourceChanged(UsageError):
    """A file or directory that changed each time it was read for a put: nothing was announced."""

    hint = "put it again when nothing writes to it"


class TargetUnusable(UsageError):
    """An output path that exists already, or whose directory is missing or not writable."""

    hint = "choose another path"


class TargetExists(TargetUnusable):
    """An output path that is taken."""

    hint = "choose another path, or replace what is there with --force"


class OldLeft(TargetUnusable):
    """All was written and took its place; what stood there before could not all be removed."""

    hint = "remove what is left of the old one by hand"


class SymlinkAlone(UsageError):
    """A symbolic link where a file or a directory is wanted: alone it leads nowhere."""

    hint = "get what it leads to, or the directory that it is in"


class NeedsNode(UsageError):
    """A question about the node of a data directory, asked of one that --seed made for it."""

    hint = "leave --seed away; start a node with `dhtstore join` if none runs"


class HomeInUse(UsageError):
    """A second node on one data directory; the message names the process that holds it."""

    hint = "stop that node, or give this one its own directory with --home"


class HomeUnusable(UsageError):
    """A data directory that cannot be created, read or written."""

    hint = "mend that, or choose another directory with --home"


class AddressInUse(UsageError):
    """The address to listen on is taken or not ours."""

    hint = "choose another port with --listen HOST:PORT (port 0 picks a free one)"


# --- the network's state --------------------------------------------------------------------


class NotFound(DhtstoreError):
    """Nobody provides this CID, as far as the network can tell."""

    hint = "check the CID; if it was put recently, the node that put it may be offline"


class NoSuchPath(NotFound):
    """The content is there, and has nothing of that name."""

    hint = "`dhtstore ls CID` lists the names in a directory"


class NotHere(NotFound):
    """This node has no pin, or no receipts, of this CID."""

    hint = "`dhtstore list` shows what was put from here, `dhtstore pin ls` what is pinned"


class UnknownNode(NotFound):
    """Nobody knows an address of this node."""

    hint = "check the id, or give a ticket or HOST:PORT; `dhtstore peers` lists who is known here"


class Unreachable(DhtstoreError):
    """Providers, seeds or nodes to ask are known, but none of them answered."""

    hint = (
        "check this machine's connection, or try again later; `dhtstore peers` shows who is known,"
        " `dhtstore ping` tries one"
    )


class TooManyConnections(Unreachable):
    """This node has as many connections as it may, all of them at work."""

    hint = "try again when less is going on here"


class NotAnnounced(Unreachable):
    """The copies were made, but nobody took the records by which others find them."""

    hint = "put it again when other nodes can be reached; what was stored is not sent twice"

    def __init__(self, message: str, *, partial: object) -> None:
        super().__init__(message)
        self.partial = partial  # what a put that was announced would have returned


class TimedOut(DhtstoreError):
    """The deadline passed before the work was done; what was fetched is kept for the next try."""

    hint = "run the same command again to go on, or give it longer with --timeout"


class Interrupted(DhtstoreError):
    """The work was ended by whoever asked for it; what was fetched is kept for the next try."""

    hint = "run the same command again: it goes on where it stopped"


class QuorumNotReached(DhtstoreError):
    """Fewer verified copies than were to be reached; the message says by whose word, and what stood
    in the way, ``hint`` what to do about that."""

    hint = "more storage nodes must join or free space; put the same file again to add copies"

    def __init__(
        self, message: str, *, copies: int, replicas: int, min_acks: int, partial: Any
    ) -> None:
        super().__init__(message)
        self.copies, self.replicas, self.min_acks = copies, replicas, min_acks
        self.partial = partial  # what a put that reached its quorum would have returned


class PartlyStored(DhtstoreError):
    """What could be read of a tree is stored, with its copies; the rest was skipped."""

    hint = "mend what was skipped and put it again, or leave it out with --exclude"

    def __init__(self, message: str, *, partial: object) -> None:
        super().__init__(message)
        self.partial = partial  # what a put of all of it would have returned


class RefusedByNetwork(DhtstoreError):
    """The other side speaks for another network, another version or another key."""

    hint = (
        "check --network and the ticket, and that both nodes are of the same version; to trust the"
        " new key of a HOST:PORT seed, remove its line from the file `seeds` in the data directory"
    )


OTHER_NETWORK_HINT: Final = "give the network of that node with --network, or a ticket of your own"
OTHER_VERSION_HINT: Final = "run the same version of dhtstore on both machines"


# --- our own state --------------------------------------------------------------------------


class NoRoom(DhtstoreError):
    """The quota or the disk is full; nothing that was stored before is harmed."""

    hint = "free disk space, or give the node more with `dhtstore config capacity SIZE`"


CLOSED_HINT: Final = "use a client within its `with` block"  # of the Python API


class NotRunning(DhtstoreError):
    """No node runs on this data directory, or it stopped while we were talking to it."""

    hint = "start one with `dhtstore join`, or name another data directory with --home"


class NoNodeHere(NotRunning):
    """Nobody listens where the node of a data directory would: what only lies there can be read
    without it."""


class DutyFailed(DhtstoreError):
    """A part of the node that must always run has ended: a bug of ours.  The node stops."""

    hint = "start the node again, and report the message with the log of the node"


class BlockMissing(DhtstoreError):
    """A block this node does not hold."""

    hint = "`dhtstore get` fetches it from the network"


# --- bytes that are wrong -------------------------------------------------------------------


class IntegrityFailure(DhtstoreError):
    """Bytes that do not hash to their name, or a structure that breaks its own rules."""

    hint = "fetch it from other holders; `dhtstore verify` checks the local store"


class BlockMismatch(IntegrityFailure):
    """Bytes that do not hash to the CID they were asked for by."""


class BlockDamaged(IntegrityFailure):
    """A block of the local store whose bytes on disk rotted; it is not served."""


class StoreDamaged(IntegrityFailure):
    """Blocks of the local store were found damaged; the others are fine."""

    hint = (
        "damaged blocks are served to nobody; a node that runs fetches them from other holders by"
        " itself; else put the same again or `dhtstore pin add CID`"
    )


class MalformedCar(IntegrityFailure):
    """A CAR that breaks its format, or holds what is not what it is called; ``offset`` is the byte
    of the file at which that stands."""

    hint = "the file itself is damaged or cut off: export it again; nothing of it was kept"

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class MalformedDag(IntegrityFailure):
    """A DAG that decodes but must not be trusted: depth, width, sizes or names are wrong."""

    hint = "the content itself is malformed; no holder can give a better copy"


class InvalidSignature(IntegrityFailure):
    """A signed object that its signer did not sign."""


# --- two nodes talking ----------------------------------------------------------------------


class ProtocolError(DhtstoreError):
    """Rules of the wire were broken."""


class LocalProtocolError(ProtocolError):
    """We broke the rules: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the rules; the connection to it is closed."""

    hint = "that node may run another version; others are not affected"


class PeerRefused(DhtstoreError):
    """A peer declined a request and said why."""

    hint = "it said why; another node may answer"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ClockOff(DhtstoreError):
    """A peer signs with a clock so far from ours that others would not believe it."""

    hint = "set the clocks of both machines by a time server; `dhtstore status` compares ours"


class ConnectionLost(DhtstoreError):
    """A connection ended, was refused or fell silent before the answer came."""

    hint = "the other node may be offline, or a firewall may stand between; try again later"


class NoAddress(ConnectionLost):
    """Nobody knows an address of the node."""


class DialRefused(ConnectionLost):
    """Nothing listens at an address, or no way leads there."""

    hint = "start that node, or open its port; `dhtstore ping` tries it"


class DialTimedOut(ConnectionLost):
    """Nothing answered at an address in time."""


class Stalled(ConnectionLost):
    """A peer was asked and gave nothing until its time was over."""


class TooSlow(ConnectionLost):
    """A peer gave something, and less in its time than it has to."""


class RulesBroken(ConnectionLost):
    """The peer broke the rules of the wire, and the connection was closed for that."""

    hint = "that node may run another version; others are not affected"
