"""A record that is none of ours is refused: nothing is deleted, or written, where it says."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record
from ansible_collections.metal_lab.macs.plugins.modules import environment_absent

from tests.helpers.plugins import run_module

GOOD: dict[str, Any] = {"schema": 1, "profile": "ml-m1", "provider": "uv", "prefix": "/opt/env", "frameworks": ["mlx"]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "ana"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    lab_record.data_folder().mkdir(parents=True)
    (tmp_path / "home").symlink_to("ana")
    return tmp_path / "ana"


def store(text: str) -> None:
    lab_record.path("ml-m1").write_text(text, encoding="utf-8")


def test_ours_is_read(home: Path) -> None:
    for prefix in (
        "/opt/env",
        str(home / "env"),
        str(lab_record.data_folder() / "envs" / "ml-m1"),
        str(home / "hö me"),
    ):
        lab_record.write("ml-m1", {**GOOD, "prefix": prefix})
        assert lab_record.read("ml-m1")["prefix"] == prefix


@pytest.mark.parametrize(
    "prefix",
    ["", "env", "../env", "/", "//", "/.", "/opt/../..", "{home}", "{home}/", "{home}/..", "{home}/../home",
     "{home}/.local", "{home}/.local/share/metal-lab", "/opt/env\n", "/opt/\x00env", "/opt/\x1b[2J", "{above}"],
)  # fmt: skip
def test_what_holds_more_than_an_environment_is_not_taken_away(home: Path, prefix: str) -> None:
    store(json.dumps({**GOOD, "prefix": prefix.format(home=home, above=home.parent)}))
    # In check mode: without the defence this test is not to be what deletes a home.
    answer = run_module(environment_absent.main, {"profile": "ml-m1"}, check=True)
    assert answer["failed"]
    assert "is not a record of this version" in answer["msg"]
    assert home.is_dir()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", "[" * 100_000, '{"a":' * 5000, *(json.dumps({**GOOD, key: 1}) for key in (
        "profile", "provider", "prefix", "frameworks", "homebrew", "conda", "shell", "shell_written"))],
)  # fmt: skip
def test_what_is_no_record_is_said(text: str) -> None:
    store(text)
    with pytest.raises(lab_record.RecordError, match="Move it away"):
        lab_record.read("ml-m1")
