"""What a failed uv run means, in the words of uv 0.13 for each."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import NoReturn

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import uv_tool

from verify import ROOT

CASES = {
    "hash": (
        "error: Failed to download `six==1.17.0`\n  cause: Hash mismatch for `six==1.17.0`\n",
        "playbooks/cache.yml --tags purge -e purge=six-1.17.0`",
    ),
    "archive": (
        "error: Failed to download `mlx==0.32.4`\n"
        "  cause: Failed to extract archive: mlx-0.32.4-cp311-cp311-macosx_14_0_arm64.whl\n",
        "purge=mlx-0.32.4-cp311-cp311-macosx_14_0_arm64.whl`",
    ),
    "502": ("HTTP status server error (502 Bad Gateway) for url (http://c/x)", "its clock right, room on its disk"),
    "cut": ("  cause: connection closed before message completed", "ended an answer in its middle"),
    "down": ("  cause: tcp connect error: Connection refused (os error 61)", "does not answer"),
    "full": ("error: No space left on device (os error 28)", "The disk is full"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_explained(case: str) -> None:
    said, wanted = CASES[case]
    explained = uv_tool.explain(subprocess.CompletedProcess([], 2, "", said))
    assert wanted in explained
    assert explained.endswith(said.strip())


class Module:
    """A module that remembers why it failed."""

    def __init__(self, tmpdir: str) -> None:
        self.tmpdir = tmpdir
        self.said = ""

    def fail_json(self, msg: str, **details: object) -> NoReturn:
        del details
        self.said = msg
        raise SystemExit(1)


def test_a_uv_that_came_altered_is_refused_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "uv-9.9.9-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("uv-9.9.9.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 9.9.9\n")
    venv.create(tmp_path / "venv", with_pip=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    # A user's own setting, which would contradict --target.
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    module = Module(str(tmp_path))
    with pytest.raises(SystemExit):
        uv_tool.ensure(module, f"uv==9.9.9 --hash=sha256:{'0' * 64}\n")
    assert "For uv-9.9.9 the package index" in module.said
    assert "--tags purge -e purge=uv-9.9.9`" in module.said
    assert not uv_tool.path("uv==9.9.9").exists()


def test_no_setting_counts_that_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    foreign = (
        *(
            "UV_INDEX",
            "UV_EXTRA_INDEX_URL",
            "UV_CONFIG_FILE",
            "UV_PYTHON",
            "UV_TARGET",
            "UV_OFFLINE",
            "UV_NO_VERIFY_HASHES",
        ),
        *("UV_INSECURE_HOST", "UV_REQUIRE_HASHES", "UV_CONSTRAINT", "UV_OVERRIDE", "PIP_TARGET", "PIP_EXTRA_INDEX_URL"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH"),
    )
    for name in foreign:
        monkeypatch.setenv(name, "/nowhere")
    for name in uv_tool.SETTINGS:
        monkeypatch.setenv(name, "named")
    seen = uv_tool.run(["/usr/bin/env"], "").stdout.splitlines()
    assert [line for line in seen if line.split("=")[0] in foreign] == []
    assert {f"{name}=named" for name in uv_tool.SETTINGS} <= set(seen)
    assert "UV_NO_CONFIG=1" in seen


def test_the_settings_that_count_are_documented() -> None:
    documented = (ROOT / "docs" / "labs.md").read_text(encoding="utf-8")
    # What a lab's cache sets for its machines is nothing for a user to set.
    own = {"PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "UV_PYTHON_INSTALL_MIRROR"}
    assert [name for name in uv_tool.SETTINGS - own if f"`{name}`" not in documented] == []


def test_what_uv_says_is_shown_without_passwords_and_steers_nothing() -> None:
    said = "error: https://ana:s3cr3t@mirror/simple/numpy/: \x1b[31mtimed out\u202e\n"
    explained = uv_tool.explain(subprocess.CompletedProcess([], 2, "", said))
    assert "https://***@mirror/simple/numpy/:  [31mtimed out" in explained
    assert "s3cr3t" not in explained
