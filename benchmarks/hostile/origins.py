"""Strangers on real sockets, each bound to an address of its own origin.

In a network namespace of their own (Linux) all nodes and strangers have addresses of the public
net, of which nothing leaves the machine; elsewhere those of 127.0.0.0/8, where a node spares
whoever is on loopback as it is itself, so that shares per origin bound nobody.
"""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.hostile.kit.field import Field, Wire
from benchmarks.hostile.kit.stranger import Means, Stranger, Target
from dhtstore.model.cid import Cid
from dhtstore.net.clock import SystemClock, SystemEntropy
from dhtstore.net.crypto import Ed25519Crypto
from dhtstore.net.tcp import TlsTransport
from dhtstore.net.tls_stream import TlsStream
from dhtstore.net.udp import UdpEndpoint

UNSHARE: Final = ("unshare", "--user", "--map-root-user", "--net")
PUBLIC: Final = "11"  # the first number of addresses that are nobody's in the namespace
LOOPBACK: Final = "127"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Who is where: a node, an honest user of another /24, strangers in a /24 each."""

    first: str

    @property
    def node(self) -> str:
        return f"{self.first}.1.0.1"

    @property
    def user(self) -> str:
        return f"{self.first}.2.0.1"

    def origin(self, number: int) -> str:
        return f"{self.first}.66.{number % 256}.1"


def can_unshare() -> bool:
    """Whether this user may have a network namespace of its own here."""
    try:
        return subprocess.run([*UNSHARE, "ip", "link"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def furnish() -> None:
    """Within a new namespace: all of 11.0.0.0/8 is this machine."""
    for command in ("link set lo up", f"route add local {PUBLIC}.0.0.0/8 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)


class SourcedTransport(TlsTransport):
    """Dials from the address that it would listen on."""

    def __init__(self, host: str, node_seed: bytes) -> None:
        super().__init__(host, node_seed)
        self._source = host

    async def _connect(self, stream: TlsStream) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.bind((self._source, 0))
            await asyncio.get_running_loop().sock_connect(sock, stream.remote)
            await asyncio.get_running_loop().create_connection(lambda: stream, sock=sock)
            await stream.handshake()
        except BaseException:
            sock.close()
            stream.abort()
            raise


def field_of(target: Target, user: Target, addresses: Addresses, known: Path, seed: int) -> Field:
    """The field of a stranger's process; ``known`` is the file that names what was put."""
    entropy = SystemEntropy()

    def stranger(origin: int) -> Stranger:
        host, secret = addresses.origin(origin), entropy.random_bytes(32)
        means = Means(
            Ed25519Crypto(secret, secret),
            UdpEndpoint(host, 0),
            SourcedTransport(host, secret),
            entropy,
            SystemClock().unix_s,
        )
        return Stranger(means, target)

    async def connect(origin: int) -> Wire:
        source = addresses.origin(origin), 0
        return await asyncio.open_connection(*target.address, local_addr=source)

    def owner() -> Ed25519Crypto:
        return Ed25519Crypto(entropy.random_bytes(32), entropy.random_bytes(32))

    def roots() -> Sequence[Cid]:
        return [Cid.parse(line) for line in known.read_text().split()]

    return Field(target, stranger, owner, random.Random(seed), roots, user, connect)
