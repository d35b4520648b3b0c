"""The seam: what a Node needs from the world.  Real ones live in this room, simulated ones in
``simulations/``; one conformance suite (tests/conformance) runs over both.

Node code reads time only from ``Clock``, randomness only from ``Entropy``, and touches sockets,
keys and disks only through these protocols.  It may use asyncio futures, events, ``sleep``,
``timeout`` and tasks owned by its supervisor; both event loops provide them.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from dhtstore.model.contact import Address
from dhtstore.model.identity import PublicKey
from dhtstore.model.signing import Signer, Verifier
from dhtstore.tasks import Supervisor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Jump:
    """What a watch of the clocks has seen: the machine slept for ``asleep_s``, or the wall clock
    was set, by ``set_s`` seconds (forward if above 0).  0 is neither."""

    asleep_s: float
    set_s: float


OnJump = Callable[[Jump], None]


class Clock(Protocol):
    def monotonic_s(self) -> float:
        """Seconds that never go back and go on while the machine sleeps.

        Timers of the event loop do not: what is due hours later is due by this clock, and looked
        after anew when ``watch`` tells of a jump.  The two scales must not be mixed."""

    def unix_s(self) -> float:
        """Wall-clock seconds since 1970, for signed objects only."""

    def local_minute(self) -> tuple[int, int]:
        """What the clock on the wall shows here: the day (Monday is 0), the minute of the day."""

    def watch(self, on_jump: OnJump, duties: Supervisor) -> None:
        """Call ``on_jump``, at most CLOCK_LOOK_S late, whenever the machine was asleep for
        CLOCK_SLEPT_MIN_S or the wall clock has moved by CLOCK_SET_MIN_S.  The watch is one of
        ``duties``, whose end their owner hears of."""


class Entropy(Protocol):
    @property
    def rng(self) -> random.Random:
        """For jitter and choices; not for secrets."""

    def random_bytes(self, count: int) -> bytes:
        """Unpredictable bytes: nonces, message ids."""


class Crypto(Verifier, Protocol):
    """Cryptography with the node's and the owner's keys."""

    @property
    def node(self) -> Signer: ...

    @property
    def owner(self) -> Signer: ...

    def agree(self, public_key: PublicKey) -> bytes:
        """32 bytes shared with that node's key (X25519 between the converted Ed25519 keys).

        Raises InvalidSignature for a non-canonical or small-order key.
        """

    def mac(self, key: bytes, *parts: bytes) -> bytes:
        """16 bytes: keyed BLAKE2b over the concatenated parts."""


class Endpoint(Protocol):
    """One datagram socket.  Never blocks, never raises on a bad destination."""

    @property
    def local(self) -> Address:
        """Where it listens; valid after ``open``."""

    @property
    def behind(self) -> bool:
        """Whether more has arrived than was handed on so far: what seems to be missing may be
        among it."""

    @property
    def lost(self) -> int:
        """How many datagrams were dropped here because they were not taken in time, as far as the
        system has told: it is not their senders that were silent."""

    async def open(self, on_datagram: Callable[[bytes, Address], None], duties: Supervisor) -> None:
        """Bind and start receiving; raises AddressInUse.

        What the callback sends to the source of its datagram leaves from the address that the
        datagram came to.  The loops that receive and send are ``duties``, whose end their owner
        hears of; a callback that raises ends the one that receives.
        """

    def send(self, data: bytes, to: Address) -> bool:
        """Queue one datagram.  False if it was dropped: bad destination, too large, queue full,
        other address family, or closed."""

    async def close(self) -> None: ...


class Interfaces(Protocol):
    """The addresses of this machine."""

    def hosts(self) -> Sequence[str]:
        """IP literals of all interfaces, those that face the internet first; of any scope.
        Raises UsageError when the system does not tell."""

    async def changed(self) -> None:
        """Wait until ``hosts`` tells others than it did when this was called; raises OSError and
        UsageError when the system does not tell."""


class Stream(Protocol):
    """One ordered, encrypted byte stream to a peer."""

    @property
    def remote(self) -> Address: ...

    @property
    def remote_key(self) -> PublicKey | None:
        """The key the transport has proved: set on dialled streams, None on accepted ones
        (the hello exchange of the node proves the dialler)."""

    @property
    def binding(self) -> bytes:
        """32 bytes that both ends see alike, of what secures this stream: SHA-256 of the
        certificate that the acceptor shows.  A man in the middle shows another to each."""

    @property
    def received_bytes(self) -> int:
        """How many have come so far, those of a read that is under way among them."""

    async def read_exactly(self, count: int) -> bytes:
        """Exactly ``count`` bytes; raises ConnectionLost when the stream ends before."""

    async def read_into(self, target: memoryview) -> None:
        """Fill ``target`` without a further copy; raises ConnectionLost."""

    async def write(self, *parts: bytes | bytearray | memoryview) -> None:
        """Queue the parts and wait while more than the high-water mark is unsent; raises
        ConnectionLost.  Buffers may be reused when it returns.  Safe for one writer at a time."""

    async def close(self) -> None:
        """Flush, close and wait, for at most a second."""

    def abort(self) -> None:
        """Close now; pending reads and writes raise ConnectionLost."""


class StreamTransport(Protocol):
    """Dials and accepts streams on the same port as the datagram endpoint."""

    async def listen(
        self, port: int, on_stream: Callable[[Stream], Awaitable[None]], duties: Supervisor
    ) -> None:
        """Accept on the endpoint's host and ``port`` until closed; raises AddressInUse.

        Accepting is one of ``duties``, whose end their owner hears of.  Each accepted stream
        gets its own call of ``on_stream``, in a task this transport owns; the stream is aborted
        when the call ends, by an error of the peer or well; any other error is told to the event
        loop.  Of more than INBOUND_HANDSHAKES_MAX streams that are still in their TLS handshake
        the oldest of the origin that has most of them ends; an origin that opens many in a short
        time may be turned away.
        """

    async def dial(self, to: Address, expected_key: PublicKey | None, timeout_s: float) -> Stream:
        """Connect; raises ConnectionLost (refused, unreachable, too slow) or RefusedByNetwork
        (another key than expected, another protocol).  With ``expected_key`` None any key is
        accepted and reported as ``remote_key``."""

    async def close(self) -> None:
        """Stop accepting and abort every stream."""


class Blocking(Protocol):
    """Where disk and hashing run: a few threads, or inline in a simulation."""

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Run ``function(*args)`` off the event loop and return or raise what it does.

        When cancelled it ends only after a function that has begun: nothing runs on behind
        whoever cleans up."""

    async def close(self) -> None: ...
