from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhtstore.config import (
    KEYS,
    SETTINGS,
    Settings,
    counted,
    format_clock,
    format_duration,
    format_size,
    from_environment,
    merge,
    parse_duration,
    parse_range,
    parse_size,
    parse_toml,
    shown,
    to_toml,
    unknown_setting,
    written,
)
from dhtstore.config.quantities import DURATIONS, SIZES, read_quantity
from dhtstore.config.values import AcceptRule
from dhtstore.errors import InvalidSetting


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("500 MB", 500_000_000),
        ("10GiB", 10 * 2**30),
        ("1.5 gib", 3 * 2**29),
        ("200GB", 200 * 10**9),
        ("3k", 3000),
        ("7B", 7),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "1 XB", "5iB", "1 GB 2", "\u0661GB"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1G-2G", (10**9, 2 * 10**9)),
        ("0-1", (0, 1)),
        ("1MiB+512KiB", (1 << 20, 3 << 19)),
        ("1.5k-", (1500, None)),
        (" 5 GB - 6 GB ", (5 * 10**9, 6 * 10**9)),
        ("-1M", (-(10**6), None)),
    ],
)
def test_ranges(text: str, span: tuple[int, int | None]) -> None:
    assert parse_range(text) == span


@pytest.mark.parametrize(
    "text", ["", "-", "5", "+5", "5+", "5-5", "6-5", "5+0", "-0", "--5", "1-2-3", "1X-2X", "-5-9"]
)
def test_wrong_ranges(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        parse_range(text)


def test_durations() -> None:
    assert parse_duration("90") == 90
    assert parse_duration("250ms") == 0.25
    assert parse_duration("5m") == 300
    assert parse_duration("1.5h") == 5400
    for wrong in ("", "0", "-3", "5 years", "inf"):
        with pytest.raises(ValueError, match="not a duration"):
            parse_duration(wrong)


def test_what_is_typed_and_what_is_spelled_out_are_one_grammar() -> None:
    for spelled, typed in (
        ("64 KiB", "64kib"),
        ("1.5 GB", "1.5g"),
        ("7 B", "7"),
        ("2 PiB", "2PIB"),
    ):
        assert read_quantity(spelled, SIZES, "a size") == parse_size(typed)
    for spelled, typed in (("5 min", "5m"), ("250 ms", "250MS"), ("90 s", "90"), ("1 y", "1y")):
        assert read_quantity(spelled, DURATIONS, "a duration") == parse_duration(typed)


@pytest.mark.parametrize("value", ["5", "5 m", "5 Min", "5 MIN", "min", 5, True, None, ["5 s"]])
def test_what_is_spelled_out_needs_its_exact_unit(value: object) -> None:
    with pytest.raises(ValueError, match=r"a duration|unknown unit"):
        read_quantity(value, DURATIONS, "a duration")


@pytest.mark.parametrize("value", [0, 0.0, "0", "0 s"])
def test_nothing_needs_no_unit(value: object) -> None:
    assert read_quantity(value, DURATIONS, "a duration") == 0


def test_a_typed_size_is_exact_however_large() -> None:
    assert parse_size("9007199254740993") == 2**53 + 1


def test_formatted_sizes() -> None:
    assert format_size(0) == "0 B"
    assert format_size(999) == "999 B"
    assert format_size(1000) == "1.0 kB"
    assert format_size(999_949) == "999.9 kB"
    assert format_size(999_950) == "1.0 MB"
    assert format_size(1_500_000_000) == "1.5 GB"
    assert format_size(10**19) == "10000.0 PB"


@pytest.mark.parametrize("unit", ["kB", "MB", "GB", "TB", "PB"])
def test_what_is_told_can_be_typed(unit: str) -> None:
    assert format_size(parse_size(f"1.5 {unit}")) == f"1.5 {unit}"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("0.0.0.0", "every address"),
        ("[::]", "every address"),
        ("[::ffff:0.0.0.0]", "every address"),
        ("224.0.0.1", "multicast"),
        ("[ff02::1]", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("[fe80::1]", "one link only"),
    ],
)
def test_an_address_that_is_no_one_hosts_is_not_advertised(host: str, why: str) -> None:
    with pytest.raises(InvalidSetting, match=f"advertise: .*{why}"):
        Settings(advertise=(f"{host}:7400",))


