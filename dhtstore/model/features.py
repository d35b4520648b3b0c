"""Features: names of what a node can do beyond the protocol that everybody speaks.

Names and not bits, so that no registry of numbers is needed and a capture can be read; bounded, so
that a contact record with as many as it may have still fits a datagram.  A feature is used with a
peer only if both have it; names that one side does not know mean nothing to it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from dhtstore.params import FEATURE_NAME_MAX_CHARS, FEATURES_MAX

Feature = Annotated[str, Meta(min_length=1, max_length=FEATURE_NAME_MAX_CHARS)]
Features = Annotated[tuple[Feature, ...], Meta(max_length=FEATURES_MAX)]
