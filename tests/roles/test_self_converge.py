"""A machine that converges itself: only what is signed is run, the plist says so, launchd is told once."""

import json
import os
import plistlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.action import collect
from ansible_collections.metal_lab.macs.plugins.action.collect import judge
from ansible_collections.metal_lab.macs.verify import ROOT, documents
from jinja2 import Environment

from tests.helpers.plugins import connection, run_action
from tests.verify.report.samples import measured

ROLE = ROOT / "roles" / "self_converge"
SCRIPT = ROLE / "files" / "self-converge.sh"
CONVERGE = """#!/bin/sh
printf '%s\\n' "$@" >"$HOME/ran"
exit "$(cat "$HOME/code" 2>/dev/null || echo 0)"
"""


class Lab:
    """A git repository with two signers, of whom one is trusted, and a machine's home."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "a höme"
        self.pull = self.home / "pull"
        self.pull.mkdir(parents=True)
        self.work = folder / "work"
        for name in ("admin", "stranger"):
            key = folder / name
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self._folder = folder
        public = (folder / "admin.pub").read_text(encoding="utf-8").split()[:2]
        (self.pull / "allowed_signers").write_text(f"admin@lab {' '.join(public)}\n", encoding="utf-8")
        self.git("init", "-q", "-b", "main")
        (self.work / "converge").write_text(CONVERGE, encoding="utf-8")
        (self.work / "converge").chmod(0o755)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "first")

    def git(self, *arguments: str, signer: str = "admin") -> str:
        self.work.mkdir(exist_ok=True)
        settings = [
            "gpg.format=ssh",
            f"user.signingkey={self._folder / signer}.pub",
            "user.name=a",
            "user.email=admin@lab",
        ]
        options = [part for one in settings for part in ("-c", one)]
        done = subprocess.run(
            ["git", *options, "-C", self.work, *arguments],
            env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(self._folder)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def run(self, ref: str, *arguments: str, keep: int = 14) -> dict[str, object]:
        """One nightly run; returns its note."""
        done = subprocess.run(
            ["/bin/sh", SCRIPT, self.pull, self.work, ref, str(keep), *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home)},
            check=False,
        )
        note: dict[str, object] = json.loads((self.pull / "last.json").read_text(encoding="utf-8"))
        assert note["exit_code"] == done.returncode
        return note

    @property
    def ran(self) -> list[str]:
        place = self.home / "ran"
        return place.read_text(encoding="utf-8").splitlines() if place.exists() else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_signed_tag_is_converged_from(lab: Lab) -> None:
    lab.git("tag", "-s", "v1", "-m", "v1")
    note = lab.run("v1", "--skip-tags", "verify")
    assert (note["step"], note["exit_code"], note["commit"]) == ("converge", 0, lab.git("rev-parse", "HEAD"))
    assert lab.ran == ["-i", f"{lab.pull}/inventory.yml", "--skip-tags", "verify"]


def test_a_tag_that_moves_is_followed(lab: Lab) -> None:
    lab.git("tag", "-s", "lab", "-m", "one")
    lab.run("lab")
    lab.git("commit", "-q", "--allow-empty", "-m", "second")
    lab.git("tag", "-f", "-s", "lab", "-m", "two")
    assert lab.run("lab")["commit"] == lab.git("rev-parse", "HEAD")


def test_a_signed_commit_is_converged_from(lab: Lab) -> None:
    lab.git("commit", "-q", "-S", "--allow-empty", "-m", "signed")
    commit = lab.git("rev-parse", "HEAD")
    assert lab.run(commit)["commit"] == commit
    assert lab.ran


def test_what_failed_is_noted_with_its_exit_code(lab: Lab) -> None:
    lab.git("tag", "-s", "v1", "-m", "v1")
    (lab.home / "code").write_text("2", encoding="utf-8")
    assert lab.run("v1")["exit_code"] == 2


@pytest.mark.parametrize("case", ["unsigned", "light", "stranger", "other name", "unsigned commit", "altered"])
def test_what_is_not_signed_as_it_should_be_is_not_run(lab: Lab, case: str) -> None:
    ref = "v1"
    if case == "unsigned":
        lab.git("tag", "-a", "v1", "-m", "v1")
    elif case == "light":
        lab.git("commit", "-q", "-S", "--allow-empty", "-m", "signed")
        lab.git("tag", "v1")
    elif case == "stranger":
        lab.git("tag", "-s", "v1", "-m", "v1", signer="stranger")
    elif case == "other name":
        # An older tag of the right signer, put under the name that is followed.
        lab.git("tag", "-s", "v0", "-m", "v0")
        lab.git("update-ref", "refs/tags/v1", lab.git("rev-parse", "refs/tags/v0"))
    elif case == "altered":
        lab.git("tag", "-s", "v1", "-m", "v1")
        text = lab.git("cat-file", "tag", "v1")
        (lab.work / "forged").write_text(text.replace("\nv1\n", "\nv1!\n"), encoding="utf-8")
        forged = lab.git("hash-object", "-t", "tag", "-w", "forged")
        lab.git("update-ref", "refs/tags/v1", forged)
    else:
        ref = lab.git("rev-parse", "HEAD")
    note = lab.run(ref)
    assert (note["step"], note["exit_code"]) == ("signature", 2)
    assert lab.ran == []


@pytest.mark.parametrize("ref", ["no-such-tag", "--upload-pack=touch harm", 'v1"; touch harm; "', "0" * 40])
def test_a_ref_that_is_none_is_noted(lab: Lab, ref: str) -> None:
    note = lab.run(ref)
    assert note["step"] in ("fetch", "settings")
    assert note["exit_code"] == 2
    assert lab.ran == []
    assert not list(lab.home.rglob("harm"))


def test_just_more_is_taken_of_a_result_than_one_may_have() -> None:
    assert f"head -c {documents.MAX_BYTES + 1} " in collect.SCRIPT


def test_no_more_logs_are_kept_than_asked_for(lab: Lab) -> None:
    logs = lab.pull / "logs"
    logs.mkdir()
    for day in range(10, 20):
        (logs / f"202611{day}T020000Z.log").touch()
    lab.run("no-such-tag", keep=3)
    kept = sorted(path.name for path in logs.iterdir())
    assert len(kept) == 3
    assert kept[:2] == ["20261118T020000Z.log", "20261119T020000Z.log"]


def test_settings_of_the_user_decide_nothing(lab: Lab) -> None:
    lab.git("tag", "-s", "v1", "-m", "v1", signer="stranger")
    stranger = (lab.home.parent / "stranger.pub").read_text(encoding="utf-8")
    (lab.home / "signers").write_text(f"stranger@lab {stranger}", encoding="utf-8")
    (lab.home / ".gitconfig").write_text(f'[gpg "ssh"]\n allowedSignersFile = {lab.home}/signers\n', encoding="utf-8")
    assert lab.run("v1")["step"] == "signature"


def plist(**more: object) -> dict[str, object]:
    """The job as launchd would read it."""
    template = (ROLE / "templates" / "self-converge.plist.j2").read_text(encoding="utf-8")
    host = {"user": "ana", "home": "/Users/ana", "environment": {"SSL_CERT_FILE": "/a & b"}}
    values: dict[str, object] = {
        "__self_converge_label": "metal-lab.self-converge",
        "__self_converge_folder": "/Users/ana/a <b>",
        "__self_converge_minute": "1500",
        "__self_converge_host": host,
        "self_converge_repository": "https://git.example/?a=1&b=2",
        "self_converge_ref": "v1",
        "self_converge_keep": 14,
        "self_converge_arguments": ["-e", '{"a": "<&>"}'],
        **more,
    }
    # As Ansible has it: the template escapes what is to be escaped.
    text = Environment(autoescape=False).from_string(template).render(values)  # noqa: S701
    read: dict[str, object] = plistlib.loads(text.encode())
    return read


def test_the_job_is_one_that_launchd_can_read() -> None:
    job = plist()
    assert job["ProgramArguments"] == [
        *("/bin/sh", "/Users/ana/a <b>/self-converge.sh", "/Users/ana/a <b>", "https://git.example/?a=1&b=2"),
        *("v1", "14", "-e", '{"a": "<&>"}'),
    ]
    assert job["UserName"] == "ana"
    # 25 hours after midnight is an hour after the next one.
    assert job["StartCalendarInterval"] == {"Hour": 1, "Minute": 0}
    assert job["EnvironmentVariables"] == {
        "HOME": "/Users/ana",
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "SSL_CERT_FILE": "/a & b",
    }


NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


def note(hours: float = 5, code: int = 0, step: str = "converge") -> str:
    ended = (NOW - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({"schema": 1, "ended": ended, "ref": "v1", "commit": "", "step": step, "exit_code": code})


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (note(), ""),
        (note(hours=100), "ended 100 hours ago"),
        (note(hours=48), ""),
        (note(hours=48 + 1 / 3600), "Its last run ended 48 hours ago, at v1."),
        (note(hours=100, code=1), "./converge failed (exit code 1)"),
        (note(code=3, step="tea"), "Its run of 2026-11-21T03:00:00Z at v1: tea (exit code 3)."),
        (note().replace("2026-11-21T03:00:00Z", "2026-11-21T03:00:00"), "cannot be read"),
        (note().replace('"ref"', '"reff"'), "cannot be read"),
        (note().replace('"exit_code": 0', '"exit_code": null'), "cannot be read"),
        ("x" * 300, f": '{'x' * 200}'. Its logs"),
        (note(code=2, step="signature"), "not signed as it should be"),
        (note(code=1), "./converge failed (exit code 1)"),
        ("\n", "has not run yet"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
    ],
)
def test_the_last_run_is_judged(last: str, said: str) -> None:
    found = judge(last, NOW, 48)
    assert (found == "") is (said == "")
    assert said in found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a machine that converges itself, this one, has its notes; results/ is another folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.setattr(collect, "RESULTS", tmp_path / "project" / "results")
    place = tmp_path / ".local" / "share" / "metal-lab" / "pull"
    (place / "checkout" / "results").mkdir(parents=True)
    return place


def results_of(machine: Path) -> Path:
    """The project's folder of results, on the controller."""
    return machine.parents[3] / "project" / "results"


