"""One definition of a whole package, for converging and for verifying: every damage is found by both, in words."""

import base64
import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest
import testinfra
from ansible_collections.metal_lab.macs.verify.checks import packages
from ansible_collections.metal_lab.macs.verify.checks.packages import Share
from ansible_collections.metal_lab.macs.verify.probes.distributions import Findings, Inspector, installed
from ansible_collections.metal_lab.macs.verify.target import remote

from tests.plugins.module_utils.distributions.damage import DAMAGES, damage, said
from tests.plugins.module_utils.distributions.environment import Environment

BY_SIZE = [name for name, one in DAMAGES.items() if not one.content]


def inspect(environment: Environment, content: bool) -> dict[str, list[Findings]]:
    inspector = Inspector(environment.prefix, environment.site, content)
    found: dict[str, list[Findings]] = {}
    for one in installed(environment.site):
        found.setdefault(one.name, []).append(inspector.inspect(one))
    return found


def probe(environment: Environment, content: bool) -> dict[str, Any]:
    """What verify's probe answers, sent as it is to any target."""
    parameters = {
        "prefix": str(environment.prefix), "packages": list(DAMAGES), "content": content, "provider": "uv", "sets": [],
        "state": False, "terminal": "", "conda": "", "everywhere": False,
    }  # fmt: skip
    python = str(environment.prefix / "bin" / "python")
    outcome = remote.probe(testinfra.get_host("local://"), python, "environment", parameters, {}, 60.0)
    data = outcome.data("packages")
    assert data is not None, outcome
    found: dict[str, Any] = data
    return found


@pytest.mark.parametrize("content", [False, True])
def test_what_uv_laid_down_is_whole(whole: Environment, content: bool) -> None:
    found = inspect(whole, content)
    assert sorted(found) == sorted(DAMAGES)
    # Two modules, a command, a data file; METADATA, WHEEL, entry_points.txt, INSTALLER, REQUESTED, uv_cache.json.
    assert all(ones == [Findings(files=10)] for ones in found.values())


def test_what_python_compiled_or_lacks_is_nobodys_business(environment: Environment) -> None:
    for one in environment.site.glob("*.dist-info"):
        with (one / "RECORD").open("a", encoding="utf-8") as record:
            record.write("gone/__pycache__/x.cpython-311.pyc,,\n")
    assert all(not one.problems for ones in inspect(environment, content=True).values() for one in ones)


@pytest.fixture(scope="module")
def damaged(whole: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, dict[str, list[Findings]]]:
    """What is found of each package damaged in its way, without and with reading the files."""
    made = whole.copy(tmp_path_factory.mktemp("damaged") / "lab")
    damage(made.site, DAMAGES)
    return {content: inspect(made, content) for content in (False, True)}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_named_in_words_with_the_file(damaged: dict[bool, dict[str, list[Findings]]], name: str) -> None:
    by_size, by_content = ([line for one in damaged[deep][name] for line in one.lines()] for deep in (False, True))
    assert any(said(name) in line for line in by_content), by_content
    assert any(said(name) in line for line in by_size) is not DAMAGES[name].content, by_size


@pytest.mark.parametrize("content", [False, True])
def test_the_probe_and_the_module_find_the_same_and_touch_nothing(environment: Environment, content: bool) -> None:
    damage(environment.site, DAMAGES)
    before = environment.tree()
    wanted = list(DAMAGES) if content else BY_SIZE
    answer = probe(environment, content)
    assert answer["content"] is content
    assert sorted(answer["problems"]) == sorted(wanted)
    asked = environment.run(apply=False, content=content)
    assert asked["pending"] == sorted(wanted)
    (diff,) = asked["diff"]
    shown = diff["before"].splitlines()
    for name in wanted:
        first = answer["problems"][name]["first"]
        assert any(said(name) in line for line in first)
        assert any(line.startswith(f"{name}==") and line.partition(", and ")[0].endswith(first[0]) for line in shown)
        assert f"{name}==1.0\n" in diff["after"]
    assert environment.tree() == before


def test_what_only_the_content_shows_is_counted_apart(environment: Environment) -> None:
    damage(environment.site, ["content", "size-other", "hash-unknown", "info-twice"])
    (environment.site / "info_twice" / "__init__.py").unlink()
    problems = probe(environment, content=True)["problems"]
    counts = {name: (one["count"], one["altered"]) for name, one in problems.items()}
    # RECORD has no hash of itself. What is there twice is counted together: another RECORD and METADATA, a file.
    assert counts == {"content": (1, 1), "size-other": (1, 0), "hash-unknown": (1, 1), "info-twice": (3, 0)}


