"""One request to a node: to the one that runs here, or with --seed to one that lives for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from dhtstore.cli.running.where import socket_path
from dhtstore.cli.terminal.common import Common
from dhtstore.net.local.client import LocalClient
from dhtstore.wire.control import (
    Failure,
    Progress,
    Request,
    Result,
    decode_answer,
    encode,
    error_of,
)

Watch = Callable[[Progress], None]
Cancel = Callable[[], None]  # may be called from any thread


def _look_away(progress: Progress) -> None:
    """For commands that are over before anybody could watch."""


def _nothing(cancel: Cancel) -> None:
    """For requests without descriptors."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A request and what goes with it.  ``sent`` is called when the node has copies of the
    descriptors of its own, so that ours can be closed; it is given what ends the request."""

    request: Request
    descriptors: Sequence[int] = ()
    watch: Watch = _look_away
    sent: Callable[[Cancel], None] = _nothing


def ask(common: Common, request: Request) -> Any:
    """The value a short request results in; raises as ``run`` does."""
    return run(common, Errand(request))


def run(common: Common, errand: Errand) -> Any:
    """The result's value in plain JSON types; raises what the node raised, or NotRunning."""
    errand = replace(errand, request=_with_timeout(common, errand))
    if common.seeds:
        from dhtstore.cli.running.alone import run_alone

        return run_alone(common, errand)
    with LocalClient(socket_path(common)) as client:
        client.send(encode(errand.request), list(errand.descriptors))
        errand.sent(client.abort)
        return _conversation(client, errand.watch)


def _with_timeout(common: Common, errand: Errand) -> Request:
    return msgspec.structs.replace(
        errand.request, timeout_s=common.timeout_s, descriptors=len(errand.descriptors)
    )


def _conversation(client: LocalClient, watch: Watch) -> Any:
    while True:
        answer = decode_answer(client.receive())
        if isinstance(answer, Result):
            return answer.value
        if isinstance(answer, Failure):
            raise error_of(answer)
        watch(answer)
