"""docs/protocol.md says everything that travels, as it is."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
import pytest

from dhtstore import params
from dhtstore.model.contact import ContactRecord
from dhtstore.model.policy import Claim, Grant, Policy
from dhtstore.model.provider_record import ProviderRecord
from dhtstore.model.receipt import Receipt
from dhtstore.wire import datagram, envelope, frames
from dhtstore.wire.ticket import Ticket
from tests.source_tree import ROOT, forbid, modules

TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
SECTIONS = {
    match["name"]: match["body"]
    for match in re.finditer(
        r"^#### `(?P<name>\w+)`(?P<body>.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL
    )
}
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.*?) ?\| (\d+) \|$", re.MULTILINE)
INTERNAL = {"Frame", "FrameRequest", "FrameResponse"} | {  # no messages of their own
    "UnknownFrame",
    "UnknownRequest",
    "UnknownProcedure",
}


def messages_of(module: ModuleType) -> Iterator[type[msgspec.Struct]]:
    for name, kind in inspect.getmembers(module, inspect.isclass):
        own = kind.__module__ == module.__name__ and name not in INTERNAL
        if own and not name.startswith("_") and issubclass(kind, msgspec.Struct):
            yield kind


MESSAGES = [*messages_of(frames), *messages_of(datagram)]
KINDS: list[Any] = [*MESSAGES, ContactRecord, ProviderRecord, Policy, Receipt, Grant, Claim, Ticket]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_is_described_in_its_place(kind: Any) -> None:
    fields = list(getattr(kind, "__struct_fields__", ()))
    if dataclasses.is_dataclass(kind):
        fields = [field.name for field in dataclasses.fields(kind)]
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.*?) ?\| (\d+) \|$", SECTIONS[kind.__name__], re.MULTILINE
    )
    assert [name for name, *_ in rows] == fields
    for _, type_, _, since in rows:
        assert type_.strip()
        assert 1 <= int(since) <= params.PROTOCOL_VERSION


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
def test_every_message_is_told_by_its_tag(kind: type[msgspec.Struct]) -> None:
    tag = kind.__struct_config__.tag
    title = SECTIONS[kind.__name__].splitlines()[0]
    if isinstance(tag, int):
        assert title.endswith(f"{tag:#04x}")
    elif tag is not None:
        assert title.endswith(f"`{tag}`")


def test_no_message_is_described_that_does_not_exist() -> None:
    assert SECTIONS.keys() == {kind.__name__ for kind in KINDS}


def test_all_domain_strings_are_listed() -> None:
    listed = set(re.findall(r"^\| `(dhtstore/\w+/\d)\\0`", TEXT, re.MULTILINE))
    used = {
        name
        for module in modules("dhtstore")
        for name in re.findall(r'b"(dhtstore/\w+/\d)\\0"', module.text)
    }
    assert listed == used


def test_the_protocol_version_is_agreed_in_handshakes_and_enters_nothing_else() -> None:
    """Else a node of a later version could not talk with one of this, whatever they agree on."""
    may_name_it = {"dhtstore.params", "dhtstore.node.links.handshake", "dhtstore.cli.home.version"}
    forbid(
        "files that name the protocol version",
        (
            module.name
            for module in modules("dhtstore")
            if re.search(r"\bPROTOCOL_VERSION\b", module.text) and module.name not in may_name_it
        ),
    )


def test_flags_are_listed_with_their_values() -> None:
    listed = {n: int(v) for n, v in re.findall(r"^\| `([A-Z]+)` \| (\d+) \|", TEXT, re.MULTILINE)}
    assert listed == {name: getattr(envelope, name) for name in listed}
    assert len(listed) == 5


def test_the_limits_named_are_those_of_the_code() -> None:
    kib = params.KIB
    said = {
        f"packed at most {params.CONTACT_RECORD_MAX_BYTES}": ContactRecord,
        f"packed at\nmost {params.PROVIDER_RECORD_MAX_BYTES}": ProviderRecord,
        f"packed\nat most {params.POLICY_MAX_BYTES}": Policy,
        f"packed at most {params.RECEIPT_MAX_BYTES}": Receipt,
        f"packed at most {params.GRANT_MAX_BYTES}": Grant,
    }
    lost = [text for text, kind in said.items() if text not in SECTIONS[kind.__name__]]
    everywhere = (
        f"at most {params.FRAME_HEADER_MAX_BYTES // kib} KiB",
        f"{params.HANDSHAKE_FRAME_MAX_BYTES // kib} KiB",
        f"at most {params.FRAME_BODY_MAX_BYTES / params.MIB:g} MiB",
        f"after {params.UNKNOWN_FRAMES_MAX} in a row",
        f"At most {params.DATAGRAM_MAX_BYTES} bytes",
        f"at most {datagram.CONTACTS_PER_ANSWER_MAX} of them",
        f"most {params.REQUESTS_IN_FLIGHT_MAX} requests in flight",
        f"{params.FEATURES_MAX}, of 1 to {params.FEATURE_NAME_MAX_CHARS} characters",
        f"1 to {params.WANTS_PER_REQUEST_MAX} CIDs",
    )
    forbid(
        "limits that are not in docs/protocol.md", lost + [t for t in everywhere if t not in TEXT]
    )