def test_a_long_list_of_problems_is_cut(environment: Environment) -> None:
    damage(environment.site, ["package-missing"])
    site = environment.site
    record = site / "package_missing-1.0.dist-info" / "RECORD"
    rows = "".join(f"{'x' * 1000}{number},sha256=x,1\n" for number in range(20))
    record.write_text(rows + record.read_text(encoding="utf-8"), encoding="utf-8")
    found = probe(environment, content=False)["problems"]["package-missing"]
    assert (found["count"], len(found["first"])) == (22, 5)
    assert all(len(line) <= 300 for line in found["first"])


@pytest.mark.parametrize("levels", [300, 5000])
def test_a_path_of_many_levels_is_missing_as_any_other(environment: Environment, levels: int) -> None:
    path = f"content/{'a/' * levels}b"
    with (environment.site / "content-1.0.dist-info" / "RECORD").open("a", encoding="utf-8") as record:
        record.write(f"{path},sha256=x,1\n")
    assert list(inspect(environment, content=False)["content"][0].problems) == [path]


def test_what_a_terminal_would_obey_is_escaped(environment: Environment) -> None:
    with (environment.site / "content-1.0.dist-info" / "RECORD").open("a", encoding="utf-8") as record:
        record.write('"\x1b[2J\n",sha256=x,1\né,sha256=x,1\n')
    assert inspect(environment, content=False)["content"][0].lines() == ["'\\x1b[2J\\n' is missing", "é is missing"]


@pytest.mark.parametrize(
    ("folder", "stated", "whole"),
    [("2026.1", "2026.01", True), ("1.0rc1", "1.0-rc1", True), ("1.0", "1.0.1", False), ("1.10", "1.1", False)],
)
def test_a_version_may_be_spelt_in_two_ways(tmp_path: Path, folder: str, stated: str, whole: bool) -> None:
    info = tmp_path / f"A_b-{folder}.dist-info"
    info.mkdir()
    text = f"Metadata-Version: 2.1\r\nName: a.B\r\nVersion: {stated}\r\n\r\nVersion: 7\r\n"
    (info / "METADATA").write_bytes(text.encode())
    rows = f"{info.name}/METADATA,sha256=x,{len(text)}\n{info.name}/RECORD,,\n"
    (info / "RECORD").write_text(rows, encoding="utf-8")
    (one,) = installed(tmp_path)
    assert (one.name, one.version) == ("a-b", folder)
    assert Inspector(tmp_path, tmp_path, content=False).inspect(one).lines() == (
        [] if whole else [f"{info.name}/METADATA is of 'a.B {stated}'"]
    )


@pytest.mark.parametrize("algorithm", ["sha256", "sha512", "blake2b"])
def test_any_hash_that_python_has_is_compared(environment: Environment, algorithm: str) -> None:
    place = environment.site / "content"
    record = environment.site / "content-1.0.dist-info" / "RECORD"
    hashed = base64.urlsafe_b64encode(hashlib.new(algorithm, (place / "__init__.py").read_bytes()).digest()).decode()
    lines = [
        f"content/__init__.py,{algorithm}={hashed.rstrip('=')},11" if line.startswith("content/__init__") else line
        for line in record.read_text(encoding="utf-8").splitlines()
    ]
    record.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert not inspect(environment, content=True)["content"][0].problems
    damage(environment.site, ["content"])
    assert inspect(environment, content=True)["content"][0].lines() == [
        f"content/__init__.py has other content than its {algorithm} in RECORD"
    ]


def test_the_check_says_how_deep_it_looked_and_what_to_do(environment: Environment) -> None:
    share = Share({"content": "1.0", "size-other": "1.0"}, ("content",))
    before = packages.judge("base", share, probe(environment, content=False))
    assert (before.result, before.message) == (
        "pass",
        "content 1.0; 2 packages as locked, 20 files with their recorded size",
    )
    deep = packages.judge("base", share, probe(environment, content=True))
    assert deep.message.endswith("20 files with their recorded content (SHA-256)")
    damage(environment.site, ["content"])
    assert packages.judge("base", share, probe(environment, content=False)).result == "pass"
    found = packages.judge("base", share, probe(environment, content=True))
    assert (found.result, found.fault) == ("fail", "altered")
    assert "-e compare_content=true" in found.advice
    damage(environment.site, ["size-other"])
    assert packages.judge("base", share, probe(environment, content=False)).fault == "damaged"
    both = packages.judge(
        "base", dataclasses.replace(share, versions={**share.versions, "absent": "1"}), probe(environment, content=True)
    )
    assert both.fault == "altered"
