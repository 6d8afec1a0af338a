"""What stands in a file's place and is none: refused by name, never waited for."""

import ast
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.metal_lab.macs.plugins.action import preflight
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record, regular
from ansible_collections.metal_lab.macs.plugins.modules import environment_absent, environment_packages, uv_venv
from ansible_collections.metal_lab.macs.plugins.plugin_utils.run_lock import SCRIPT, obstacle, parse

from tests.helpers.plugins import by_shell, run_module
from verify import ROOT


def fifo(place: Path) -> None:
    os.mkfifo(place)


def folder(place: Path) -> None:
    place.mkdir()


def device(place: Path) -> None:
    place.symlink_to("/dev/zero")


def listener(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(place))


ODD = pytest.mark.parametrize("odd", [fifo, folder, device, listener], ids=lambda odd: odd.__name__)
Maker = Callable[[Path], None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    lab_record.data_folder().mkdir(parents=True)
    return tmp_path


@ODD
def test_a_reader_refuses_by_name(home: Path, odd: Maker) -> None:
    odd(home / "it")
    with pytest.raises(OSError, match=str(home / "it")):
        regular.content(home / "it")


def test_a_file_is_read_whole_also_behind_a_link(home: Path) -> None:
    (home / "it").write_text("höme\n" * 1000, encoding="utf-8")
    (home / "link").symlink_to("it")
    assert regular.text(home / "link") == "höme\n" * 1000
    with pytest.raises(FileNotFoundError):
        regular.content(home / "nothing")


def test_nothing_endless_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "it").write_bytes(b"12345678")
    monkeypatch.setattr(regular, "MAX_BYTES", 8)
    assert regular.content(home / "it") == b"12345678"
    monkeypatch.setattr(regular, "MAX_BYTES", 7)
    with pytest.raises(regular.OddFileError, match="File too large"):
        regular.content(home / "it")


@ODD
def test_a_record_that_is_none_fails_what_needs_it(home: Path, odd: Maker) -> None:
    place = lab_record.path("ml-m1")
    odd(place)
    for main, arguments in (
        (environment_absent.main, {"profile": "ml-m1"}),
        (uv_venv.main, {
            "prefix": str(home / "env"), "python": "3.11", "profile": "ml-m1", "frameworks": [], "homebrew": {},
            "recreate": False, "apply": False,
        }),
    ):  # fmt: skip
        answer = run_module(main, arguments)
        assert answer["failed"]
        assert str(place) in answer["msg"]


@ODD
def test_a_journal_that_is_none_fails_the_installation(home: Path, odd: Maker) -> None:
    (home / "env" / "bin").mkdir(parents=True)
    (home / "env" / "bin" / "python").touch()
    (home / "env" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    odd(home / "env" / environment_packages.JOURNAL)
    options = {"prefix": str(home / "env"), "packages": {}, "variables": {}, "apply": True, "content": False}
    answer = run_module(environment_packages.main, options)
    assert answer["failed"]
    assert environment_packages.JOURNAL in answer["msg"]


@ODD
@pytest.mark.parametrize("action", ["take", "look", "release"])
def test_a_runs_lock_that_is_none_is_said_and_left(home: Path, odd: Maker, action: str) -> None:
    place = lab_record.data_folder() / "run.lock"
    odd(place)
    answer = parse(by_shell(SCRIPT, home, action, str(place), "elsewhere/1/7", "ana", "noon", ""))
    assert (answer["lock"] == "odd") is (action != "release")
    if action != "release":
        assert f"The lock {place} is no file." in obstacle(answer)
    assert os.path.lexists(place)


@ODD
def test_preflight_waits_for_no_record(home: Path, odd: Maker) -> None:
    odd(lab_record.path("ml-m1"))
    output = by_shell(preflight.SCRIPT, home, "ml-m1", "", "/opt/homebrew")
    assert preflight.parse(output).prefix.endswith("/envs/ml-m1")


def test_no_module_reads_a_file_in_another_way() -> None:
    """Four have their reasons.

    bundle_files, distributions and terminal look at what a file is first; lab_cache_purge reads what nginx wrote.
    """
    found = []
    for path in [*(ROOT / "plugins/modules").glob("*.py"), *(ROOT / "plugins/module_utils").glob("*.py")]:
        if path.name in ("regular.py", "distributions.py", "terminal.py", "bundle_files.py", "lab_cache_purge.py"):
            continue
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("read_text", "read_bytes")):
                found.append(f"{path.name}:{call.lineno}")
            if isinstance(call, ast.Call) and ast.unparse(call.func) in ("open", "io.open", "shutil.copyfile"):
                found.append(f"{path.name}:{call.lineno}")
    # Of a process, in /proc.
    assert [one for one in found if not one.startswith("alone.py")] == []
