"""Where a machine fetches from: a bundle, the lab's cache, or outside."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from playbooks.action_plugins import sources
from playbooks.action_plugins.sources import Source, UnservedError, bundle_in, needs, read, variables
from verify import ROOT

CACHE = "http://cache.lab:8423"
MAC = {"system": "Darwin", "provider": "conda", "platform": "darwin-arm64", "profile": "ml-m1"}
LINUX = {"system": "Linux", "provider": "uv", "platform": "linux-x86_64", "profile": "ml-m1"}
ALL = frozenset(
    ["index", "conda", "homebrew-api", "homebrew-bottles", "homebrew-git", "miniforge", "python", "command-line-tools"]
)


def told(source: Source, host: dict[str, str] = MAC, *, strict: bool = True, **given: Any) -> dict[str, Any]:
    return variables(source, host, given, strict=strict)


def test_a_mac_gets_everything_from_the_cache() -> None:
    assert told(Source(CACHE, None, ALL, {})) == {
        "package_index": f"{CACHE}/index/simple",
        "conda_env_channels": [f"{CACHE}/conda/conda-forge"],
        "miniforge_mirror": f"{CACHE}/miniforge",
        "homebrew_git_remote": f"{CACHE}/git/brew.git",
        "command_line_tools_package": f"{CACHE}/packages/CommandLineTools.pkg",
        "homebrew_casks": [],
        "homebrew_environment": {
            "HOMEBREW_API_DOMAIN": f"{CACHE}/homebrew/api",
            "HOMEBREW_ARTIFACT_DOMAIN": f"{CACHE}/homebrew",
            "HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK": "1",
        },
        "target_environment": {
            "UV_PYTHON_INSTALL_MIRROR": f"{CACHE}/python",
            "PIP_TRUSTED_HOST": "cache.lab:8423",
            "PIP_DEFAULT_TIMEOUT": "900",
            "UV_HTTP_TIMEOUT": "900",
            "CONDA_REMOTE_READ_TIMEOUT_SECS": "900",
        },
    }


def test_not_strict_brew_may_go_on_by_itself_and_casks_stay() -> None:
    found = told(Source(CACHE, None, ALL, {}), strict=False)
    assert "HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK" not in found["homebrew_environment"]
    assert "homebrew_casks" not in found


def test_what_the_inventory_says_stays() -> None:
    given: dict[str, Any] = {
        "package_index": "https://mirror/simple",
        "homebrew_environment": {"HOMEBREW_API_DOMAIN": "https://mirror/api"},
        "target_environment": {"UV_HTTP_TIMEOUT": "30"},
    }
    found = told(Source(CACHE, None, ALL, {}), **given)
    assert "package_index" not in found
    assert found["homebrew_environment"]["HOMEBREW_API_DOMAIN"] == "https://mirror/api"
    assert found["homebrew_environment"]["HOMEBREW_ARTIFACT_DOMAIN"] == f"{CACHE}/homebrew"
    assert found["target_environment"]["UV_HTTP_TIMEOUT"] == "30"


def test_a_proxy_is_not_asked_for_the_cache() -> None:
    found = told(Source(CACHE, None, ALL, {}), target_environment={"http_proxy": "http://proxy:3128"})
    assert found["target_environment"]["NO_PROXY"] == found["target_environment"]["no_proxy"] == "cache.lab"


def test_a_part_that_the_cache_does_not_have_is_left_alone() -> None:
    found = told(Source(CACHE, None, frozenset(["index"]), {}), strict=False)
    assert set(found) == {"package_index", "homebrew_environment", "target_environment"}
    assert found["homebrew_environment"] == {}


def test_a_bundle_is_read_as_files(tmp_path: Path) -> None:
    folder = tmp_path / "a bundle é"
    folder.mkdir()
    about = {"holds": sorted(ALL - {"python"}), "locks": {"darwin-arm64": "0"}}
    (folder / "bundle.json").write_text(json.dumps(about), encoding="utf-8")
    source = bundle_in(folder)
    found = told(source)
    assert found["package_index"] == f"file://{tmp_path}/a%20bundle%20%C3%A9/index/simple"
    assert found["command_line_tools_package"] == f"{folder}/packages/CommandLineTools.pkg"
    assert found["target_environment"] == {}
    assert told(source, LINUX)["target_environment"] == {"UV_FIND_LINKS": f"{folder}/index/files"}


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnservedError, match=r"There is no bundle in .*playbooks/bundle\.yml"):
        bundle_in(tmp_path)


@pytest.mark.parametrize("answer", ["<html>", "[]", '{"holds": ["index"]}', ""])
def test_an_answer_of_something_else_is_refused(answer: str) -> None:
    with pytest.raises(UnservedError, match="is not what a bundle or a cache says of itself"):
        read(answer, CACHE, None)


def test_what_a_machine_cannot_do_without() -> None:
    assert needs(LINUX) == ["index"]
    assert "conda" in needs(MAC)
    assert "conda" not in needs({**MAC, "provider": "uv"})


@pytest.mark.parametrize("hidden", [(), ("curl",)], ids=["curl", "python3"])
def test_the_question_says_why_nobody_answers(tmp_path: Path, hidden: tuple[str, ...]) -> None:
    """Port 9 of this machine refuses; whichever tool asks, the last line names that."""
    for name in {"curl", "python3"} - set(hidden):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/sh", "-c", sources.ASK, "ask", "http://127.0.0.1:9/health"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "refused" in done.stdout.splitlines()[-1].lower() or "connect" in done.stdout.splitlines()[-1].lower()


def test_a_roles_default_is_not_taken_for_the_inventorys_word(tmp_path: Path) -> None:
    """Once a role has been reached, its defaults are among a task's variables: for all machines, at any moment."""
    (tmp_path / "bundle.json").write_text(json.dumps({"holds": sorted(ALL), "locks": {}}), encoding="utf-8")
    here: dict[str, Any] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "own": "https://mirror",
    }
    here |= {"miniforge_mirror": "{{ own }}", "target_environment": {"HTTPS_PROXY": "{{ own }}"}}
    known = {"all": {"hosts": {"here": here}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(known), encoding="utf-8")
    role = {"ansible.builtin.import_role": {"name": "homebrew", "tasks_from": "mirror"}, "when": False}
    asked = {"sources": {"cache": "", "bundle": str(tmp_path), "strict": True, "host": MAC}, "register": "told"}
    kept = {"copy": {"content": "{{ told.variables | to_json }}", "dest": str(tmp_path / "told.json"), "mode": "0600"}}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [role, asked, kept]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    program = Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [program, "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ACTION_PLUGINS": str(ROOT / "playbooks" / "action_plugins"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert found["homebrew_git_remote"] == f"file://{tmp_path}/git/brew.git"
    assert found["conda_env_channels"] == [f"file://{tmp_path}/conda/conda-forge"]
    # What the inventory does say stays, templates and all.
    assert "miniforge_mirror" not in found
    assert found["target_environment"]["HTTPS_PROXY"] == "https://mirror"
