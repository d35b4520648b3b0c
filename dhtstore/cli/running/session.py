"""One operation asked of a node: of the one that runs here, or with --seed of one that lives for
it."""

from __future__ import annotations

from typing import TypeVar

from dhtstore.api.homes import home_path, socket_path
from dhtstore.cli.running.errand import Errand
from dhtstore.cli.terminal.common import Common
from dhtstore.errors import NotRunning
from dhtstore.model.cid_path import check_spelling
from dhtstore.net.local.client import converse
from dhtstore.operations.conversation import Conversation
from dhtstore.operations.operation import Operation

R = TypeVar("R")


def ask(common: Common, operation: Operation[R]) -> R:
    """The result of a short operation; raises as ``run`` does."""
    return run(common, Errand(operation))


def run(common: Common, errand: Errand[R]) -> R:
    """The result; raises what the node raised, or NotRunning."""
    if common.seeds:
        from dhtstore.cli.running.alone import run_alone

        return run_alone(common, errand)
    conversation = Conversation(errand.operation, common.timeout_s, errand.watch)
    try:
        path = socket_path(home_path(common.home))
        return converse(path, conversation, errand.descriptors, errand.sent)
    except NotRunning:  # nobody here can say what a name stands for, but no name looks like this
        check_spelling(getattr(errand.operation, errand.operation.about, ""))
        raise
