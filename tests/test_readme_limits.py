"""The limits that the README tells are those that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from dhtstore import params

LIMITS = (Path(__file__).parent.parent / "README.md").read_text().partition("## Limits of this")[2]


@pytest.mark.parametrize(
    "told",
    [
        f"{params.TREE_LEVELS_MAX} levels of directories",
        f"blocks of at most {params.BLOCK_SIZE_MAX_BYTES // params.MIB} MiB",
        f"at most {params.LINKS_READ_MAX:,} links",
        f"names of at most {params.NAME_MAX_BYTES:,} bytes",
        f"at most {params.CONTENT_SIZE_MAX_BYTES >> 60} EiB",
        f"at most {params.TREE_ENTRIES_MAX:,} entries",
        f"at most {params.NETWORK_NAME_MAX_BYTES} bytes",
        f"{params.REPLICAS_MAX} replicas",
        f"{params.PROVIDERS_PER_KEY_MAX} providers",
        f"{params.PROVIDER_RECORDS_MAX:,} provider records",
        f"{params.ADDRESSES_PER_TICKET_MAX} addresses",
        f"{params.CONNECTIONS_MAX} connections, {params.CONNECTIONS_RESERVED} of them",
        f"{params.NODES_PER_SITE_MAX} nodes keep their place",
    ],
)
def test_a_limit_is_told_as_it_is(told: str) -> None:
    assert told in " ".join(LIMITS.split())
