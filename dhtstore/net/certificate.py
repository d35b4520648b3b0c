"""TLS contexts from a node's key, and the key of whoever answers.

TLS 1.3 only (RFC 8446), one self-signed Ed25519 certificate (RFC 8410) without an expiry that
matters (RFC 5280 section 4.1.2.5), ALPN ``dhtstore/1`` (RFC 7301), no resumption.  Names and
chains prove nothing here: the dialler compares the certificate's key with the one it expects.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from dhtstore.errors import RefusedByNetwork
from dhtstore.model.identity import PublicKey
from dhtstore.params import ALPN

_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dhtstore")])
_NOT_BEFORE: Final = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER: Final = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def server_context(node_seed: bytes) -> tuple[ssl.SSLContext, bytes]:
    """For accepting, with the binding of its streams; shared by every stream (a context costs
    memory, a stream of it does not)."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    key = Ed25519PrivateKey.from_private_bytes(node_seed)
    shown = _self_signed(key)
    with _pem_file(_pem(key, shown)) as path:
        context.load_cert_chain(path)
    return context, _binding(shown.public_bytes(serialization.Encoding.DER))


def client_context() -> ssl.SSLContext:
    """For dialling: checks no chain, since ``peer_key`` tells who answered."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def peer_key(tls: ssl.SSLObject) -> tuple[PublicKey, bytes]:
    """The Ed25519 key that the server has just proved, and the binding of the stream; raises
    RefusedByNetwork.

    TLS itself checked the server's signature with the certificate's key (RFC 8446 section
    4.4.3); a peer that did not choose our ALPN still completes the handshake, so that is
    checked here.
    """
    if tls.selected_alpn_protocol() != ALPN:
        raise RefusedByNetwork("what answers there is not a dhtstore node")
    shown = tls.getpeercert(binary_form=True) or b""
    try:
        key = x509.load_der_x509_certificate(shown).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RefusedByNetwork("what answers there shows a certificate we cannot read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise RefusedByNetwork("what answers there has no Ed25519 key")
    return PublicKey(key.public_bytes_raw()), _binding(shown)


def _binding(certificate_der: bytes) -> bytes:
    return hashlib.sha256(certificate_der).digest()


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    return context


def _self_signed(key: Ed25519PrivateKey) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .sign(key, None)
    )


def _pem(key: Ed25519PrivateKey, certificate: x509.Certificate) -> bytes:
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + (
        certificate.public_bytes(pem)
    )


@contextmanager
def _pem_file(pem: bytes) -> Iterator[str]:
    """``ssl`` reads keys only from a path: one in memory where the system has such files, else
    a private one that is gone afterwards."""
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("dhtstore", os.MFD_CLOEXEC), "wb") as file:
            file.write(pem)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as private:
            private.write(pem)
            private.flush()
            yield private.name