@pytest.mark.parametrize("host", ["224.0.0.1", "[ff02::1]", "255.255.255.255"])
def test_nobody_listens_at_an_address_of_several(host: str) -> None:
    with pytest.raises(InvalidSetting, match="nobody in particular"):
        Settings(listen=f"{host}:7400")


@pytest.mark.parametrize("host", ["192.168.1.7", "[2a01:4f8::1]", "[::ffff:8.8.8.8]", "a.org"])
def test_addresses_of_one_host_are_advertised(host: str) -> None:
    assert Settings(advertise=(f"{host}:7400",)).advertise == (f"{host}:7400",)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("replicas", "0"),
        ("replicas", "65"),
        ("replicas", "many"),
        ("replicas", True),
        ("min_acks", 4),
        ("network", ""),
        ("network", "n" * 65),
        ("network", 3),
        ("listen", "7401"),
        ("listen", "host:99999"),
        ("advertise", "host:0"),
        ("advertise", ["a:1", "a:2", "a:3", "a:4", "a:5"]),
        ("advertise", 5),
        ("capacity", "plenty"),
        ("capacity", 1.5),
        ("accept", "owners"),
        ("accept", "everyone"),
        ("accept", "mine FILE"),
        ("owner_quota", "-1"),
        ("domain", "d" * 65),
        ("domain", "\udcff"),
        ("network", "a\nb"),
        ("colour", "blue"),
    ],
)
def test_a_wrong_value_names_its_source_and_key(key: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=rf"config\.toml: .*{key}"):
        merge(Settings(), {key: value}, "config.toml")


def test_precedence_by_merging_in_order() -> None:
    settings = merge(Settings(), {"replicas": 4, "network": "lab", "capacity": "1 GB"}, "file")
    settings = merge(settings, from_environment({"DHTSTORE_REPLICAS": "5", "PATH": "/"}), "env")
    settings = merge(settings, {"capacity": "0"}, "flags")
    assert (settings.replicas, settings.network, settings.capacity_bytes) == (5, "lab", 0)


def test_other_environment_variables_are_not_settings() -> None:
    assert from_environment({"DHTSTORE_HOME": "/x", "DHTSTORE_DOMAIN": "rack 1"}) == {
        "domain": "rack 1"
    }


def test_owner_limit() -> None:
    assert Settings(capacity_bytes=10**7).owner_limit_bytes == 5 * 10**6
    assert Settings(capacity_bytes=10**7, owner_quota_bytes=20).owner_limit_bytes == 20
    assert (
        Settings(capacity_bytes=10**7, accept_rule=AcceptRule("network")).owner_limit_bytes is None
    )
    assert Settings().owner_limit_bytes is None


def test_a_capacity_is_none_or_enough_for_some_blocks() -> None:
    assert Settings(capacity_bytes=0).capacity_bytes == 0
    assert Settings(capacity_bytes=10**6).capacity_bytes == 10**6
    with pytest.raises(InvalidSetting, match=r"capacity: at least 1\.0 MB, of which the index"):
        Settings(capacity_bytes=10**6 - 1)


def test_malformed_toml_names_the_file() -> None:
    with pytest.raises(InvalidSetting, match=r"config\.toml: "):
        parse_toml("replicas = = 3", "config.toml")


text = st.text(st.characters(codec="utf-8"), max_size=12)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "replicas": st.integers(2, 64),
            "min_acks": st.integers(0, 2),
            "capacity": st.just(0) | st.integers(10**6, 2**60),
            "disk_reserve": st.integers(0, 2**60),
            "owner_quota": st.integers(0, 2**60),
            "domain": text.filter(str.isprintable),
            "accept": st.sampled_from(["mine", "owners some file", "network", "anyone"]),
            "listen": st.integers(0, 65535).map(lambda port: f"[::1]:{port}"),
            "advertise": st.lists(st.just("example.org:7401"), max_size=4),
        },
    )
)
def test_what_is_written_reads_back(values: dict[str, object]) -> None:
    settings = merge(Settings(), values, "test")
    again = merge(Settings(), parse_toml(to_toml(written(settings)), "test"), "test")
    assert again == settings


