"""The addresses of this machine, and of one that changes them."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys

import pytest

from dhtstore.errors import UsageError
from dhtstore.net.interfaces.host import HostInterfaces

OWN_NAMESPACE = ("unshare", "--map-root-user", "--net")


def test_loopback_is_among_the_addresses_of_this_machine() -> None:
    assert "127.0.0.1" in HostInterfaces().hosts()


async def test_waiting_for_a_change_ends_when_it_is_cancelled() -> None:
    waiting = asyncio.ensure_future(HostInterfaces().changed())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_addresses_that_come_and_go_are_told() -> None:
    if not shutil.which("ip") or subprocess.run([*OWN_NAMESPACE, "true"], check=False).returncode:
        pytest.skip("no network namespaces here")
    child = [sys.executable, "-m", "tests.integration.interfaces_child"]
    done = subprocess.run([*OWN_NAMESPACE, *child], capture_output=True, text=True, check=False)
    before, with_two, after = done.stdout.splitlines()
    assert "198.51.100.1" not in before
    assert set(with_two.split()) == {*before.split(), "198.51.100.1"}
    assert after.split() == before.split()


def test_a_system_that_does_not_tell_its_addresses_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "AF_NETLINK", 99)
    with pytest.raises(UsageError, match=r"Address family not supported.*--advertise"):
        HostInterfaces().hosts()
