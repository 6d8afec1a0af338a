"""A machine that converges itself: only what is signed is run, the plist says so, launchd is told once."""

import fcntl
import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.metal_lab.macs.plugins.action import collect
from ansible_collections.metal_lab.macs.plugins.action.collect import judge
from ansible_collections.metal_lab.macs.verify import ROOT, documents

from tests.helpers import roles
from tests.helpers.plugins import connection, run_action
from tests.helpers.serving import serving
from tests.helpers.shells import shells
from tests.verify.report.samples import measured
from verify.results import files

ROLE = ROOT / "roles" / "self_converge"
SCRIPT = ROLE / "files" / "self-converge.sh"
CONVERGE = """#!/bin/sh
printf '%s\\n' "$@" >"$HOME/ran"
exit "$(cat "$HOME/code" 2>/dev/null || echo 0)"
"""


SHELLS = list(shells().values())


class Lab:
    """A git repository with two signers, of whom one is trusted, and a machine's home."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "a höme"
        self.pull = self.home / "pull"
        self.pull.mkdir(parents=True)
        self.work = folder / "work"
        self.shell = "/bin/sh"
        self.environment: dict[str, str] = {}
        shutil.copy(SCRIPT, self.pull)
        for name in ("admin", "stranger"):
            key = folder / name
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.folder = folder
        public = (folder / "admin.pub").read_text(encoding="utf-8").split()[:2]
        (self.pull / "allowed_signers").write_text(f"admin@lab {' '.join(public)}\n", encoding="utf-8")
        self.git("init", "-q", "-b", "main")
        (self.work / "converge").write_text(CONVERGE, encoding="utf-8")
        (self.work / "converge").chmod(0o755)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "first")

    def git(self, *arguments: str, signer: str = "admin", date: str = "", settings: Sequence[str] = ()) -> str:
        self.work.mkdir(exist_ok=True)
        all_settings = [
            "gpg.format=ssh",
            f"user.signingkey={self.folder / signer}.pub",
            "user.name=a",
            "user.email=admin@lab",
            *settings,
        ]
        options = [part for one in all_settings for part in ("-c", one)]
        own = {"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(self.folder)}
        done = subprocess.run(
            ["git", *options, "-C", self.work, *arguments],
            env={**os.environ, **own, **({"GIT_COMMITTER_DATE": date} if date else {})},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def put(self, kind: str, name: str, content: str) -> str:
        """Have an object as it is in the repository, under a tag's name."""
        done = subprocess.run(
            ["git", "-C", self.work, "hash-object", "--literally", "-t", kind, "-w", "--stdin"],
            input=content.encode(), stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        found = done.stdout.decode().strip()
        if name:
            self.git("update-ref", f"refs/tags/{name}", found)
        return found

    def text(self, kind: str, name: str) -> str:
        """An object, as it is."""
        line = ["git", "-C", f"{self.work}", "cat-file", kind, name]
        return subprocess.run(line, stdout=subprocess.PIPE, check=True).stdout.decode()

    def run(
        self, ref: str, *arguments: str, keep: int = 14, repository: object = "", more: str = "", **values: object
    ) -> dict[str, object]:
        """One nightly run; returns its note."""
        (self.pull / "settings").write_text(
            render("settings", ref=ref, arguments=arguments, keep=keep, repository=repository or self.work, **values)
            + more,
            encoding="utf-8",
        )
        done = subprocess.run(
            [*self.shell.split(), f"{self.pull}/self-converge.sh"],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **self.environment},
            check=False,
        )
        note: dict[str, object] = json.loads((self.pull / "last.json").read_text(encoding="utf-8"))
        assert note["exit_code"] == done.returncode
        return note

    @property
    def ran(self) -> list[str]:
        place = self.home / "ran"
        return place.read_text(encoding="utf-8").splitlines() if place.exists() else []

    @property
    def log(self) -> str:
        return sorted((self.pull / "logs").iterdir())[-1].read_text(encoding="utf-8")


HOST = {"user": "ana", "home": "/Users/ana", "data": "/Users/ana/a <b>", "environment": {}}