def fetch(over: Any = None, hours: float = 48) -> dict[str, Any]:
    variables = {"inventory_hostname": "lab-07"}
    return run_action(collect.ActionModule, {"max_age_hours": hours}, check=True, variables=variables, over=over)


def put(machine: Path, text: str, *, code: int = 0, name: str = "lab-07.ml-m1") -> None:
    """Have a machine's last run end now, with this result."""
    ended = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    last = {"schema": 1, "ended": ended, "ref": "v1", "commit": "", "step": "converge", "exit_code": code}
    (machine / "last.json").write_text(json.dumps(last), encoding="utf-8")
    (machine / "checkout" / "results" / f"{name}.json").write_text(text, encoding="utf-8")


def test_a_machines_result_is_kept_here_in_place_of_an_older_one(machine: Path) -> None:
    results = results_of(machine)
    assert "has not run yet" in fetch()["msg"]
    assert not results.exists()
    result = measured(host="lab-07", started="2026-11-21T02:00:00Z")
    result["checks"][0]["message"] = "é"
    put(machine, json.dumps(result))
    for _ in range(2):
        assert fetch() == {"changed": False, "verdict": "healthy"}
        text = (results / "lab-07.ml-m1.json").read_text(encoding="utf-8")
        assert text == f"{json.dumps(result, indent=2, ensure_ascii=False)}\n"
        # JUnit's is of a verification that was made from here.
        (results / "junit").mkdir(exist_ok=True)
        (results / "junit" / "lab-07.ml-m1.xml").touch()
    fetch()
    assert list((results / "junit").iterdir()) == []
    put(machine, json.dumps({**result, "started": "2026-11-21T03:00:00Z"}), code=1)
    refused = fetch()
    assert (refused["failed"], refused["changed"], "verdict" in refused) == (True, False, False)
    assert "./converge failed (exit code 1)" in refused["msg"]
    assert '"2026-11-21T03:00:00Z"' in (results / "lab-07.ml-m1.json").read_text(encoding="utf-8")
    put(machine, "")
    # Without a result nothing is known, however well the run went.
    assert "it is unverified" in fetch()["msg"]
    assert "ended 0 hours ago" in fetch(hours=-1)["msg"]


