"""Sends datagrams to one node: ``python -m benchmarks.rpc.flooder HOST PORT ...``.

Half are malformed in one way or another, half well-formed requests, each under a key that nobody
has: the node must agree on one to find out that it is forged.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import socket
import time
from collections.abc import Iterator
from typing import Final

from dhtstore.model.identity import PublicKey
from dhtstore.model.network import Network
from dhtstore.params import DATAGRAM_MAX_BYTES, NODE_ID_BYTES
from dhtstore.wire import datagram, envelope
from dhtstore.wire.datagram import FindNode

BURST_S: Final = 0.002
MALFORMED: Final = 512  # that take turns


def malformed(network: Network, rng: random.Random) -> bytes:
    """Noise, with or without the right beginning; lengths that lie; frames of no kind."""
    head = envelope.header_of(network, rng.getrandbits(8), PublicKey(rng.randbytes(32)))
    rest = rng.randbytes(rng.randrange(0, DATAGRAM_MAX_BYTES - len(head)))
    return rng.choice((rest or b"\0", head + rest, head[: rng.randrange(1, len(head))]))


def fresh(network: Network, rng: random.Random, key: bytes) -> bytes:
    """A request in order but for its MAC, of a key seen for the first time."""
    message_id = rng.randbytes(envelope.MESSAGE_ID_BYTES)
    frame = datagram.encode_request(message_id, FindNode(rng.randbytes(NODE_ID_BYTES)))
    head = envelope.header_of(network, 0, PublicKey(key))
    return head + rng.randbytes(16) + len(frame).to_bytes(2, "big") + frame


def flood(network: Network, seed: int) -> Iterator[bytes]:
    """Without end, one of each in turn."""
    rng = random.Random(seed)
    noise = itertools.cycle([malformed(network, rng) for _ in range(MALFORMED)])
    while True:
        yield next(noise)
        yield fresh(network, rng, os.urandom(32))


def main() -> None:
    arguments = _parser().parse_args()
    datagrams = flood(Network(arguments.network), arguments.seed)
    begun_s, sent = time.monotonic(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        to = (arguments.host, arguments.port)
        while (elapsed_s := time.monotonic() - begun_s) < arguments.seconds:
            due = int(elapsed_s * arguments.rate)
            for data in itertools.islice(datagrams, due - sent):
                sock.sendto(data, to)
            sent = max(sent, due)
            time.sleep(BURST_S)
    print(sent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--network", required=True)
    parser.add_argument("--rate", type=int, required=True, help="datagrams a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
