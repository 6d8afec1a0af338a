"""Where a machine fetches from: a bundle, the lab's cache, or outside."""

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.utils.display import Display
from ansible_collections.metal_lab.macs.plugins.action import sources
from ansible_collections.metal_lab.macs.plugins.action.sources import (
    Source,
    UnservedError,
    bundle_in,
    needs,
    read,
    variables,
)
from ansible_collections.metal_lab.macs.verify import ROOT
from ansible_collections.metal_lab.macs.verify.profile import model as profiles
from ansible_collections.metal_lab.macs.verify.profile.lock import content_digest

from tests.helpers.plugins import connection, run_action

CACHE = "http://cache.lab:8423"
MAC = {"system": "Darwin", "provider": "conda", "platform": "darwin-arm64", "profile": "ml-m1"}
LINUX = {"system": "Linux", "provider": "uv", "platform": "linux-x86_64", "profile": "ml-m1"}
ALL = frozenset(
    ["index", "conda", "homebrew-api", "homebrew-bottles", "homebrew-git", "miniforge", "python", "command-line-tools"]
)


def sealed(folder: Path, about: dict[str, Any]) -> None:
    """Make a folder a bundle that says this of itself."""
    text = json.dumps(about)
    (folder / "bundle.json").write_text(text, encoding="utf-8")
    (folder / "SHA256SUMS").write_text(f"{sha256(text.encode()).hexdigest()}  bundle.json\n", encoding="utf-8")


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


def test_a_linux_machine_gets_pytorch_from_the_cache_where_nothing_else_may_be_asked() -> None:
    source = Source(CACHE, None, frozenset(["index"]), {})
    found = told(source, LINUX)
    assert found["target_environment"]["UV_FIND_LINKS"] == f"{CACHE}/index/simple/torch/"
    assert set(found) == {"package_index", "homebrew_environment", "target_environment"}
    assert "UV_FIND_LINKS" not in told(source, LINUX, strict=False)["target_environment"]
    assert "UV_FIND_LINKS" not in told(source)["target_environment"]


def test_what_the_inventory_says_stays() -> None:
    given: dict[str, Any] = {
        "package_index": "https://mirror/simple",
        "homebrew_environment": {"HOMEBREW_API_DOMAIN": "https://mirror/api"},
        "target_environment": {"UV_HTTP_TIMEOUT": "30"},
    }
    found = told(Source(CACHE, None, ALL, {}), **given)
    assert "package_index" not in found
    assert told(Source(CACHE, None, ALL, {}), package_index="")["package_index"] == f"{CACHE}/index/simple"
    assert found["homebrew_environment"]["HOMEBREW_API_DOMAIN"] == "https://mirror/api"
    assert found["homebrew_environment"]["HOMEBREW_ARTIFACT_DOMAIN"] == f"{CACHE}/homebrew"
    assert found["target_environment"]["UV_HTTP_TIMEOUT"] == "30"


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_proxy_is_not_asked_for_the_cache(name: str) -> None:
    found = told(Source(CACHE, None, ALL, {}), target_environment={name: "http://proxy:3128", "A": "1"})
    assert found["target_environment"]["NO_PROXY"] == found["target_environment"]["no_proxy"] == "cache.lab"
    # The cache speaks no HTTPS.
    other = told(Source(CACHE, None, ALL, {}), target_environment={"HTTPS_PROXY": "http://proxy:3128"})
    assert "NO_PROXY" not in other["target_environment"]


def test_a_part_that_the_cache_does_not_have_is_left_alone() -> None:
    found = told(Source(CACHE, None, frozenset(["index"]), {}), strict=False)
    assert set(found) == {"package_index", "homebrew_environment", "target_environment"}
    assert found["homebrew_environment"] == {}


def test_a_bundle_is_read_as_files(tmp_path: Path) -> None:
    folder = tmp_path / "a bundle é"
    folder.mkdir()
    sealed(folder, {"holds": sorted(ALL - {"python"}), "locks": {"darwin-arm64": "0" * 64}})
    source = bundle_in(folder)
    found = told(source)
    assert found["package_index"] == f"file://{tmp_path}/a%20bundle%20%C3%A9/index/simple"
    assert found["command_line_tools_package"] == f"{folder}/packages/CommandLineTools.pkg"
    assert found["target_environment"] == {}
    assert told(source, LINUX)["target_environment"] == {"UV_FIND_LINKS": f"{folder}/index/files"}


def test_a_bundle_that_is_not_as_it_was_made_is_refused(tmp_path: Path) -> None:
    sealed(tmp_path, {"holds": ["index"], "locks": {}})
    bundle_in(tmp_path)
    (tmp_path / "repodata.json.zst").touch()
    with pytest.raises(UnservedError, match=r"is not as it was made: repodata\.json\.zst: SHA256SUMS does not name it"):
        bundle_in(tmp_path)


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnservedError, match=r"There is no bundle in .*playbooks/bundle\.yml"):
        bundle_in(tmp_path)
    # Not waited for, and not read as text.
    os.mkfifo(tmp_path / "bundle.json")
    with pytest.raises(UnservedError, match=r"There is no bundle in .*not a regular file"):
        bundle_in(tmp_path)
    (tmp_path / "bundle.json").unlink()
    (tmp_path / "bundle.json").write_bytes(b"\xff")
    with pytest.raises(UnservedError, match=r"There is no bundle in .*not text"):
        bundle_in(tmp_path)


