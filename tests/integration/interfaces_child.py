"""Run in a network namespace of its own: prints the addresses that others can be told, then those
after one came and after one went."""

from __future__ import annotations

import asyncio
import subprocess

from dhtstore.net.interfaces.host import HostInterfaces


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


async def main() -> None:
    ip("link", "set", "lo", "up")
    ip("addr", "add", "192.0.2.1/24", "dev", "lo")
    interfaces = HostInterfaces()
    print(*interfaces.hosts())
    for change in ("add", "del"):
        changed = asyncio.ensure_future(interfaces.changed())
        await asyncio.sleep(0.1)
        ip("addr", change, "198.51.100.1/24", "dev", "lo")
        await asyncio.wait_for(changed, 10)
        print(*interfaces.hosts())


asyncio.run(main())
