"""Homebrew's clone and Brewfile: what is adopted, refused and taken up again."""

import getpass
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.metal_lab.macs.plugins.modules import homebrew_bundle, homebrew_clone
from ansible_collections.metal_lab.macs.plugins.modules.homebrew_bundle import advice, inventory, lacking, render
from ansible_collections.metal_lab.macs.plugins.modules.homebrew_clone import (
    FOLDERS,
    ZSH_FOLDERS,
    HomebrewError,
    clone,
    look,
)

from tests.helpers.plugins import run_module

USER = getpass.getuser()


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with bin/brew and the tag 6.0.18."""
    place = tmp_path / "remote"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "brew").write_text("#!/bin/sh\n")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@localhost")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setattr(homebrew_clone, "PAUSES_S", (0,))
    for line in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "x"], ["tag", "6.0.18"]):
        git(place, *line)
    return place


def git(folder: Path, *arguments: str) -> str:
    line = ["git", "-C", str(folder), *arguments]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


def commit(remote: Path) -> str:
    return git(remote, "rev-parse", "HEAD")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    place = tmp_path / "homebrew"
    place.mkdir()
    return place


def test_a_clone_has_the_release_its_tag_and_homebrews_folders(remote: Path, prefix: Path) -> None:
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert look(prefix, str(remote), USER)
    assert git(prefix, "describe", "--tags") == "6.0.18"
    assert git(prefix, "branch", "--show-current") == "stable"
    modes = {name: (prefix / name).stat().st_mode & 0o777 for name in (*FOLDERS, *ZSH_FOLDERS)}
    assert modes == {**dict.fromkeys(FOLDERS, 0o775), **dict.fromkeys(ZSH_FOLDERS, 0o755)}


def test_the_clone_is_the_remotes_and_the_next_attempt_finds_it_as_it_is_now(remote: Path, prefix: Path) -> None:
    """A tag beside the branches, files that an attempt left half written, a tag that moved, a Mac's own line ends."""
    git(remote, "checkout", "-q", "--detach")
    (remote / "README.md").write_text("line\n")
    git(remote, "add", "-A")
    git(remote, "commit", "-qm", "y")
    git(remote, "tag", "7")
    with pytest.raises(HomebrewError, match=r"The tag 7 of .* names commit [0-9a-f]{40}\. Needed: 0{40}"):
        clone(prefix, str(remote), "7", "0" * 40)
    git(remote, "commit", "-q", "--allow-empty", "-m", "z")
    git(remote, "tag", "-f", "7")
    (prefix / "README.md").write_text("li")
    (remote.parent / "gitconfig").write_text("[core]\n autocrlf = true\n")
    clone(prefix, str(remote), "7", commit(remote))
    assert (prefix / "README.md").read_bytes() == b"line\n"
    git(prefix, "checkout", "-q", "--detach")
    clone(prefix, str(remote), "7", commit(remote))
    assert git(prefix, "status", "--porcelain", "--untracked-files=no") == ""