ODD_LOCK = '{"holds": ["index"], "locks": {"$(touch harm)": "%s"}}' % ("0" * 64)
ODD = ["<html>", "[]", '{"holds": ["index"]}', "", '{"holds": ["../index"], "locks": {}}', ODD_LOCK]
ODD += ['{"holds": ["index"], "locks": {"darwin-arm64": "0"}}', '{"holds": {"index": 1}, "locks": {}}']


@pytest.mark.parametrize("answer", ODD)
def test_an_answer_of_something_else_is_refused(answer: str) -> None:
    shown = answer.ljust(200)
    for folder, what in ((None, f"{CACHE}/health"), (Path("/b"), "/b/bundle.json")):
        with pytest.raises(UnservedError) as refused:
            read(f"{shown}x", CACHE, folder)
        assert str(refused.value).startswith(f"{what} is not what a bundle or a cache says of itself (")
        assert str(refused.value).endswith(f"): {shown!r}")
    with pytest.raises(UnservedError):
        read(answer, CACHE, None)


def test_what_a_machine_cannot_do_without() -> None:
    assert needs(LINUX) == ["index"]
    brew = ["homebrew-git", "homebrew-api", "homebrew-bottles"]
    assert needs(MAC) == ["index", *brew, "miniforge", "conda"]
    assert needs({**MAC, "provider": "uv"}) == ["index", *brew]


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
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    sealed(bundle, {"holds": sorted(ALL), "locks": {}})
    here: dict[str, Any] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "own": "https://mirror",
    }
    here |= {"miniforge_mirror": "{{ own }}", "target_environment": {"HTTPS_PROXY": "{{ own }}"}}
    known = {"all": {"hosts": {"here": here}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(known), encoding="utf-8")
    role = {"ansible.builtin.import_role": {"name": "metal_lab.macs.homebrew", "tasks_from": "mirror"}, "when": False}
    asked = {
        "metal_lab.macs.sources": {"cache": "", "bundle": str(bundle), "strict": True, "host": MAC},
        "register": "told",
    }
    kept = {"copy": {"content": "{{ told.variables | to_json }}", "dest": str(tmp_path / "told.json"), "mode": "0600"}}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [role, asked, kept]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    program = Path(sys.executable).parent / "ansible-playbook"
    done = subprocess.run(
        [program, "-i", tmp_path / "hosts.yml", tmp_path / "play.yml"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert found["homebrew_git_remote"] == f"file://{bundle}/git/brew.git"
    assert found["conda_env_channels"] == [f"file://{bundle}/conda/conda-forge"]
    # What the inventory does say stays, templates and all.
    assert "miniforge_mirror" not in found
    assert found["target_environment"]["HTTPS_PROXY"] == "https://mirror"


class Decided:
    """The action on a machine: what it decides, and what it warns of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.warnings: list[str] = []
        monkeypatch.setattr(Display, "warning", lambda _, text: self.warnings.append(text))

    def __call__(
        self, *, given: dict[str, Any] | None = None, over: Any = None, check: bool = True, **options: Any
    ) -> dict[str, Any]:
        known = {"inventory_hostname": "lab-07", "hostvars": {"lab-07": given or {}}}
        base = {"cache": "", "bundle": "", "strict": False, "host": MAC, **options}
        self.warnings.clear()
        return run_action(sources.ActionModule, base, check=check, variables=known, over=over)


@pytest.fixture
def decide(monkeypatch: pytest.MonkeyPatch) -> Decided:
    return Decided(monkeypatch)


def remote(*answers: tuple[int, str, str]) -> Any:
    made = connection(*answers)
    made.transport = "ssh"
    return made


def health(*, without: str = "", locks: dict[str, str] | None = None) -> tuple[int, str, str]:
    return 0, json.dumps({"holds": sorted(ALL - {without}), "locks": locks or {}}), ""


CASKS = "lab-07: casks come from their makers' own addresses only, so they are left out here."


def test_the_cache_is_asked_from_the_machine_itself(decide: Decided) -> None:
    over = remote(health())
    result = decide(cache=CACHE, over=over)
    assert (result["changed"], result["variables"]["miniforge_mirror"]) == (False, f"{CACHE}/miniforge")
    assert (len(over.lines), decide.warnings) == (1, [])
    assert f"{CACHE}/health" in over.lines[0]
    assert "homebrew_casks" not in result["variables"]
    strict = decide(cache=CACHE, over=remote(health()), strict=True)
    assert (strict["variables"]["homebrew_casks"], decide.warnings) == ([], [CASKS])
    kept = decide(cache=CACHE, over=remote(health()), strict=True, given={"homebrew_casks": ["x"]})
    assert ("homebrew_casks" in kept["variables"], decide.warnings) == (False, [])


@pytest.mark.parametrize(
    ("cache", "answer", "said"),
    [
        ("", None, "The inventory has none"),
        ("http://localhost:8423", None, "would be http://localhost:8423, which every machine takes for itself"),
        ("http://127.0.0.1:8423", None, "which every machine takes for itself"),
        ("http://[::1]:8423", None, "which every machine takes for itself"),
        (CACHE, (7, "x\ncurl: refused\n", ""), f"The cache at {CACHE} does not answer this machine (curl: refused)."),
        (CACHE, (7, "", "no sh\n"), "does not answer this machine (no sh)."),
        (CACHE, (7, "", ""), "does not answer this machine (no answer)."),
        (CACHE, (0, "<html>", ""), f"{CACHE}/health is not what a bundle or a cache says of itself"),
        (CACHE, health(without="index"), f"{CACHE} does not have: index."),
        (
            CACHE,
            health(locks={"darwin-arm64": "0" * 64}),
            "darwin-arm64 as it is now (it knows another state of its lock).",
        ),
        (
            CACHE,
            health(locks={"linux-x86_64": "0" * 64, "linux-a": "1" * 64}),
            "as it is now (it knows linux-x86_64, linux-a).",
        ),
    ],
)
def test_who_cannot_be_served_is_refused_or_left_to_itself(
    decide: Decided, cache: str, answer: tuple[int, str, str] | None, said: str
) -> None:
    answers = [answer] if answer else []
    refused = decide(cache=cache, over=remote(*answers), strict=True)
    assert refused["msg"].startswith("Nothing was changed. ")
    assert said.lower() in refused["msg"].lower()
    assert decide.warnings == []
    # A cache that lacks a part serves the others, unless nothing may come from elsewhere.
    left = decide(cache=cache, over=remote(*answers))
    if "does not have" in said:
        assert left["variables"]["miniforge_mirror"] == f"{CACHE}/miniforge"
        return
    assert left == {"changed": False, "variables": {}}
    (warning,) = decide.warnings
    assert warning.startswith("lab-07: ")
    assert warning.endswith(" Going on without the cache, since cache_strict is not set.")
    assert said.lower() in warning.lower()


def test_a_cache_on_this_machine_serves_it(decide: Decided) -> None:
    for address in ("http://localhost:8423", "http://127.0.0.1:8423"):
        result = decide(cache=address, over=connection(health()))
        assert result["variables"]["package_index"] == f"{address}/index/simple"


@pytest.mark.parametrize(
    ("part", "name"),
    [("homebrew-git", "homebrew_git_remote"), ("miniforge", "miniforge_mirror"), ("conda", "conda_env_channels")],
)
def test_what_the_inventory_has_an_address_of_its_own_for_is_not_lacking(decide: Decided, part: str, name: str) -> None:
    for address, missing in (("https://mirror", False), ("", True)):
        answer = remote(health(without=part))
        result = decide(cache=CACHE, over=answer, strict=True, given={name: address})
        assert result.get("failed", False) is missing
        assert (f"does not have: {part}." in result.get("msg", "")) is missing


def test_a_bundle_is_used_where_it_is_and_nothing_else(
    decide: Decided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = content_digest(profiles.load("ml-m1").lock_path("darwin-arm64"))
    folder = tmp_path / "bundle"
    folder.mkdir()
    sealed(folder, {"holds": sorted(ALL), "locks": {"darwin-arm64": lock}})
    monkeypatch.chdir(tmp_path)
    result = decide(bundle="bundle", cache=CACHE)
    assert result["variables"]["package_index"] == f"file://{folder}/index/simple"
    assert result["variables"]["homebrew_environment"]["HOMEBREW_ARTIFACT_DOMAIN_NO_FALLBACK"] == "1"
    # Whoever is reached over SSH gets it through the cache, and nothing from elsewhere either.
    result = decide(bundle="bundle", cache=CACHE, over=remote(health()))
    assert result["variables"]["package_index"] == f"{CACHE}/index/simple"
    assert result["variables"]["homebrew_casks"] == []
    refused = decide(bundle="bundle", over=remote())
    assert "gets a bundle through the lab's cache, and the inventory has none" in refused["msg"]
    sealed(folder, {"holds": ["index"], "locks": {}})
    assert f"{folder} does not have: homebrew-git, homebrew-api," in decide(bundle="bundle")["msg"]


def test_an_unknown_profile_is_the_users_error(decide: Decided) -> None:
    answer = remote(health(locks={"darwin-arm64": "0" * 64}))
    refused = decide(cache=CACHE, over=answer, host={**MAC, "profile": "none"})
    assert refused["failed"]
    assert "none" in refused["msg"]