def render(template: str, **values: object) -> str:
    """A file of the role, on a machine."""
    host = {**HOST, "environment": values.pop("environment", {})}
    given = {f"self_converge_{name}": str(value) if name == "repository" else value for name, value in values.items()}
    known = {**given, "ansible_facts": {"preflight_host": host}, "inventory_hostname": "m01"}
    return roles.render("self_converge", template, known)


def lines(template: str, **values: object) -> list[str]:
    """The same, without comments."""
    return [line for line in render(template, **values).splitlines() if not line.startswith("#")]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_signed_tag_is_converged_from(lab: Lab, shell: str) -> None:
    lab.shell = shell
    lab.git("tag", "-s", "v1", "-m", "v1")
    note = lab.run("v1", "--skip-tags", "verify", "-e", "it's; touch harm\n")
    assert (note["step"], note["exit_code"], note["commit"]) == ("converge", 0, lab.git("rev-parse", "HEAD"))
    assert lab.ran == ["-i", f"{lab.pull}/inventory.yml", "--skip-tags", "verify", "-e", "it's; touch harm", ""]
    lab.git("commit", "-q", "-S", "--allow-empty", "-m", "signed")
    assert lab.run(lab.git("rev-parse", "HEAD"))["step"] == "converge"
    lab.git("tag", "-f", "-s", "v1", "-m", "v1", signer="stranger")
    assert lab.run("v1")["step"] == "signature"


def test_a_tag_that_moves_is_followed_and_nothing_of_before_stays(lab: Lab) -> None:
    (lab.work / "old.py").touch()
    (lab.work / ".gitignore").write_text("/results/\n", encoding="utf-8")
    lab.git("add", "-A")
    lab.git("commit", "-q", "-m", "first")
    lab.git("tag", "-s", "lab", "-m", "one")
    lab.run("lab")
    assert (lab.pull / "checkout" / "old.py").exists()
    (lab.pull / "checkout" / "results").mkdir()
    (lab.pull / "checkout" / "results" / "lab-07.json").touch()
    lab.git("rm", "-q", "old.py")
    lab.git("commit", "-q", "-m", "second")
    lab.git("tag", "-f", "-s", "lab", "-m", "two")
    assert lab.run("lab")["commit"] == lab.git("rev-parse", "HEAD")
    assert not (lab.pull / "checkout" / "old.py").exists()
    assert (lab.pull / "checkout" / "results" / "lab-07.json").exists()