@given(text)
def test_toml_strings(value: str) -> None:
    assert tomllib.loads(to_toml({"key": value})) == {"key": value}


def test_every_key_can_be_set() -> None:
    values = {
        "network": "lab",
        "listen": "127.0.0.1:0",
        "advertise": "10.0.0.1:7401, 10.0.0.2:7401",
        "capacity": "1GB",
        "disk_reserve": "3GB",
        "replicas": "2",
        "min_acks": "1",
        "accept": "owners friends.txt",
        "owner_quota": "10MB",
        "domain": "rack",
        "lookup_paths": "4",
        "limit_up": "5MB/s",
        "limit_down": "1MB/s, 22:00-06:00 unlimited",
        "donate": "1MB",
        "repair_budget": "5GB",
        "repair_grace": "12h",
    }
    assert list(values) == list(KEYS)
    settings = merge(Settings(), values, "test")
    assert settings.advertise == ("10.0.0.1:7401", "10.0.0.2:7401")
    assert settings.accept_rule == AcceptRule("owners", "friends.txt")
    assert (settings.accept, settings.owners_file) == ("owners", "friends.txt")
    assert settings.owner_quota_bytes == 10_000_000
    assert (settings.repair_budget_bytes, settings.repair_grace_s) == (5 * 10**9, 12 * 3600)


def test_every_setting_is_declared_in_full() -> None:
    for each in SETTINGS:
        assert each.help
        assert each.metavar
        assert each.default is None or each.read(each.write(each.default)) == each.default
    flags = [each.flag for each in SETTINGS if "_" in each.key]
    named = "--disk-reserve --min-acks --owner-quota --lookup-paths --limit-up --limit-down"
    named += " --repair-budget --repair-grace"
    assert flags == named.split()
    assert [each.key for each in SETTINGS if each.repeats] == ["advertise"]


def test_what_is_shown_is_what_would_be_written() -> None:
    settings = merge(Settings(), {"capacity": "1 GB", "accept": "owners f", "advertise": "a:1"}, "")
    values = shown(settings)
    assert list(values) == list(KEYS)
    assert values["min_acks"] is None
    assert (values["capacity"], values["accept"], values["advertise"]) == (
        1_000_000_000,
        "owners f",
        ["a:1"],
    )
    assert written(settings) == {key: values[key] for key in ("advertise", "capacity", "accept")}


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 0},
        {"capacity_bytes": -1},
        {"owner_quota_bytes": -1},
        {"domain": "a\nb"},
        {"donate_bytes": -1},
        {"donate_bytes": 10**9, "capacity_bytes": 10**8},
    ],
)
def test_no_settings_are_impossible(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting):
        Settings(**change)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (90, "90 seconds"),
        (729 * 86_400, "729 days"),
        (730 * 86_400, "2 years"),
        (1200, "20 minutes"),
        (47 * 3600, "47 hours"),
        (172_799, "2 days"),
        (40 * 86_400, "40 days"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_how_clocks_differ_for_people() -> None:
    assert format_clock(172_800) == "2 days ahead"
    assert format_clock(-1200) == "20 minutes behind"
    assert format_clock(172_800, "theirs") == "2 days ahead of theirs"
    assert format_clock(-172_800, "theirs") == "2 days behind theirs"


def test_one_is_no_plural() -> None:
    told = [counted(count, "peer") for count in (0, 1, 2)]
    assert told == ["0 peers", "1 peer", "2 peers"]
    assert [counted(1, "copy", "copies"), counted(3, "copy", "copies")] == ["1 copy", "3 copies"]


def test_a_mistyped_key_is_told_the_right_one() -> None:
    with pytest.raises(InvalidSetting, match="no setting 'capcity'") as raised:
        merge(Settings(), {"capcity": "1GB"}, "config.toml")
    assert raised.value.hint == "did you mean capacity?"
    assert unknown_setting("min-acks").hint == "did you mean min_acks?"
    assert unknown_setting("colour").hint == InvalidSetting.hint
