"""run-tests: a part that fails does not end the others, and the table at the end tells everything."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest

from verify import ROOT

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Done]:
    """Runs a copy of run-tests whose tools are the given scripts, and elsewhere do nothing."""
    tree = tmp_path / "a project"
    tools = tree / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tree / ".ci").mkdir()
    for name in ("run-tests", "controller-dev.lock", ".ci/debian-packages"):
        shutil.copy(ROOT / name, tree / name)
    (tree / ".venv" / "controller-dev.stamp").write_text(
        f"{tree.resolve()}\n{(tree / 'controller-dev.lock').read_text(encoding='utf-8')}", encoding="utf-8"
    )

    def start(*arguments: str, **scripts: str) -> Done:
        linters = ("ruff", "mypy", "lint-imports", "yamllint", "ansible-lint", "shellcheck", "actionlint")
        quiet = dict.fromkeys(("python", "ansible-test", *linters), ":")
        # ansible-galaxy collection install --force --offline --collections-path FOLDER ...
        quiet["ansible-galaxy"] = '[ "$2" = build ] || mkdir -p "$6/ansible_collections/metal_lab/macs"'
        for name, script in (quiet | {"pytest": ":", "molecule": ":"} | scripts).items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (tools / name).chmod(0o755)
        line = ["sh", str(tree / "run-tests"), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=600)

    return start


def table(done: Done) -> dict[str, list[str]]:
    """The table at the end: by part the words after it, without the time."""
    rows = done.stdout[done.stdout.index("\nPART ") :].splitlines()[2:]
    found = [re.fullmatch(r"(\S+) +(passed|FAILED) +\d+ s ? ?(.*)", row) for row in rows[: rows.index("")]]
    return {one[1]: [one[2], one[3]] for one in found if one}


@pytest.mark.parametrize("jobs", ["1", "2", "3"])
def test_all_are_run_though_one_fails(run: Callable[..., Done], jobs: str) -> None:
    done = run(
        "--jobs",
        jobs,
        "lint",
        "unit",
        "molecule",
        ruff="echo a finding; exit 3",
        pytest="echo '== 3 passed in 0.2s =='",
    )
    assert done.returncode == 1
    assert table(done) == {
        "lint": ["FAILED", ""],
        "unit": ["passed", "3 passed in 0.2s"],
        "molecule": ["passed", ""],
    }
    assert "a finding\n" in done.stdout
    assert "\nFailed: lint\n" in done.stdout
    assert re.search(r"^Not run: \S+", done.stdout, re.MULTILINE)


def test_what_failed_is_said_again_at_the_end(run: Callable[..., Done]) -> None:
    done = run("lint", "unit", "molecule", ruff="seq 100; echo why >&2; exit 3", pytest="seq 500", molecule="exit 1")
    *_, lint, molecule = done.stdout[: done.stdout.index("\nPART ")].split("\n== ")
    assert lint.splitlines() == ["lint: the last lines", *map(str, range(42, 101)), "why"]
    assert molecule.splitlines() == ["molecule: the last lines"]


def test_of_tests_the_lines_before_molecules_own_are_said_again(run: Callable[..., Done]) -> None:
    closing = "==== 1 failed, 40 passed in 940.16s (0:15:40) ===="
    done = run("molecule", molecule=f"seq 10; echo E   assert False; echo '{closing}'; seq 500; exit 1")
    (*_, again) = done.stdout[: done.stdout.index("\nPART ")].split("\n== ")
    assert again.splitlines() == [
        "molecule: the last lines",
        *map(str, range(1, 11)),
        "E assert False",
        closing,
    ]


def test_in_the_middle_of_a_part_a_failure_ends_it(run: Callable[..., Done]) -> None:
    done = run("lint", mypy="exit 1", yamllint="echo went on")
    assert done.returncode == 1
    assert "went on" not in done.stdout


def test_what_a_part_prints_stays_together(run: Callable[..., Done]) -> None:
    told = "for one in 1 2 3 4 5; do echo $name $one; sleep 0.05; done"
    done = run("--jobs", "2", "unit", "molecule", pytest=f"name=unit; {told}", molecule=f"name=molecule; {told}")
    assert done.returncode == 0
    for name in ("unit", "molecule"):
        assert "".join(f"{name} {one}\n" for one in range(1, 6)) in done.stdout
    assert "\nAll passed: unit molecule\n" in done.stdout


@pytest.mark.parametrize("jobs", [1, 2])
def test_no_more_than_asked_for_run_at_once(run: Callable[..., Done], tmp_path: Path, jobs: int) -> None:
    step = f"echo 1 >>'{tmp_path}/steps'; sleep 0.5; echo -1 >>'{tmp_path}/steps'"
    assert run("--jobs", str(jobs), "unit", "molecule", "lint", pytest=step, molecule=step, mypy=step).returncode == 0
    steps = map(int, (tmp_path / "steps").read_text(encoding="utf-8").split())
    assert max(accumulate(steps)) <= jobs


def test_without_names_it_runs_what_needs_no_root_and_says_what_it_left_out(run: Callable[..., Done]) -> None:
    # The crash that `locks` looks for.
    crash = 'case "$*" in *compat*) echo __ZN3tsl8internal10LogMessageC1EPKcii; exit 1 ;; esac'
    done = run(python=crash)
    assert done.returncode == 0, done.stdout
    assert set(table(done)) == {"lint", "unit", "locks", "molecule"}
    assert re.search(r"^Not run: molecule-lab molecule-fleet molecule-mac report\. ", done.stdout, re.MULTILINE)
    assert set(table(run("all", python=crash))) >= {"molecule-lab", "molecule-fleet", "molecule-mac", "report"}


def test_the_closing_line_is_found_in_what_molecule_puts_around_it(run: Callable[..., Done]) -> None:
    done = run(
        "molecule",
        molecule=r"printf '\033[2m|\033[0m \033[31m==== 1 failed, 99 passed in 375.48s (0:06:15) ====\n'; exit 1",
    )
    assert table(done) == {"molecule": ["FAILED", "1 failed, 99 passed in 375.48s"]}


@pytest.mark.parametrize("arguments", [["nosuch"], ["--jobs"], ["--jobs", "0"], ["--jobs", "many", "lint"]])
def test_what_it_does_not_know_is_refused(run: Callable[..., Done], arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Usage: ./run-tests" in done.stderr
    assert done.stdout == ""


def test_the_packages_of_parts(run: Callable[..., Done]) -> None:
    report, everything = run("--packages", "report").stdout.split(), run("--packages", "all").stdout.split()
    assert "chromium" in report
    assert "nginx-light" not in report
    assert set(report) < set(everything)
    assert {"nginx-light", "openssh-server", "python3-pip"} <= set(everything)


def test_it_speaks_one_language_and_lets_no_test_hang(
    run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "LC_ALL", "pt_BR.UTF-8")
    monkeypatch.setitem(os.environ, "LANGUAGE", "pt")
    done = run("unit", pytest='echo "$LC_ALL ${LANGUAGE-unset} $PYTEST_ADDOPTS"')
    assert re.search(
        r"^(C|en_US)\.UTF-8 unset -o faulthandler_timeout=\d+ -o faulthandler_exit_on_timeout=true$",
        done.stdout,
        re.MULTILINE,
    )
