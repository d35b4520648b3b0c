"""What an operator reads: which events in which words, few of them, and nothing that drives a
terminal."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime

import pytest

from dhtstore.api.logbook.limiter import ORIGIN, STRANGERS, SUPPRESSED_TOLD_S, Limiter
from dhtstore.api.logbook.logbook import Logbook
from dhtstore.api.logbook.table import EVENTS, told
from dhtstore.cli.terminal.logs import JsonFormatter, TextFormatter
from tests.source_tree import ROOT

DAY_S = 86_400


class Read(logging.Handler):
    """An operator: what was written, and when."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.now_s = 0.0
        logger = logging.Logger("dhtstore", level)
        logger.addHandler(self)
        self.tell = Logbook(logger, lambda: self.now_s)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def text(self) -> list[str]:
        return [record.getMessage() for record in self.records]


def test_every_event_in_the_table_is_one_that_the_node_emits() -> None:
    source = "".join(path.read_text() for path in (ROOT / "dhtstore").rglob("*.py"))
    source = source.replace((ROOT / "dhtstore/api/logbook/table.py").read_text(), "")
    told_of = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', source))
    assert set(EVENTS) <= told_of


def test_the_default_is_quiet_but_for_what_is_wrong() -> None:
    log = Read(logging.WARNING)
    log.tell("hold.held", unit="ab", size=5)
    log.tell("link.open", node="ab")
    log.tell("room.failed", error="no room here")
    log.tell("pin.damaged", root="bafy")
    assert log.text == ['something is wrong: error="no room here"', "damaged: root=bafy"]
    assert {record.levelno for record in log.records} == {logging.WARNING}


def test_what_info_tells() -> None:
    log = Read(logging.INFO)
    log.tell("hold.refused", node="ab", origin="10.0.0.0/24", code="room", reason="full")
    log.tell("room.over")
    log.tell("dht.malformed", source="10.0.0.1:1", error="x")  # for debugging
    assert log.text == [
        "an offer is refused: node=ab origin=10.0.0.0/24 code=room reason=full",
        "the warning is over",
    ]
    assert told("room.over").level == logging.INFO
    assert told("dht.malformed").level == logging.DEBUG


def test_strangers_cannot_drive_a_terminal_or_write_long_lines() -> None:
    log = Read(logging.INFO)
    hostile = '\x1b[2J\n2026-01-01 WARNING all is lost" x="\u202e' + "A" * 10**6
    log.tell("link.refused", error=hostile, address=hostile)
    [line] = log.text
    assert line.isprintable()
    assert len(line) < 600
    assert line.count('"') == 4  # the quoted values end where they end
    for form in (TextFormatter(), JsonFormatter()):
        assert form.format(log.records[0]).isprintable()


def test_one_origin_cannot_fill_the_log_nor_silence_others() -> None:
    log = Read(logging.INFO)
    for second in range(DAY_S // 10):
        log.now_s = float(second)
        for _ in range(3):
            log.tell("hold.refused", origin="10.0.0.0/24", reason="full")
    one = len(log.records)
    assert one <= ORIGIN.at_once + DAY_S / 10 * (ORIGIN.per_s + 1 / SUPPRESSED_TOLD_S) + 1
    log.tell("hold.refused", origin="10.9.0.0/24", reason="honest")
    assert "honest" in log.text[-1]


def test_many_origins_cannot_fill_the_log_and_what_is_left_out_is_counted() -> None:
    log = Read(logging.INFO)
    events = 20_000
    for number in range(events):
        log.now_s = number / 10
        log.tell("link.refused", origin=f"10.{number % 256}.{number // 256}.0/24", error="x")
    log.now_s += 100
    log.tell("room.over")
    lines = [record for record in log.records if record.getMessage() != "the warning is over"]
    most = STRANGERS.at_once + log.now_s * (STRANGERS.per_s + 1 / SUPPRESSED_TOLD_S) + 1
    assert len(lines) <= most
    left_out = [
        record.fields["suppressed"]  # type: ignore[attr-defined]
        for record in lines
        if "suppressed" in record.getMessage()
    ]
    assert sum(left_out) + len(lines) - len(left_out) == events


def test_what_a_limiter_remembers_is_bounded() -> None:
    limiter = Limiter()
    for number in range(5000):
        limiter.take("link.refused", str(number), STRANGERS, 0.0)
        limiter.take(f"kind{number}", "", STRANGERS, 0.0)
    assert len(limiter._kinds) <= 256
    assert all(len(kind.origins) <= 1024 for kind in limiter._kinds.values())


def test_a_line_of_json_has_its_time_level_event_and_fields() -> None:
    log = Read(logging.INFO)
    log.tell("hold.held", unit="ab", size=5, origin="10.0.0.0/24")
    line = JsonFormatter().format(log.records[0])
    read = json.loads(line)
    assert "\n" not in line
    assert (read["level"], read["event"]) == ("info", "hold.held")
    assert read["message"] == "a unit is held"
    assert log.text == ["a unit is held: unit=ab size=5B origin=10.0.0.0/24"]
    assert read["fields"] == {"unit": "ab", "size": 5, "origin": "10.0.0.0/24"}
    assert datetime.fromisoformat(read["time"]).tzinfo == UTC


def test_other_records_and_defects_are_lines_too() -> None:
    try:
        raise RuntimeError("a defect\x1b")
    except RuntimeError as error:
        trace = (type(error), error, error.__traceback__)
    record = logging.LogRecord("asyncio", logging.ERROR, "x.py", 1, "it %s", ("broke\x07",), trace)
    read = json.loads(JsonFormatter().format(record))
    assert (read["event"], read["message"], read["fields"]) == ("log", "it broke\\x07", {})
    assert "RuntimeError" in read["trace"]
    assert "it broke\\x07" in TextFormatter().format(record)


@pytest.mark.parametrize("value", [True, 5, 2.5, None])
def test_numbers_stay_numbers(value: object) -> None:
    log = Read(logging.INFO)
    log.tell("node.joined", value=value)
    assert json.loads(JsonFormatter().format(log.records[0]))["fields"]["value"] == value
