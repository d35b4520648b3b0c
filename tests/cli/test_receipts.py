"""`receipts verify`, which needs no node: what a user may give it by mistake, and what it says."""

from __future__ import annotations

from pathlib import Path

from tests.cli.terminal import run
from tests.unit.api.test_verify_receipts import receipt, written


def verify(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, str]:
    ran = run("receipts", "verify", *arguments, stdin=stdin)
    return ran.code, ran.err or ran.text


def test_each_file_that_does_not_do_is_told_with_why_and_an_exit_code(tmp_path: Path) -> None:
    kept, wrong = written(receipt()), written(receipt(), size=5)
    file = tmp_path / "kept.json"
    file.write_bytes(kept)
    assert verify(file)[0] == 0
    code, said = verify("-", stdin=wrong)
    assert code == 5
    assert "receipt 1" in said
    assert "it was changed since it was written" in said
    assert verify("-", stdin=kept[:-9]) == (
        2,
        "error: this is no list of receipts: its end is missing\n"
        "hint: `dhtstore receipts CID --json` writes one\n",
    )
    code, said = verify("-", stdin=b"[]")
    assert code == 3
    assert "no receipt in it" in said
    code, said = verify(tmp_path / "missing")
    assert code == 2
    assert "No such file" in said
    code, said = verify()
    assert code == 2
    assert "which file?" in said
