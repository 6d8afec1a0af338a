"""What is kept of drift: the head of each difference, as JSON that follows its schema."""

import json
from pathlib import Path
from typing import Any

import pytest

from verify.documents import MalformedError
from verify.results import drift

WELL: dict[str, Any] = {"time": "2026-11-21T00:00:00Z", "changes": [], "problem": ""}


def test_a_change_keeps_the_head_of_its_difference() -> None:
    one = drift.change("t", {"diff": [{"after_header": "packages", "before": "x==1\nsame\n", "after": "x==2\nsame\n"}]})
    assert one == {"task": "t", "diff": ["@ packages", "-x==1", "+x==2"], "cut": False}
    many = drift.change("t", {"diff": {"before": "", "after": "\n".join(map(str, range(1000)))}})
    assert (len(many["diff"]), many["cut"]) == (drift.HEAD_LINES, True)
    assert drift.change("t", {})["diff"] == []
    assert drift.change("t", {"diff": {"before": {"z": 0, "mode": 1}, "after": {"mode": 2, "z": 0}}})["diff"][1:] == [
        '- "mode": 1,',
        '+ "mode": 2,',
    ]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    change = drift.change("t", {"diff": {"before": "é\n", "after": "\udce9\n"}})
    assert drift.renew(tmp_path, {"a": {"p": {**WELL, "changes": [change]}}}, {})
    assert drift.read(tmp_path)["a"]["p"]["changes"][0]["diff"][1] == "-é"
    # A person may read it too.
    assert "-é" in (tmp_path / drift.FILE).read_text(encoding="utf-8")
    assert list((tmp_path / "drift").iterdir()) == [tmp_path / drift.FILE]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", '{"schema": 2, "hosts": {}}', '{"schema": 3, "hosts": {"a": {}}}', '{"schema": 3, "hosts": []}'),
        '{"schema": 3, "hosts": {"a": {"p": {}}}}',
    ],
)
def test_something_else_in_its_place_is_refused_and_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "drift").mkdir()
    (tmp_path / drift.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(MalformedError):
        drift.read(tmp_path)
    assert drift.renew(tmp_path, {"a": {"p": WELL}}, {})
    assert drift.read(tmp_path) == {"a": {"p": WELL}}


def test_what_is_known_of_one_profile_says_nothing_of_another(tmp_path: Path) -> None:
    away = {**WELL, "problem": "no route"}
    drift.renew(tmp_path, {"a": {"p": WELL}, "b": {"p": WELL}}, {})
    drift.renew(tmp_path, {"a": {"q": WELL}}, {})
    assert drift.read(tmp_path) == {"a": {"p": WELL, "q": WELL}, "b": {"p": WELL}}
    drift.renew(tmp_path, {}, {"a": "q", "b": "q"})
    assert drift.read(tmp_path) == {"a": {"p": WELL}, "b": {"p": WELL}}
    # Who does not answer does so whatever the profile, until it is asked again.
    drift.renew(tmp_path, {"a": {"": away}}, {})
    assert drift.read(tmp_path)["a"] == {"": away}
    drift.renew(tmp_path, {"a": {"p": WELL}}, {})
    assert drift.read(tmp_path)["a"] == {"p": WELL}
    drift.renew(tmp_path, {"a": {"": away}}, {})
    drift.renew(tmp_path, {}, {"a": "p", "b": "p"})
    assert drift.read(tmp_path) == {}


def test_without_a_file_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert drift.read(tmp_path) == {}
    assert not drift.renew(tmp_path, {}, {"a": "p"})
    assert json.loads(drift.SCHEMA.read_text(encoding="utf-8"))["properties"]["schema"]["const"] == drift.SCHEMA_VERSION