def test_there_is_one_run_at_a_time(lab: Lab) -> None:
    """Two would check the signature of the one's files and run the other's."""
    lab.git("tag", "-s", "v1", "-m", "v1")
    before = lab.run("v1")
    (lab.home / "ran").unlink()
    (lab.pull / "running.log").write_text("of the one at work", encoding="utf-8")
    line = ["/bin/sh", f"{lab.pull}/self-converge.sh"]
    surroundings = {"PATH": "/usr/bin:/bin", "HOME": str(lab.home)}
    with (lab.pull / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(line, env=surroundings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        f"self-converge: another run is at work in {lab.pull}; nothing was done\n",
    )
    assert json.loads((lab.pull / "last.json").read_text(encoding="utf-8")) == before
    assert (lab.pull / "running.log").read_text(encoding="utf-8") == "of the one at work"
    assert lab.ran == []
    # What is in its place is no lock, and goes.
    (lab.pull / "lock").unlink()
    (lab.pull / "lock").symlink_to(lab.home / "elsewhere")
    assert lab.run("v1")["exit_code"] == 0
    assert not (lab.home / "elsewhere").exists()
    done = subprocess.run(line, env={**surroundings, "PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 2


def test_a_signed_commit_is_converged_from(lab: Lab) -> None:
    lab.git("commit", "-q", "-S", "--allow-empty", "-m", "signed\n\ngpgsig none\n indented")
    commit = lab.git("rev-parse", "HEAD")
    assert lab.run(commit)["commit"] == commit
    assert lab.ran


def test_what_failed_is_noted_with_its_exit_code(lab: Lab) -> None:
    lab.git("tag", "-s", "v1", "-m", "v1")
    (lab.home / "code").write_text("2", encoding="utf-8")
    assert lab.run("v1")["exit_code"] == 2


def forge(lab: Lab, case: str) -> str:  # noqa: PLR0912 (one table of forgeries)
    """Have something in the repository that nobody signed as it should be; returns its ref."""
    lab.git("commit", "-q", "-S", "--allow-empty", "-m", "signed")
    lab.git("tag", "-s", "v0", "-m", "v0")
    genuine, commit = lab.text("tag", "v0"), lab.text("commit", "HEAD")
    begin = genuine.index("-----BEGIN SSH")
    if case == "unsigned":
        lab.git("tag", "-a", "v1", "-m", "v1")
    elif case == "light":
        lab.git("tag", "v1")
    elif case == "stranger":
        lab.git("tag", "-s", "v1", "-m", "v1", signer="stranger")
    elif case == "other name":
        # An older tag of the right signer, put under the name that is followed.
        lab.git("update-ref", "refs/tags/v1", lab.git("rev-parse", "refs/tags/v0"))
    elif case == "altered":
        lab.put("tag", "v1", genuine.replace("\nv0\n", "\nv0!\n"))
    elif case == "appended":
        lab.put("tag", "v1", genuine.replace("tag v0", "tag v1") + genuine[begin:])
    elif case == "cut":
        lab.put("tag", "v1", genuine[: genuine.index("-----END")])
    elif case == "after":
        lab.put("tag", "v0", genuine + "-----BEGIN PGP SIGNATURE-----\n-----END PGP SIGNATURE-----\n")
        return "v0"
    elif case == "nul":
        lab.put("tag", "v0", genuine[:begin] + "\0" + genuine[begin:])
        return "v0"
    elif case == "other namespace":
        payload = genuine[:begin].replace("v0", "v1").encode()
        line = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", f"{lab.folder}/admin"]
        made = subprocess.run(line, input=payload, stdout=subprocess.PIPE, check=True).stdout
        lab.put("tag", "v1", (payload + made).decode())
    elif case == "of a tree":
        lab.git("tag", "-s", "v1", "-m", "v1", "HEAD^{tree}")
    elif case == "of a tag":
        lab.git("tag", "-s", "v1", "-m", "v1", "v0")
    elif case == "unsigned commit":
        return lab.git("rev-parse", "HEAD^")
    elif case == "altered commit":
        return reachable(lab, commit.replace("\nsigned\n", "\nsigned!\n"))
    elif case == "twice signed commit":
        signature = commit[commit.index("gpgsig ") : commit.index("\n\n") + 1]
        return reachable(lab, commit.replace("\n\n", f"\n{signature}\n", 1))
    return "v1"


def reachable(lab: Lab, commit: str) -> str:
    found = lab.put("commit", "", commit)
    lab.git("update-ref", "refs/heads/forged", found)
    return found


FORGERIES = ["unsigned", "light", "stranger", "other name", "altered", "appended", "cut", "after", "nul"]
FORGERIES += ["other namespace", "of a tree", "of a tag", "unsigned commit", "altered commit", "twice signed commit"]


@pytest.mark.parametrize("case", FORGERIES)
def test_what_is_not_signed_as_it_should_be_is_not_run(lab: Lab, case: str) -> None:
    note = lab.run(forge(lab, case))
    assert (note["step"], note["exit_code"]) == ("signature", 2)
    assert lab.ran == []
    assert not (lab.pull / "checkout" / "converge").exists()


@pytest.mark.parametrize("kind", ["tag", "commit"])
@pytest.mark.parametrize("program", ["gpg", "any"])
def test_no_other_kind_of_signature_counts(lab: Lab, kind: str, program: str) -> None:
    """A key in the user's keyring, or a program that finds everything good."""
    keys = lab.home / ".gnupg"
    keys.mkdir(mode=0o700)
    said = lab.home / "gpg"
    begin, end = ("-----BEGIN PGP SIGNATURE-----", "-----END PGP SIGNATURE-----")
    answer = "[GNUPG:] SIG_CREATED \\n[GNUPG:] GOODSIG 0123456789ABCDEF a\\n[GNUPG:] TRUST_ULTIMATE\\n"
    said.write_text(
        f"#!/bin/sh\ncat >/dev/null; printf '\\n{answer}' >&2; printf '\\n{answer}{begin}\\n\\n{end}\\n'\n", "utf-8"
    )
    said.chmod(0o755)
    settings = ["gpg.format=openpgp", f"gpg.program={said}", "user.signingkey=a@lab"]
    if program == "gpg":
        if not shutil.which("gpg"):
            pytest.skip("There is no gpg here.")
        os.environ["GNUPGHOME"] = lab.environment["GNUPGHOME"] = str(keys)
        line = ["gpg", "--batch", "-q", "--passphrase", "", "--quick-generate-key", "a@lab", "ed25519", "sign"]
        subprocess.run(line, check=True, capture_output=True)
        settings[1] = "gpg.program=gpg"
    else:
        (lab.home / ".gitconfig").write_text(f"[gpg]\n program = {said}\n", encoding="utf-8")
    try:
        if kind == "tag":
            lab.git("tag", "-s", "v1", "-m", "v1", settings=settings)
        else:
            lab.git("commit", "-q", "-S", "--allow-empty", "-m", "x", settings=settings)
    finally:
        os.environ.pop("GNUPGHOME", None)
    assert "BEGIN PGP SIGNATURE" in lab.text(kind, "v1" if kind == "tag" else "HEAD")
    note = lab.run("v1" if kind == "tag" else lab.git("rev-parse", "HEAD"))
    assert (note["step"], lab.ran) == ("signature", [])


HOSTILE = """
[gpg]
 program = {harm}
 format = openpgp
[gpg "ssh"]
 program = {harm}
 allowedSignersFile = {signers}
[core]
 sshCommand = {harm}
 fsmonitor = {harm}
 hooksPath = {hooks}
 attributesFile = {attributes}
 gitProxy = {harm}
 pager = {harm}
 askPass = {harm}
[url "{other}"]
 insteadOf = {work}
[filter "harm"]
 smudge = {harm}
 clean = {harm}
 required = true
[credential]
 helper = {harm}
[init]
 templateDir = {template}
[uploadpack]
 packObjectsHook = {harm}
[tag]
 gpgSign = false
[remote "x"]
 uploadpack = {harm}
"""


@pytest.mark.parametrize("place", ["global", "xdg", "system", "parameters", "count", "local", "template", "programs"])
def test_no_configuration_decides_what_is_fetched_trusted_or_run(lab: Lab, tmp_path: Path, place: str) -> None:  # noqa: PLR0915 (one table)
    """Every setting by which git starts a program or asks elsewhere, from wherever git reads settings."""
    harm, hooks, template = tmp_path / "harm.sh", tmp_path / "hooks", tmp_path / "template"
    # Whatever it is taken for, it does harm, and finds everything good.
    harm.write_text(f'#!/bin/sh\ntouch {tmp_path}/harm\nprintf "Good \\"git\\" signature\\n"\ncat\n', encoding="utf-8")
    harm.chmod(0o755)
    for folder in (hooks, template / "hooks"):
        folder.mkdir(parents=True)
        for name in ("post-checkout", "reference-transaction", "post-index-change"):
            shutil.copy(harm, folder / name)
    (tmp_path / "attributes").write_text("* filter=harm text eol=crlf\n", encoding="utf-8")
    stranger = (tmp_path / "stranger.pub").read_text(encoding="utf-8")
    (tmp_path / "signers").write_text(f"stranger@lab {stranger}", encoding="utf-8")
    other = Lab(tmp_path / "other")
    other.git("tag", "-s", "v1", "-m", "v1")
    values = {name: tmp_path / name for name in ("hooks", "attributes", "signers", "template")}
    hostile = HOSTILE.format(harm=harm, other=other.work, work=lab.work, **values)
    config = tmp_path / "hostile.gitconfig"
    config.write_text(hostile, encoding="utf-8")
    included = f"[include]\n path = {config}\n"
    lab.git("tag", "-s", "v1", "-m", "v1")
    if place == "global":
        (lab.home / ".gitconfig").write_text(included, encoding="utf-8")
    elif place == "xdg":
        lab.environment["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
        (tmp_path / "xdg" / "git").mkdir(parents=True)
        (tmp_path / "xdg" / "git" / "config").write_text(included, encoding="utf-8")
        shutil.copy(tmp_path / "attributes", tmp_path / "xdg" / "git" / "attributes")
        (tmp_path / "xdg" / "git" / "ignore").write_text("*\n", encoding="utf-8")
        # What an older version left.
        (lab.pull / "checkout").mkdir()
        (lab.pull / "checkout" / "old.py").touch()
    elif place == "system":
        lab.environment["GIT_CONFIG_SYSTEM"] = str(config)
    elif place == "parameters":
        lab.environment["GIT_CONFIG_PARAMETERS"] = f"'include.path'='{config}'"
    elif place == "count":
        lab.environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "include.path"}
        lab.environment["GIT_CONFIG_VALUE_0"] = str(config)
    elif place == "local":
        for folder in (lab.pull / "checkout" / ".git", lab.pull / "fetched"):
            folder.mkdir(parents=True)
            subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
            (folder / "config").open("a", encoding="utf-8").write(hostile)
            shutil.copytree(hooks, folder / "hooks", dirs_exist_ok=True)
            (folder / "info").mkdir(exist_ok=True)
            shutil.copy(tmp_path / "attributes", folder / "info" / "attributes")
    elif place == "template":
        lab.environment["GIT_TEMPLATE_DIR"] = str(template)
    else:
        names = [
            "SSH",
            "SSH_COMMAND",
            "PROXY_COMMAND",
            "ASKPASS",
            "EXTERNAL_DIFF",
            "PAGER",
            "EDITOR",
            "SEQUENCE_EDITOR",
        ]
        lab.environment |= {f"GIT_{name}": str(harm) for name in names}
        lab.environment |= {"GIT_EXEC_PATH": str(hooks), "GIT_DIR": str(other.work / ".git")}
        lab.environment |= {"GIT_OBJECT_DIRECTORY": str(tmp_path), "GIT_INDEX_FILE": str(harm)}
        lab.environment |= {"GIT_WORK_TREE": str(tmp_path), "GIT_NAMESPACE": "x", "GIT_REPLACE_REF_BASE": "refs/x"}
        lab.environment["GIT_ATTR_SOURCE"] = "HEAD"
    note = lab.run("v1")
    assert (note["step"], note["commit"]) == ("converge", lab.git("rev-parse", "HEAD")), lab.log
    assert lab.ran
    assert not (lab.pull / "checkout" / "old.py").exists()
    lab.git("tag", "-f", "-s", "v1", "-m", "v1", signer="stranger")
    assert lab.run("v1")["step"] == "signature"
    # git itself runs a hook of the repository that it fetches from; there is none.
    assert not (tmp_path / "harm").exists()


def test_an_old_tag_does_not_take_the_place_of_a_newer_one_unless_asked(lab: Lab) -> None:
    lab.git("tag", "-s", "lab", "-m", "one", date="2026-01-01T00:00:00Z")
    old = lab.git("rev-parse", "refs/tags/lab")
    first = lab.git("rev-parse", "HEAD")
    lab.git("commit", "-q", "--allow-empty", "-m", "second")
    lab.git("tag", "-f", "-s", "lab", "-m", "two", date="2026-01-02T00:00:00Z")
    second = lab.git("rev-parse", "HEAD")
    assert lab.run("lab")["commit"] == second
    lab.git("update-ref", "refs/tags/lab", old)
    note = lab.run("lab")
    assert (note["step"], note["exit_code"], note["commit"]) == ("older", 2, first)
    assert "is older than the one converged from before" in lab.log
    # The admin says so, or signs what was before anew.
    assert lab.run("lab", rollback=True)["step"] == "converge"
    lab.git("tag", "-f", "-s", "lab", "-m", "three", first, date="2026-01-03T00:00:00Z")
    note = lab.run("lab")
    assert (note["step"], note["commit"]) == ("converge", first)
    # One that is not refused would keep out all that follow.
    lab.git("tag", "-f", "-s", "lab", "-m", "four", date="2099-01-01T00:00:00Z")
    assert lab.run("lab")["step"] == "older"


@pytest.mark.parametrize("ref", ["no-such-tag", "--upload-pack=touch harm", 'v1"; touch harm; "', "0" * 40])
def test_a_ref_that_is_none_is_noted(lab: Lab, ref: str) -> None:
    note = lab.run(ref)
    assert note["step"] in ("fetch", "settings")
    assert note["exit_code"] == 2
    assert lab.ran == []
    assert not list(lab.home.rglob("harm"))


@pytest.mark.parametrize(
    "address",
    [
        *("--upload-pack=touch${IFS}harm", "-oProxyCommand=touch", "ext::sh -c touch% harm", "ext::touch", "fd::7", ""),
        *("ssh://-oProxyCommand=touch/x", "-x@host:y", "a@-oProxyCommand:y", "https://a b", "x\nhttps://git", "origin"),
        *("https://a?token=secret", "https://user:secret@git.example/x", "file://-x", "transport::address"),
        *("https://git.example/\u00e9", "'; touch harm; '", "$(touch harm)", "../work", "https://"),
    ],
)
def test_what_is_no_address_never_comes_to_git(lab: Lab, address: str) -> None:
    text = render("settings", ref="v1", repository="x").replace("repository=x", f"repository={shlex.quote(address)}")
    note = lab.run("v1", more=text)
    assert (note["step"], note["exit_code"]) == ("settings", 2), lab.log
    assert "secret" not in lab.log
    assert not list(lab.home.rglob("harm*"))


def test_a_password_is_in_no_address_no_argument_and_no_log(lab: Lab, tmp_path: Path) -> None:
    """git asks for it when the server does; ./converge may name another one in what it prints."""
    address = "http://ana:s%40cret@127.0.0.1:9/metal-lab.git"
    settings = render("settings", repository=address, ref="v1", environment={"HTTPS_PROXY": "http://p:w@proxy"})
    assert "repository=http://127.0.0.1:9/metal-lab.git\n" in settings
    assert "cret" not in settings
    assert lines("credentials", repository=address) == ["http://ana:s%40cret@127.0.0.1:9"]
    assert lines("credentials", repository="https://token@git.example/x") == ["https://token:@git.example"]
    for plain in ("ssh://git@git.example/x", "git@git.example:x", "/srv/x", "https://git.example/a@b"):
        assert lines("credentials", repository=plain) == []
        assert f"repository={plain}\n" in render("settings", repository=plain)
    job = render("self-converge.plist", repository=address, environment={"HTTPS_PROXY": "http://p:w@proxy"})
    assert not re.search("cret|proxy|127", job)

    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(HTTPServer(("127.0.0.1", 0), Server)) as server:
        address = f"http://ana:s%40cret@127.0.0.1:{server.server_port}/x"
        credentials = render("credentials", repository=address)
        (lab.pull / "credentials").write_text(credentials, encoding="utf-8")
        assert lab.run("v1", repository=address)["step"] == "fetch"
    assert asked[-1] == f"Basic {b64encode(b'ana:s@cret').decode()}"
    # A server that refuses it once does not have it removed.
    assert (lab.pull / "credentials").read_text(encoding="utf-8") == credentials
    assert "cret" not in lab.log

    (lab.work / "converge").write_text(
        "#!/bin/sh\necho see https://ana:s@cret@git/x, http://token@y\n", encoding="utf-8"
    )
    lab.git("commit", "-q", "-a", "-m", "x")
    lab.git("tag", "-s", "v1", "-m", "v1")
    assert lab.run("v1")["step"] == "converge"
    assert "see https://***@git/x, http://***@y" in lab.log.replace("***@cret@", "***@")
    del tmp_path


def test_only_the_user_reads_what_a_run_leaves(lab: Lab) -> None:
    lab.git("tag", "-s", "v1", "-m", "v1")
    (lab.work / "converge").write_text('#!/bin/sh\numask >"$HOME/made"\n', encoding="utf-8")
    lab.git("commit", "-q", "-a", "-m", "x")
    lab.git("tag", "-f", "-s", "v1", "-m", "v1")
    # A run that was cut off left what it had said so far.
    (lab.pull / "running.log").write_text("see http://a:secret@b/\n", encoding="utf-8")
    lab.run("v1")
    own = [lab.pull / "last.json", lab.pull / "newest", lab.pull / "fetched", *(lab.pull / "logs").iterdir()]
    assert len(own) == 5
    assert [oct(path.stat().st_mode & 0o077) for path in own] == ["0o0"] * 5
    # What ./converge makes is for everybody to read, Homebrew for instance.
    assert (lab.home / "made").read_text(encoding="utf-8").strip() == "0022"
    assert not (lab.pull / "running.log").exists()
    (cut_off,) = (lab.pull / "logs").glob("*-cut-off.log")
    assert cut_off.read_text(encoding="utf-8") == "see http://***@b/\n"
    tasks = yaml.safe_load((ROLE / "tasks" / "present.yml").read_text(encoding="utf-8"))
    modes = [task[name]["mode"] for task in tasks for name in task if name.endswith((".copy", ".template", ".file"))]
    assert modes == ["0700", "0755", *["0600"] * 4]


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


def test_the_job_is_one_that_launchd_can_read() -> None:
    # 25 hours after midnight is an hour after the next one.
    job = plistlib.loads(render("self-converge.plist", hour=25, window=1).encode())
    assert job["ProgramArguments"] == ["/bin/sh", "/Users/ana/a <b>/pull/self-converge.sh"]
    assert job["UserName"] == "ana"
    assert job["StartCalendarInterval"] == {"Hour": 1, "Minute": 0}
    assert job["EnvironmentVariables"] == {"HOME": "/Users/ana", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}


def test_settings_are_what_the_shell_reads_of_them(tmp_path: Path) -> None:
    odd = """a'b"c $(touch harm) `touch harm` \\ é\n;&|"""
    text = render("settings", repository="/x", ref="v1", arguments=[odd, ""], environment={"SSL_CERT_FILE": odd})
    (tmp_path / "settings").write_text(text, encoding="utf-8")
    for shell in SHELLS:
        line = [
            *shell.split(),
            "-c",
            '. ./settings; printf "%s|" "$XDG_DATA_HOME" "$SSL_CERT_FILE" "$rollback" "$#" "$@"',
        ]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True)
        # Other runs' locks and records lie in this machine's folder for data.
        assert done.stdout == f"/Users/ana|{odd}|false|2|{odd}||"
    assert not (tmp_path / "harm").exists()


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


def fetch(over: Any = None, hours: float = 48, host: str = "lab-07") -> dict[str, Any]:
    variables = {"inventory_hostname": host}
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


def test_a_result_is_written_into_its_folder_whatever_lies_there(machine: Path) -> None:
    results = results_of(machine)
    results.mkdir()
    elsewhere = results.parent / "elsewhere"
    elsewhere.write_text("mine", encoding="utf-8")
    (results / "lab-07.ml-m1.json").symlink_to(elsewhere)
    put(machine, json.dumps(measured(host="lab-07", started="2026-11-21T02:00:00Z", profile="ml-m1")))
    assert fetch()["verdict"] == "healthy"
    assert elsewhere.read_text(encoding="utf-8") == "mine"
    assert not (results / "lab-07.ml-m1.json").is_symlink()
    # A machine may have any name in the inventory.
    hosts = ("../elsewhere", "/etc/passwd", "..", "a/../../elsewhere", "--end", "$(touch harm)")
    for host in hosts:
        put(machine, json.dumps(measured(host=host, profile="ml-m1")), name=f"{files.safe(host)}.ml-m1")
        assert fetch(host=host)["verdict"] == "healthy"
    # One more for each, in the folder, and nowhere else.
    assert len(list(results.glob("*.json"))) == 1 + len(hosts)
    assert elsewhere.read_text(encoding="utf-8") == "mine"
    assert not list(results.parent.rglob("harm"))


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