def test_the_newest_result_counts_whatever_the_profile(machine: Path) -> None:
    results, there = results_of(machine), machine / "checkout" / "results"
    for number, (name, profile) in enumerate((("lab-07", "ml-m1"), ("lab-07.ml-m1", "ml-m1"), ("lab-07.a", "a"))):
        put(machine, json.dumps(measured(host="lab-07", profile=profile, level="quick")), name=name)
        os.utime(there / f"{name}.json", (number, number))
        assert fetch()["verdict"] == "healthy"
        assert (results / f"lab-07.{profile}.json").exists()
        assert not (results / "lab-07.json").exists()
    os.utime(there / "lab-07.json", (9, 9))
    (results / "lab-07.ml-m1.json").unlink()
    fetch()
    assert (results / "lab-07.ml-m1.json").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        (json.dumps(measured(host="lab-08")), "it names the machine 'lab-08'"),
        (json.dumps(measured(host="lab-07", started="2999-01-01T00:00:00Z")), "has not been yet"),
    ],
)
def test_what_is_not_the_machines_result_is_not_kept(machine: Path, text: str, said: str) -> None:
    put(machine, text)
    refused = fetch()
    assert refused["msg"].startswith("The result of lab-07 cannot be used: ")
    assert said in refused["msg"]
    assert not results_of(machine).exists()


@pytest.mark.parametrize(
    ("code", "out", "whole"),
    [
        (0, "\n--lab-07\n\n--end\n", True),
        (0, "\r\n--lab-07\r\n\r\n--end\r\n", True),
        (1, "\n--lab-07\n\n--end\n", False),
        (0, "\n--lab-07\n", False),
        (0, "\n--end\n", False),
        (0, "\n--lab-07\n\n--lab-07\n\n--end\n", False),
    ],
)
def test_an_answer_that_is_cut_off_is_shown(machine: Path, code: int, out: str, whole: bool) -> None:
    del machine
    refused = fetch(connection((code, out, "err")))
    assert ("has not run yet" in refused["msg"]) is whole
    assert (refused["msg"] == f"The machine's answer is not complete: {out}err") is not whole
