"""Kinds of datagrams, as samples and faults name them."""

from __future__ import annotations

from typing import Final

KINDS: Final = (
    "ping", "find_node", "get_providers", "add_provider", "add_providers", "find_contact",
    "store_contact", "store_policy", "find_policy",
)  # fmt: skip
ANSWER: Final = "answer"  # to any of them
