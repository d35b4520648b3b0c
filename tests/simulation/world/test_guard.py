"""The guard refuses the real world to node code, lets others be, and goes away."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from types import ModuleType

import pytest

from simulations.errors import EscapedSimulation
from simulations.world.loop.guard import guarded


def as_module(name: str, source: str) -> Callable[[], object]:
    """A function ``act`` of a module of that name."""
    module = ModuleType(name)
    exec(source, module.__dict__)
    found = module.__dict__["act"]
    assert callable(found)
    return found  # type: ignore[no-any-return]


REACHES = {
    "clock": "import time\ndef act(): return time.time()",
    "entropy": "import os\ndef act(): return os.urandom(4)",
    "shared generator": "import random\ndef act(): return random.random()",
    "uuid": "import uuid\ndef act(): return uuid.uuid4()",
    "thread": "import threading\ndef act(): return threading.Thread(target=print).start()",
    "socket": "import socket\ndef act(): return socket.socket()",
}


@pytest.mark.parametrize("reach", REACHES)
def test_node_code_is_refused(reach: str) -> None:
    act = as_module("dhtstore.made_up", REACHES[reach])
    with guarded(), pytest.raises(EscapedSimulation, match=r"dhtstore\.made_up called"):
        act()


def test_an_imported_name_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("dhtstore.made_up_alias")
    exec("from time import monotonic as clock\ndef act(): return clock()", module.__dict__)
    monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    with guarded(), pytest.raises(EscapedSimulation, match=r"time\.monotonic"):
        module.__dict__["act"]()
    assert module.__dict__["act"]() > 0


def test_own_generators_and_other_code_are_let_be() -> None:
    act = as_module(
        "dhtstore.made_up", "import random\ndef act(): return random.Random(1).random()"
    )
    with guarded():
        assert act() == random.Random(1).random()
        assert time.time() > 0
        assert len(os.urandom(3)) == 3
        random.random()
        socket.socket().close()


def test_everything_is_put_back() -> None:
    before = (time.time, os.urandom, random.random, threading.Thread.start, socket.socket.__init__)
    with guarded():
        pass
    after = (time.time, os.urandom, random.random, threading.Thread.start, socket.socket.__init__)
    assert before == after
