"""Signed objects inside messages: bytes of a limited length, taken apart by ``signing.unpack``.

A message carries them unread, so that what a later version added to one goes where it goes.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from dhtstore.params import (
    CONTACT_RECORD_MAX_BYTES,
    GRANT_MAX_BYTES,
    POLICY_MAX_BYTES,
    PROVIDER_RECORD_MAX_BYTES,
    RECEIPT_MAX_BYTES,
    SIGNATURE_BYTES,
)

_MIN_BYTES = SIGNATURE_BYTES + 1

PackedContact = Annotated[bytes, Meta(min_length=_MIN_BYTES, max_length=CONTACT_RECORD_MAX_BYTES)]
PackedProvider = Annotated[bytes, Meta(min_length=_MIN_BYTES, max_length=PROVIDER_RECORD_MAX_BYTES)]
PackedPolicy = Annotated[bytes, Meta(min_length=_MIN_BYTES, max_length=POLICY_MAX_BYTES)]
PackedGrant = Annotated[bytes, Meta(min_length=_MIN_BYTES, max_length=GRANT_MAX_BYTES)]
PackedReceipt = Annotated[bytes, Meta(min_length=_MIN_BYTES, max_length=RECEIPT_MAX_BYTES)]
