"""A router between two TUN devices: ``python -m benchmarks.slow_path.router NAME NAME``.

It makes the devices, says ``ready``, and forwards until it is ended; whoever started it moves them
into namespaces, where they stay connected to it.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque
from typing import Final

from benchmarks.slow_path.way import PathShape, Way

TUNSETIFF: Final = 0x400454CA  # linux/if_tun.h
IFF_TUN_NO_PI: Final = 0x1001
PACKET_MAX_BYTES: Final = 2048
IN_A_TURN: Final = 64  # packets read of one device before the other has a turn


class Direction:
    """From one device to the other."""

    def __init__(self, source: int, target: int, way: Way) -> None:
        self.source, self._target, self._way = source, target, way
        self._under_way: deque[tuple[float, bytes]] = deque()  # in order: one line, one delay

    @property
    def due_s(self) -> float | None:
        return self._under_way[0][0] if self._under_way else None

    def read(self) -> None:
        """Take what waits at the source."""
        for _ in range(IN_A_TURN):
            try:
                packet = os.read(self.source, PACKET_MAX_BYTES)
            except OSError:  # nothing waits, or the device went with its namespace
                return
            due_s = self._way.take(len(packet), time.monotonic())
            if due_s is not None:
                self._under_way.append((due_s, packet))

    def write(self) -> None:
        """Give out what is due."""
        now = time.monotonic()
        while self._under_way and self._under_way[0][0] <= now:
            try:
                os.write(self._target, self._under_way.popleft()[1])
            except OSError:  # the device is not up (yet): as if it had been lost
                continue


def tun(name: str) -> int:
    """A descriptor of a new TUN device, which goes when it is closed; raises OSError."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return device


def forward(a: int, b: int, shape: PathShape) -> None:
    """Without end."""
    rng = random.Random(1)
    ways = [Direction(a, b, Way(shape, rng)), Direction(b, a, Way(shape, rng))]
    while True:
        dues = [way.due_s for way in ways if way.due_s is not None]
        wait_s = max(0.0, min(dues) - time.monotonic()) if dues else None
        ready, _, _ = select.select([a, b], [], [], wait_s)
        for way in ways:
            if way.source in ready:
                way.read()
            way.write()


if __name__ == "__main__":
    devices = [tun(name) for name in sys.argv[1:3]]
    print("ready", flush=True)
    forward(devices[0], devices[1], PathShape())
