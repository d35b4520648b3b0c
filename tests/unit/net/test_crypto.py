"""The real keys: what the simulated ones cannot show."""

from __future__ import annotations

import pytest

from dhtstore.errors import InvalidSignature
from dhtstore.model.identity import PublicKey
from dhtstore.net.crypto import Ed25519Crypto, Ed25519Signer, Ed25519Verifier, montgomery

PRIME = 2**255 - 19
# RFC 8032 section 7.1, test 2
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_signs_as_rfc_8032_says() -> None:
    signer = Ed25519Signer(SEED)
    assert signer.public_key == PUBLIC
    assert signer.sign(b"\x72") == SIGNATURE


def test_the_base_point_maps_to_the_base_point() -> None:
    base_y = 4 * pow(5, -1, PRIME) % PRIME
    assert montgomery(base_y.to_bytes(32, "little")) == (9).to_bytes(32, "little")


SMALL_ORDER_Y = (
    0,
    1,
    PRIME - 1,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
)


@pytest.mark.parametrize("sign_bit", [0, 1])
@pytest.mark.parametrize("y", [*SMALL_ORDER_Y, PRIME, PRIME + 1, 2**255 - 1])
def test_small_order_and_non_canonical_keys_are_refused(y: int, sign_bit: int) -> None:
    key = PublicKey((y | sign_bit << 255).to_bytes(32, "little"))
    crypto = Ed25519Crypto(b"n" * 32, b"o" * 32)
    with pytest.raises(InvalidSignature):
        crypto.agree(key)
    assert not crypto.verify(key, b"", bytes(64))


def test_a_signature_has_one_form() -> None:
    """RFC 8032 section 5.1.7: S is below the order of the group, or anybody could alter it."""
    signer = Ed25519Signer(bytes(32))
    signature = signer.sign(b"kept")
    order = 2**252 + 27742317777372353535851937790883648493
    altered = int.from_bytes(signature[32:], "little") + order
    other = signature[:32] + altered.to_bytes(32, "little")
    assert Ed25519Verifier().verify(signer.public_key, b"kept", signature)
    assert not Ed25519Verifier().verify(signer.public_key, b"kept", other)