def test_git_never_asks_for_a_password(
    remote: Path, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "git"
    asked.write_text(
        f"""#!/bin/sh\necho "$GIT_TERMINAL_PROMPT" >>{tmp_path}/prompt\nPATH=${{PATH#*:}} exec git "$@"\n"""
    )
    asked.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sha = commit(remote)
    (tmp_path / "prompt").unlink()
    clone(prefix, str(remote), "6.0.18", sha)
    assert set((tmp_path / "prompt").read_text().split()) == {"0"}


def test_another_commit_is_refused_before_anything_is_checked_out(remote: Path, prefix: Path) -> None:
    with pytest.raises(HomebrewError, match="names commit"):
        clone(prefix, str(remote), "6.0.18", "0" * 40)
    assert not (prefix / "bin").exists()


def test_a_clone_that_was_cut_off_is_taken_up_again(remote: Path, prefix: Path) -> None:
    with pytest.raises(HomebrewError):
        clone(prefix, str(remote), "6.0.18", "0" * 40)
    assert not look(prefix, str(remote), USER)
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert look(prefix, str(remote), USER)


def test_a_clone_that_was_killed_while_files_were_written_is_taken_up_again(remote: Path, prefix: Path) -> None:
    """bin/brew is there then, and git's lock, but no commit at HEAD."""
    clone(prefix, str(remote), "6.0.18", commit(remote))
    git(prefix, "symbolic-ref", "HEAD", "refs/heads/main")
    git(prefix, "branch", "-D", "stable")
    (prefix / ".git" / "index.lock").touch()
    assert not look(prefix, str(remote), USER)
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert look(prefix, str(remote), USER)
    # As from an archive, without any repository.
    shutil.rmtree(prefix / ".git")
    assert look(prefix, str(remote), USER)


def test_a_users_own_hooks_do_not_run_in_the_clone(remote: Path, prefix: Path, tmp_path: Path) -> None:
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\n hooksPath = {hook.parent}\n symlinks = false\n")
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert not (tmp_path / "ran").exists()
    settings = {name: git(prefix, "config", name) for name in ("fetch.prune", "core.symlinks", "core.autocrlf")}
    assert settings == {"fetch.prune": "true", "core.symlinks": "true", "core.autocrlf": "false"}


def real_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script before git; $real is the real one."""
    (tmp_path / "tools").mkdir(exist_ok=True)
    wrapper = tmp_path / "tools" / "git"
    wrapper.write_text(f"#!/bin/sh\nreal={shutil.which('git')}\n{script}\n")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/tools:{os.environ['PATH']}")


def test_a_remote_without_the_tag_is_said_to_be_one(remote: Path, prefix: Path, tmp_path: Path) -> None:
    """Also a shallow mirror that has it: of that git takes no tag, without a word."""
    with pytest.raises(HomebrewError, match="No tag 8 came from"):
        clone(prefix, str(remote), "8", commit(remote))
    git(remote, "commit", "-q", "--allow-empty", "-m", "z")
    git(remote, "tag", "7")
    git(tmp_path, "clone", "-q", "--bare", "--depth=1", f"file://{remote}", "shallow")
    with pytest.raises(HomebrewError, match="No tag 7 came from"):
        clone(prefix, str(tmp_path / "shallow"), "7", commit(remote))


@pytest.mark.parametrize("moment", range(1, 15))
def test_killed_at_any_step_it_is_no_homebrew_yet_and_the_next_run_makes_it_one(
    remote: Path, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """The steps are git's commands; each leaves the locks that it may have held."""
    sha, path = commit(remote), os.environ["PATH"]
    locks = "config.lock index.lock shallow.lock packed-refs.lock HEAD.lock refs/heads/stable.lock"
    leave = f'for one in {locks}; do [ ! -d .git/refs/heads ] || : >".git/$one"; done'
    count = f'echo x >>{tmp_path}/count; [ "$(wc -l <{tmp_path}/count)" -lt {moment} ] || '
    real_git(tmp_path, monkeypatch, f'{count}{{ cd "$2" && {leave}; kill -9 $$; }}\nexec "$real" "$@"')
    with pytest.raises(HomebrewError):
        clone(prefix, str(remote), "6.0.18", sha)
    monkeypatch.setenv("PATH", path)
    assert not look(prefix, str(remote), USER)
    clone(prefix, str(remote), "6.0.18", sha)
    assert look(prefix, str(remote), USER)
    assert list((prefix / ".git").rglob("*.lock")) == []
    assert git(prefix, "status", "--porcelain", "--untracked-files=no") == ""


def test_these_are_all_steps(remote: Path, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = commit(remote)
    real_git(tmp_path, monkeypatch, f'echo x >>{tmp_path}/count; exec "$real" "$@"')
    clone(prefix, str(remote), "6.0.18", sha)
    assert len((tmp_path / "count").read_text().split()) == 14


def test_killed_among_the_files_with_brew_there_it_is_no_homebrew_yet(remote: Path, prefix: Path) -> None:
    """git itself, by SIGKILL, after bin/brew was written; as it was recorded of a real clone."""
    (remote / ".gitattributes").write_text("zz filter=stop\n")
    (remote / "zz").touch()
    git(remote, "add", "-A")
    git(remote, "commit", "-qm", "y")
    git(remote, "tag", "7")
    settings = remote.parent / "gitconfig"
    settings.write_text('[filter "stop"]\n smudge = "kill -9 $PPID"\n required = true\n')
    with pytest.raises(HomebrewError, match="read-tree"):
        clone(prefix, str(remote), "7", commit(remote))
    assert (prefix / "bin" / "brew").exists()
    assert (prefix / ".git" / "index.lock").exists()
    assert not look(prefix, str(remote), USER)
    settings.unlink()
    clone(prefix, str(remote), "7", commit(remote))
    assert look(prefix, str(remote), USER)
    assert (prefix / "zz").exists()


def test_a_full_disk_is_named_and_not_the_network(
    remote: Path, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = commit(remote)
    said = "error: unable to write file bin/brew: No space left on device"
    real_git(tmp_path, monkeypatch, f'case $* in *read-tree*) echo "{said}" >&2; exit 128 ;; esac; exec "$real" "$@"')
    with pytest.raises(HomebrewError, match="The disk is full: free some space") as caught:
        clone(prefix, str(remote), "6.0.18", sha)
    assert "network" not in str(caught.value)
    assert not look(prefix, str(remote), USER)


def test_the_clone_is_as_homebrews_installer_leaves_it(remote: Path, prefix: Path) -> None:
    """Completions, manual and documentation are linked, what is in their place already stays; origin has a HEAD."""
    for name in ("completions/bash/brew", "completions/zsh/_brew", "completions/fish/brew.fish", "manpages/brew.1"):
        (remote / name).parent.mkdir(parents=True, exist_ok=True)
        (remote / name).write_text(name)
    (remote / "docs").mkdir()
    (remote / "docs" / "FAQ.md").touch()
    git(remote, "add", "-A")
    git(remote, "commit", "-qm", "y")
    git(remote, "tag", "7")
    git(remote, "branch", "master", "6.0.18")
    for folder in ("share/zsh/site-functions", "share/man/man1"):
        (prefix / folder).mkdir(parents=True)
    (prefix / "share/zsh/site-functions/_brew").symlink_to("/gone")
    (prefix / "share/man/man1/brew.1").write_text("mine")
    git(prefix, "init", "-q")
    git(prefix, "config", "metal-lab.clone", "true")
    clone(prefix, str(remote), "7", commit(remote))
    links = {
        "etc/bash_completion.d/brew": "../../completions/bash/brew",
        "share/zsh/site-functions/_brew": "../../../completions/zsh/_brew",
        "share/fish/vendor_completions.d/brew.fish": "../../../completions/fish/brew.fish",
        "share/doc/homebrew": "../../docs",
    }
    assert {name: str((prefix / name).readlink()) for name in links} == links
    assert (prefix / "share/man/man1/brew.1").read_text() == "mine"
    assert git(prefix, "symbolic-ref", "refs/remotes/origin/HEAD") == "refs/remotes/origin/main"
    assert git(prefix, "for-each-ref", "--format=%(refname)", "refs/remotes").split() == [
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/main",
    ]


def test_neither_a_template_nor_another_repository_of_the_users_reaches_the_clone(
    remote: Path, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha, other = commit(remote), tmp_path / "other"
    git(tmp_path, "init", "-q", "other")
    hook = tmp_path / "template" / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\n")
    attributes = tmp_path / "attributes"
    attributes.write_text("* text eol=crlf\n")
    (remote.parent / "gitconfig").write_text(
        f"[init]\n templateDir = {tmp_path}/template\n[core]\n attributesFile = {attributes}\n"
    )
    for name, value in (("GIT_DIR", other / ".git"), ("GIT_WORK_TREE", other), ("GIT_INDEX_FILE", tmp_path / "index")):
        monkeypatch.setenv(name, str(value))
    clone(prefix, str(remote), "6.0.18", sha)
    assert look(prefix, str(remote), USER)
    assert not (prefix / ".git" / "hooks").exists()
    assert not (tmp_path / "index").exists()
    assert sorted(path.name for path in other.iterdir()) == [".git"]
    assert (prefix / "bin" / "brew").read_bytes() == b"#!/bin/sh\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_repository_that_sudo_left_to_root_is_named_with_the_command_that_gives_it_back(
    remote: Path, prefix: Path
) -> None:
    clone(prefix, str(remote), "6.0.18", commit(remote))
    os.chown(prefix / ".git", 4711, -1)
    with pytest.raises(HomebrewError, match=rf"\.git, owned by 4711, .* sudo chown -R {USER} {prefix}/\.git$"):
        look(prefix, str(remote), USER)
    os.chown(prefix, 4711, -1)
    with pytest.raises(HomebrewError, match="Set homebrew_user to 4711"):
        look(prefix, str(remote), USER)


def test_a_network_that_stumbles_is_asked_again(
    remote: Path, prefix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = commit(remote)
    away = tmp_path / "away"
    remote.rename(away)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        away.rename(remote)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(homebrew_clone, "PAUSES_S", (7, 8))
    clone(prefix, str(remote), "6.0.18", sha)
    assert waited == [7]


def test_after_a_failure_another_remote_may_be_named(remote: Path, prefix: Path, tmp_path: Path) -> None:
    """As the message of the failure tells to do."""
    with pytest.raises(HomebrewError, match="homebrew_git_remote"):
        clone(prefix, str(tmp_path / "nowhere"), "6.0.18", commit(remote))
    assert not look(prefix, str(remote), USER)
    clone(prefix, str(remote), "6.0.18", commit(remote))
    assert look(prefix, str(remote), USER)


@pytest.mark.usefixtures("remote")
def test_a_remote_that_is_not_there_is_explained(tmp_path: Path, prefix: Path) -> None:
    with pytest.raises(HomebrewError, match="homebrew_git_remote"):
        clone(prefix, str(tmp_path / "nowhere"), "6.0.18", "0" * 40)


def test_somebody_elses_files_are_refused(prefix: Path, remote: Path) -> None:
    (prefix / "thesis").touch()
    with pytest.raises(HomebrewError, match=r"not Homebrew's \(thesis\)"):
        look(prefix, str(remote), USER)
    for name in "abcde":
        (prefix / name).touch()
    # The user's own settings of git say nothing of this folder.
    (remote.parent / "gitconfig").write_text(f'[metal-lab]\n clone = true\n[remote "origin"]\n url = {remote}\n')
    with pytest.raises(HomebrewError, match=r"not Homebrew's \(a, b, c, d, e\)"):
        look(prefix, str(remote), USER)


def test_another_clone_in_the_prefix_is_refused(prefix: Path, remote: Path) -> None:
    subprocess.run(["git", "-C", str(prefix), "init", "-q"], check=True)
    subprocess.run(["git", "-C", str(prefix), "config", "remote.origin.url", "https://example.org/x"], check=True)
    with pytest.raises(HomebrewError, match="not Homebrew's"):
        look(prefix, str(remote), USER)


def test_homebrew_of_another_user_is_refused_with_the_setting_to_change(prefix: Path, remote: Path) -> None:
    clone(prefix, str(remote), "6.0.18", commit(remote))
    with pytest.raises(HomebrewError, match=f"Set homebrew_user to {USER}"):
        look(prefix, str(remote), "somebody")


def test_a_clone_by_somebody_elses_hand_from_the_same_remote_is_taken_up(prefix: Path, remote: Path) -> None:
    git(prefix, "init", "-q")
    git(prefix, "config", "remote.origin.url", str(remote))
    assert not look(prefix, str(remote), USER)


def test_a_missing_prefix_is_free(tmp_path: Path, remote: Path) -> None:
    assert not look(tmp_path / "none", str(remote), USER)
    assert os.path.lexists(tmp_path / "none") is False


def test_a_bottle_that_came_altered_is_named_by_what_the_cache_knows_it_by() -> None:
    """As brew 6.0 says it, with one download at a time, with several, and where a bottle is poured."""
    digest, other = "a" * 64, "b" * 64
    for said in (
        f"Error: Bottle reports different checksum: {digest}\n       SHA-256 checksum of downloaded file: {other}",
        f"Error: Bottle reports different checksum:   {digest}",
        f"Error: git: SHA256 mismatch\nExpected: {digest}\n  Actual: {other}\n    File: /x.tar.gz\nTo retry",
    ):
        assert f"--tags purge -e purge={digest}`." in advice(said)
        assert other not in advice(said)


def test_another_failure_is_the_brewfiles() -> None:
    assert "homebrew_formulae" in advice('Error: No available formula with the name "nosuch".')


def test_a_name_in_the_brewfile_is_never_code() -> None:
    assert render(["o/t"], ["git", "html2text"], ["visual-studio-code"]).splitlines() == [
        "# Ansible managed by the role homebrew.",
        'tap "o/t", nil, trusted: true',
        'brew "git"',
        'brew "html2text"',
        'cask "visual-studio-code"',
    ]
    # In Ruby `"#{...}"` runs what is in it, `"\#{...}"` does not.
    assert render([], ['#{system("id")}"; exit\n'], []).splitlines()[1] == r'brew "\#{system(\"id\")}\"; exit\n"'


def run_clone(remote: Path, prefix: Path, *, check: bool = False, **options: Any) -> dict[str, Any]:
    base = {"prefix": str(prefix), "remote": str(remote), "user": USER}
    return run_module(homebrew_clone.main, {**base, **options}, check=check)


def test_the_module_clones_once(remote: Path, prefix: Path) -> None:
    release: dict[str, Any] = {"version": "6.0.18", "commit": commit(remote)}
    diff = {"before": "", "after": f"Homebrew 6.0.18 in {prefix}\n"}
    would = run_clone(remote, prefix, check=True, **release)
    assert (would["changed"], would["diff"], list(prefix.iterdir())) == (True, diff, [])
    made = run_clone(remote, prefix, **release)
    assert (made["changed"], made["diff"], (prefix / "bin" / "brew").exists()) == (True, diff, True)
    assert run_clone(remote, prefix, version="7", commit="not looked at")["changed"] is False


@pytest.mark.parametrize("wrong", ["", "0" * 39, "0" * 41, "G" * 40, "6.0.18"])
def test_what_is_no_whole_commit_is_refused(remote: Path, prefix: Path, wrong: str) -> None:
    refused = run_clone(remote, prefix, check=True, version="6.0.18", commit=wrong)
    assert f"homebrew_commit is '{wrong}'. Needed: a whole commit" in refused["msg"]


class Brew:
    """A brew that answers as it is told, and installs what it is told, beside the Brewfile."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.command = prefix / "bin" / "brew"
        self.brewfile = prefix / "a folder" / "below" / "Brewfile"
        self.command.parent.mkdir(parents=True)
        self.answer("check", 0, "")
        self.answer("install", 0, "")
        self.command.write_text(
            f'#!/bin/sh\ncd {prefix}\necho "$*" >>calls\ncat "$2.out"\ncat "$2.err" >&2\n. "./$2.sh"\n'
            'exit "$(cat "$2.code")"\n'
        )
        self.command.chmod(0o755)

    def answer(self, command: str, code: int, out: str, err: str = "", does: str = "") -> None:
        for kind, text in (("code", str(code)), ("out", out), ("err", err), ("sh", does)):
            (self.prefix / f"{command}.{kind}").write_text(text)

    def brings(self, *names: str) -> str:
        """The commands by which it installs formulae and casks (with `cask:` before their names)."""
        lines = []
        for name in names:
            kind, _, cask = name.rpartition(":")
            lines.append(
                f"mkdir -p Caskroom/{cask}/1.0 Caskroom/{cask}/.metadata"
                if kind
                else f"mkdir -p Cellar/{name}/1.0 opt; ln -sfn ../Cellar/{name}/1.0 opt/{name}"
            )
        return "\n".join(lines)

    @property
    def calls(self) -> list[str]:
        """The commands since the last look."""
        place = self.prefix / "calls"
        lines = place.read_text().splitlines() if place.exists() else []
        place.unlink(missing_ok=True)
        return lines

    def run(self, *, check: bool = False, **names: Any) -> dict[str, Any]:
        wanted = {"taps": [], "formulae": ["htop"], "casks": ["café"], **names}
        options = {"brew": str(self.command), "brewfile": str(self.brewfile), **wanted}
        return run_module(homebrew_bundle.main, options, check=check)


@pytest.fixture
def brew(tmp_path: Path) -> Brew:
    return Brew(tmp_path / "prefix")


CHECK, INSTALL = "bundle check --verbose --no-upgrade", "bundle install --no-upgrade"
# Words of no release of brew: none of them counts.
WORDS = "Installing tree\nInstalling htop has failed!\n"


def test_what_homebrew_has_is_read_from_its_prefix(tmp_path: Path) -> None:
    assert inventory(tmp_path) == set()
    for place in ("Cellar/htop/3.4", "Caskroom/code/1.1", "Caskroom/code/.metadata", "Library/Taps/o/homebrew-t"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt" / "htop").symlink_to("../Cellar/htop/3.4")
    (tmp_path / "opt" / "gone").symlink_to("../Cellar/gone/1")
    (tmp_path / "var" / "homebrew" / "linked").mkdir(parents=True)
    (tmp_path / "var" / "homebrew" / "linked" / "htop").symlink_to("../../../Cellar/htop/3.4")
    assert inventory(tmp_path) == {
        *("Cellar/htop/3.4", "Caskroom/code/1.1", "Library/Taps/o/homebrew-t", "var/homebrew/linked/htop"),
    }
    assert lacking(tmp_path, ["o/t"], ["htop", "o/t/htop"], ["code"]) == []
    assert lacking(tmp_path, ["o/u"], ["gone", "git"], ["editor"]) == ["gone", "git", "editor", "o/u"]


def test_a_mac_that_has_all_of_it_is_asked_once(brew: Brew) -> None:
    run = brew.run(taps=["o/t"])
    assert (run["changed"], run["installed"]) == (True, [])
    (diff,) = run["diff"]
    text = '# Ansible managed by the role homebrew.\ntap "o/t", nil, trusted: true\nbrew "htop"\ncask "café"\n'
    header = str(brew.brewfile)
    assert diff == {"before_header": header, "after_header": header, "before": "", "after": text}
    assert brew.brewfile.read_text() == text
    assert [path.name for path in brew.brewfile.parent.iterdir()] == ["Brewfile"]
    again = brew.run(taps=["o/t"])
    assert (again["changed"], again["installed"], again["diff"]) == (False, [], [])
    assert brew.calls == [f"{CHECK} --file={brew.brewfile}"] * 2
    other = brew.run(casks=[], taps=["o/t"])
    assert (other["diff"][0]["before"], other["changed"]) == (text, True)


def test_what_was_asked_goes_on_to_the_record(brew: Brew) -> None:
    facts = {"metal_lab_homebrew": {"prefix": "/b", "formulae": ["htop"], "casks": ["café"]}}
    assert brew.run(noted={"prefix": "/b"})["ansible_facts"] == facts
    brew.answer("check", 1, "")
    assert brew.run(noted={"prefix": "/b"})["ansible_facts"] == facts


def test_who_wants_nothing_of_homebrew_waits_for_no_brew(brew: Brew) -> None:
    nothing: dict[str, Any] = {"taps": [], "formulae": [], "casks": []}
    for check in (True, False):
        run = brew.run(check=check, **nothing)
        assert (run["changed"], run["ansible_facts"]["metal_lab_homebrew"]["formulae"]) == (False, [])
    assert (brew.calls, brew.brewfile.exists()) == ([], False)
    brew.run()
    assert brew.calls
    assert brew.run(**nothing)["changed"] is True


def test_what_is_missing_is_installed_and_told_by_what_is_there_afterwards(brew: Brew) -> None:
    brew.run()
    assert brew.calls
    brew.answer("check", 1, "")
    # A dependency comes along, another one is upgraded; brew names neither.
    (brew.prefix / "Cellar" / "xz" / "1.0").mkdir(parents=True)
    more = "mkdir -p Cellar/ncurses/6 Cellar/xz/1.1; rmdir Cellar/xz/1.0"
    brew.answer("install", 0, WORDS, does=f"{brew.brings('htop', 'cask:café')}\n{more}")
    made = brew.run()
    came = ["Caskroom/café/1.0", "Cellar/htop/1.0", "Cellar/ncurses/6", "Cellar/xz/1.1"]
    assert brew.calls == [f"{CHECK} --file={brew.brewfile}", f"{INSTALL} --file={brew.brewfile}"]
    assert (made["changed"], made["installed"]) == (True, came)
    assert made["diff"] == [{"before": "Cellar/xz/1.0\n", "after": "".join(f"{one}\n" for one in came)}]
    # All of it is there, and brew says that it installs.
    again = brew.run()
    assert (again["changed"], again["installed"]) == (False, [])
    assert brew.run(taps=["o/t"])["changed"] is True


def test_what_brew_does_not_install_though_it_is_content_is_told(brew: Brew, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a formula that is installed has another name since."""
    # In the controller's process, where this runs, Ansible says the same warning once.
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _, text: said.append(text))
    brew.run()
    brew.answer("check", 1, "")
    brew.answer("install", 0, WORDS, does=brew.brings("cask:café"))
    made = brew.run()
    assert made["installed"] == ["Caskroom/café/1.0"]
    assert "nothing of the name htop is there" in said[-1]
    assert brew.run()["changed"] is False
    brew.answer("check", 0, "")
    said.clear()
    assert brew.run(formulae=["git", "htop"])["changed"] is True
    assert "nothing of the name git, htop is there" in said[-1]
    (brew.prefix / "opt" / "git").mkdir(parents=True)
    said.clear()
    brew.run(formulae=["git"], taps=["homebrew/core"])
    assert said == []


@pytest.mark.parametrize(
    ("does", "came", "said", "of"),
    [
        (("htop",), ["Cellar/htop/1.0"], "not there: café. Installed all the same: Cellar/htop/1.0.", ""),
        ((), [], "not there: htop, café. It installed nothing.", " of café"),
        (
            ("htop", "cask:café"),
            ["Caskroom/café/1.0", "Cellar/htop/1.0"],
            "though all that was asked for is there. Installed all the same: Caskroom/café/1.0, Cellar/htop/1.0.",
            "",
        ),
    ],
)
def test_what_brew_cannot_install_fails_with_what_it_said(
    brew: Brew, does: tuple[str, ...], came: list[str], said: str, of: str
) -> None:
    brew.run()
    brew.answer("check", 1, "")
    brew.answer("install", 3, WORDS, "on stderr\n", does=brew.brings(*does))
    failed = brew.run()
    assert (failed["failed"], failed["changed"], failed["installed"]) == (True, bool(came), came)
    assert failed["msg"].startswith(f"`brew bundle install` ended with exit code 3, {said} Mend what brew names below")
    assert failed["msg"].endswith(f"brew said{of}:\n{WORDS}\non stderr")
    assert brew.run(taps=["o/t"])["changed"] is True


def test_what_came_by_itself_is_not_told_of_because_a_tap_did_not(brew: Brew) -> None:
    brew.answer("check", 1, "")
    # Only in a file of its own is it installed.
    alone = brew.brewfile.with_name(".Brewfile.one")
    does = f"if grep -qs '^brew' '{alone}'; then\n{brew.brings('htop')}\nfi"
    brew.answer("install", 1, "said\n", does=does)
    failed = brew.run(taps=["o/nowhere"], formulae=["htop"], casks=[])
    assert "not there: o/nowhere. Installed all the same: Cellar/htop/1.0." in failed["msg"]
    assert failed["msg"].endswith("brew said of o/nowhere:\nsaid")
    assert "brew said of htop" not in failed["msg"]


def test_a_formula_of_a_tap_that_nobody_trusts_is_told_to_be_one(brew: Brew) -> None:
    brew.answer("check", 1, "")
    brew.answer("install", 1, "", "Error: Refusing to load formula o/t/x from untrusted tap o/t.")
    wanted: dict[str, Any] = {"formulae": ["o/t/x"], "casks": []}
    said = "homebrew_taps does not have o/t: brew takes nothing of a tap that nobody trusts. Mend what"
    assert said in brew.run(**wanted)["msg"]
    assert "that nobody trusts" not in brew.run(taps=["o/t"], **wanted)["msg"]


def test_check_mode_says_what_would_be_installed_and_writes_nothing(brew: Brew) -> None:
    all_of_it = {"before": "", "after": "htop\ncafé\no/t\n"}
    would = brew.run(check=True)
    assert (would["changed"], would["diff"][0]["before_header"]) == (True, str(brew.brewfile))
    assert (brew.calls, brew.brewfile.exists()) == ([], False)
    brew.run(taps=["o/t"])
    assert brew.calls
    assert brew.run(check=True, taps=["o/t"])["changed"] is False
    brew.answer("check", 1, WORDS)
    would = brew.run(check=True, taps=["o/t"])
    assert (would["changed"], would["diff"]) == (True, all_of_it)
    (brew.prefix / "Caskroom" / "café").mkdir(parents=True)
    would = brew.run(check=True, taps=["o/t"])
    assert (would["changed"], would["diff"]) == (True, {"before": "", "after": "htop\no/t\n"})
    assert brew.calls == [f"{CHECK} --file={brew.brewfile}"] * 3
    brew.command.unlink()
    would = brew.run(check=True, taps=["o/t"])
    assert (would["changed"], would["diff"]) == (True, all_of_it)


def test_check_mode_takes_a_brew_that_is_broken_for_no_change(brew: Brew) -> None:
    brew.run()
    brew.answer("check", 1, "out\n", "no network\n", does=brew.brings("htop", "cask:café"))
    failed = brew.run(check=True)
    assert failed["failed"]
    assert (
        "ended with exit code 1, though all that was asked for is there. brew said:\nout\n\nno network" in failed["msg"]
    )
