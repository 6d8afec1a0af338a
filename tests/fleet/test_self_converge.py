"""A machine that converges itself: only what is signed is run, the plist says so, launchd is told once."""

import json
import os
import plistlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import Environment

from playbooks.action_plugins.collect import judge
from verify import ROOT

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
        "ansible_facts": {"preflight_host": host},
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
