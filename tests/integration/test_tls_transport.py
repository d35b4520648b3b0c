"""What strangers may do to the real transport: every wrong client costs only itself."""

from __future__ import annotations

import asyncio
import datetime
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dhtstore.errors import AddressInUse, ConnectionLost, RefusedByNetwork
from dhtstore.model.contact import Address
from dhtstore.net import accepting, tcp
from dhtstore.net.certificate import client_context, server_context
from dhtstore.net.ports import Stream
from dhtstore.net.tcp import TlsTransport
from dhtstore.params import ALPN, HANDSHAKE_TIMEOUT_S
from dhtstore.tasks import Supervisor
from tests.integration.duties import Duties

SEED = b"s" * 32


class Listening:
    """A transport that echoes one byte a stream, and the problems asyncio reported."""

    def __init__(self) -> None:
        self.transport = TlsTransport("127.0.0.1", SEED)
        self.problems: list[str] = []
        self.streams = 0

    async def echo(self, stream: Stream) -> None:
        self.streams += 1
        await stream.write(await stream.read_exactly(1))

    @property
    def address(self) -> Address:
        return Address("127.0.0.1", self.transport.port)

    async def serves(self) -> bool:
        """Whether an honest dialler is still served."""
        client = TlsTransport("127.0.0.1", b"c" * 32)
        stream = await client.dial(self.address, None, 5.0)
        await stream.write(b"!")
        answered = await stream.read_exactly(1) == b"!"
        await client.close()
        return answered


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    world = Listening()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: world.problems.append(repr(context)))
    await world.transport.listen(0, world.echo, Supervisor())
    yield world
    await world.transport.close()
    assert world.problems == []


async def _ended(reader: asyncio.StreamReader) -> bool:
    """Read until the other side ends the connection."""
    try:
        while await reader.read(4096):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return True


async def test_plain_bytes_instead_of_tls_end_the_connection(listening: Listening) -> None:
    reader, writer = await asyncio.open_connection(*listening.address)
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
    assert await _ended(reader)
    writer.close()
    assert await listening.serves()


async def test_tls_1_2_is_refused(listening: Listening) -> None:
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*listening.address, ssl=context, server_hostname="")
    assert await listening.serves()


@pytest.mark.parametrize("protocols", [[], ["h2"], [ALPN + "0"]])
async def test_another_protocol_is_not_served(listening: Listening, protocols: list[str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    reader, writer = await asyncio.open_connection(*listening.address, ssl=context)
    assert await _ended(reader)
    writer.close()
    assert listening.streams == 0
    assert await listening.serves()


async def test_a_dialler_that_never_shakes_hands_is_dropped(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "HANDSHAKE_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection(*listening.address)
    assert await _ended(reader)
    writer.close()


async def test_handshakes_held_open_give_way_to_those_that_come(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "INBOUND_HANDSHAKES_MAX", 2)
    opened = [await asyncio.open_connection(*listening.address) for _ in range(3)]
    async with asyncio.timeout(HANDSHAKE_TIMEOUT_S / 2):  # before it would end by itself
        assert await _ended(opened[0][0])
    assert await listening.serves()
    for _, writer in opened:
        writer.close()


async def test_the_origin_with_most_handshakes_gives_way(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "INBOUND_HANDSHAKES_MAX", 3)

    async def open_from(host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*listening.address, local_addr=(host, 0))

    alone = await open_from("127.0.1.1")
    crowd = [await open_from(f"127.0.0.{number}") for number in range(1, 5)]
    assert await _ended(crowd[0][0])
    assert await _ended(crowd[1][0])
    assert not alone[0].at_eof()
    for _, writer in (alone, *crowd):
        writer.close()


async def test_a_server_of_another_protocol_is_refused_by_the_dialler() -> None:
    context, _ = server_context(SEED)
    context.set_alpn_protocols(["h2"])
    await _dial_is_refused(context)


async def test_a_server_without_an_ed25519_key_is_refused_by_the_dialler(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    await _dial_is_refused(_elliptic_context(tmp_path_factory))


async def _dial_is_refused(context: ssl.SSLContext) -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _ended(reader)
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0, ssl=context)
    transport = TlsTransport("127.0.0.1", SEED)
    with pytest.raises(RefusedByNetwork):
        await transport.dial(Address(*server.sockets[0].getsockname()), None, 5.0)
    await transport.close()
    server.close()
    await server.wait_closed()


def _elliptic_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.set_alpn_protocols([ALPN])
    return context


async def test_a_silent_server_does_not_hold_the_dialler_beyond_its_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = TlsTransport("127.0.0.1", SEED)
        with pytest.raises(ConnectionLost, match="did not answer within"):
            await transport.dial(Address(*silent.getsockname()), None, 0.05)
        await transport.close()


async def test_nobody_listening_is_a_lost_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
    transport = TlsTransport("127.0.0.1", SEED)
    with pytest.raises(ConnectionLost, match="refused"):
        await transport.dial(address, None, 5.0)
    await transport.close()


async def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    transport = TlsTransport("192.0.2.1", SEED)  # TEST-NET-1, RFC 5737
    with pytest.raises(AddressInUse):
        await transport.listen(0, Listening().echo, Supervisor())
    await transport.close()


async def test_the_proved_key_is_the_ed25519_key_of_the_seed(listening: Listening) -> None:
    transport = TlsTransport("127.0.0.1", b"d" * 32)
    stream = await transport.dial(listening.address, None, 5.0)
    expected = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    assert stream.remote_key == expected
    await transport.close()


async def test_a_listening_socket_that_breaks_ends_the_duty_that_accepts() -> None:
    transport, duties = TlsTransport("127.0.0.1", SEED), Duties()
    await transport.listen(0, Listening().echo, duties)
    assert transport._socket is not None
    transport._socket.shutdown(socket.SHUT_RDWR)  # accept(2) gives EINVAL from now on
    assert (await duties.ended.get())[0] == "accept-streams"
    await transport.close()


async def test_running_out_of_descriptors_ends_no_duty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "ACCEPT_PAUSE_S", 0.01)
    transport, duties, world = TlsTransport("127.0.0.1", SEED), Duties(), Listening()
    await transport.listen(0, world.echo, duties)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = socket.create_connection(("127.0.0.1", transport.port))
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        await asyncio.sleep(0.05)  # it cannot accept and tries again
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    waiting.close()
    client = TlsTransport("127.0.0.1", b"c" * 32)
    stream = await client.dial(Address("127.0.0.1", transport.port), None, 5.0)
    await stream.write(b"!")
    assert await stream.read_exactly(1) == b"!"
    assert duties.ended.empty()
    await client.close()
    await transport.close()


async def test_ipv4_on_a_socket_of_both_families_is_told_as_ipv4() -> None:
    both, client = TlsTransport("::", SEED), TlsTransport("127.0.0.1", b"c" * 32)
    accepted: asyncio.Queue[Address] = asyncio.Queue()

    async def note(stream: Stream) -> None:
        accepted.put_nowait(stream.remote)

    await both.listen(0, note, Supervisor())
    await client.dial(Address("127.0.0.1", both.port), None, 5.0)
    assert (await asyncio.wait_for(accepted.get(), 5)).host == "127.0.0.1"
    await client.close()
    await both.close()
