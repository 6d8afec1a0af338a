#!/usr/bin/python
"""Module `homebrew_clone`: Homebrew at a pinned release, in an empty prefix. Runs on the target's Python (3.8+).

A clone is whole or it is not there: what makes it one is done last, in one step, the commit that HEAD's branch names.
Until then bin/brew may be there, with a part of the files; .git names the remote, or this module, or is empty yet.
"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, text

# Homebrew/install, install.sh: made beside the clone, writable for the group; zsh wants its two for the user alone.
FOLDERS = (
    *("bin", "etc", "include", "lib", "sbin", "share", "opt", "var", "var/homebrew", "var/homebrew/linked"),
    *("Cellar", "Caskroom", "Frameworks"),
)
ZSH_FOLDERS = ("share/zsh", "share/zsh/site-functions")
GROUP_WRITABLE = 0o775
USER_WRITABLE = 0o755
LINKED = (
    ("completions/bash", "etc/bash_completion.d"),
    ("completions/zsh", "share/zsh/site-functions"),
    ("completions/fish", "share/fish/vendor_completions.d"),
    ("manpages", "share/man/man1"),
)
"""Folders of the repository, and where each of their files is linked to: what the installer has `brew update --force`
do at its end (Homebrew/brew, Library/Homebrew/utils/link.rb)."""
DOCS = ("docs", "share/doc/homebrew")
"""The one that is linked as a whole."""
OURS = "metal-lab.clone"
"""git's setting by which a clone of this module is known before it is whole."""
PAUSES_S = (2, 4)
"""Before each further attempt to fetch; Homebrew's installer makes five (Homebrew/install, install.sh, retry)."""
REPOSITORY_VARIABLES = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    *("GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_TEMPLATE_DIR", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_PREFIX"),
)
"""What would lead git to another repository than the named one, or bring files of somebody's into it (git(1),
`git rev-parse --local-env-vars`). What leads to the network (proxies, certificates, insteadOf) stays."""
SETTINGS = {
    # A user's own hooks and attributes (filters, line ends) are for the user's own repositories.
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
}


class HomebrewError(Exception):
    """What stands in the way: what was found, what is needed, what to do."""


def look(prefix: Path, remote: str, user: str) -> bool:
    """Whether Homebrew is in the prefix.

    Raises:
        HomebrewError: it belongs to another user, or the prefix holds something else.
    """
    brew, repository = prefix / "bin" / "brew", prefix / ".git"
    for place in (prefix, repository):
        owner = _owner(place)
        if (brew.exists() or repository.exists()) and owner not in ("", user):
            raise HomebrewError(_of_another(place, owner, user))
    if brew.exists() and (not repository.exists() or _answer(prefix, "rev-parse", "--verify", "HEAD")):
        return True
    if not prefix.exists():
        return False
    held = sorted(path.name for path in prefix.iterdir())
    if held and not _is_cut_off_clone(prefix, remote):
        raise HomebrewError(
            f"Found files in {prefix} that are not Homebrew's ({', '.join(held[:5])}). Needed: an empty or missing "
            "folder, since nothing of somebody else's is overwritten. Move them away."
        )
    return False


def _owner(place: Path) -> str:
    """Whose a file or folder is, as a name where it has one; "" where there is none."""
    try:
        number = place.stat().st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _of_another(place: Path, owner: str, user: str) -> str:
    if place.name == ".git":
        # git would refuse it in words of its own, "dubious ownership" (git-config(1), safe.directory).
        return (
            f"Found {place}, owned by {owner}, as a git that was run with sudo leaves it. Needed: {user}'s own, "
            f"because git and brew refuse anybody else's. Run: sudo chown -R {user} {place}"
        )
    return (
        f"Found Homebrew in {place}, owned by {owner}. Needed: to run it as its owner, because brew refuses "
        f"anybody else's files. Set homebrew_user to {owner}, or have {owner} give it to {user}."
    )


def _is_cut_off_clone(prefix: Path, remote: str) -> bool:
    wanted = {OURS: "true", "remote.origin.url": remote}
    if any(_answer(prefix, "config", "--local", name) == value for name, value in wanted.items()):
        return True
    # Killed in `git init` or before its first setting was written: nothing but a repository without any object.
    repository = prefix / ".git"
    if [path.name for path in prefix.iterdir()] != [".git"] or not repository.is_dir():
        return False
    if _answer(prefix, "config", "--local", "--get-regexp", r"^remote\."):
        return False
    return not any(path.is_file() for path in (repository / "objects").rglob("*"))


def _answer(prefix: Path, *arguments: str) -> str:
    """What git says, "" where it fails."""
    line = ["git", "-C", str(prefix), *arguments]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env=_environment(), pass_fds=alone.inherited()
    )
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in REPOSITORY_VARIABLES}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def clone(prefix: Path, remote: str, version: str, commit: str) -> None:
    """Fetch, check the commit, then check out: the steps of Homebrew's installer, which a second run takes up again.

    Raises:
        HomebrewError: git failed, or the tag names another commit.
    """
    prefix.mkdir(exist_ok=True)
    _remove_locks(prefix)
    # No template of a user's: it may bring hooks along.
    _git(prefix, "init", "--template=")
    for name, value in (
        (OURS, "true"),
        ("remote.origin.url", remote),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        # A branch that Homebrew gives up is not to stay here.
        ("fetch.prune", "true"),
        # A user's own settings for line ends and links are not for Homebrew's files.
        ("core.autocrlf", "false"),
        ("core.symlinks", "true"),
    ):
        _git(prefix, "config", name, value)
    _fetch(prefix)
    found = _answer(prefix, "rev-parse", "--verify", "--quiet", f"refs/tags/{version}^{{commit}}")
    if not found:
        raise HomebrewError(
            f"No tag {version} came from {text.masked(remote)}. Needed: a repository with Homebrew's tags and whole "
            "history; from a shallow one git takes no tags. Mend homebrew_git_remote or homebrew_version, then run "
            "again."
        )
    if found != commit:
        raise HomebrewError(
            f"The tag {version} of {text.masked(remote)} names commit {found}. Needed: {commit} (homebrew_commit). "
            "Nothing of it was run. Either the mirror is not to be trusted, or homebrew_version was changed without "
            "homebrew_commit."
        )
    _point_origin(prefix)
    for name in (*FOLDERS, *ZSH_FOLDERS):
        folder = prefix / name
        folder.mkdir(exist_ok=True)
        os.chown(folder, -1, prefix.stat().st_gid)
        folder.chmod(USER_WRITABLE if name in ZSH_FOLDERS else GROUP_WRITABLE)
    # All files first, and HEAD's branch last.
    _git(prefix, "read-tree", "--reset", "-u", commit)
    link(prefix)
    _git(prefix, "checkout", "--force", "-B", "stable", version)


def link(prefix: Path) -> None:
    """Link completions, manual and documentation as brew does; what is somebody else's in their place stays."""
    pairs = [
        (path, prefix / place / path.relative_to(prefix / folder))
        for folder, place in LINKED
        for path in sorted((prefix / folder).rglob("*"))
        if not path.is_dir()
    ]
    if (prefix / DOCS[0]).exists():
        pairs.append((prefix / DOCS[0], prefix / DOCS[1]))
    for source, place in pairs:
        place.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(source, place.parent)
        if place.is_symlink() and os.readlink(place) != target:  # noqa: PTH115 (Python 3.8 has no Path.readlink)
            place.unlink()
        if not os.path.lexists(place):
            place.symlink_to(target)


def _point_origin(prefix: Path) -> None:
    """What origin's HEAD is, without asking it again; and no branch `master`, as the installer has it.

    Homebrew's default branch is main (Homebrew/brew, Library/Homebrew/cmd/update.sh); a stale origin/master makes a
    later `brew update` fail (Homebrew/install, install.sh).
    """
    if _git(prefix, "for-each-ref", "refs/remotes/origin/main"):
        _git(prefix, "update-ref", "-d", "refs/remotes/origin/master")
        _git(prefix, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")


def _remove_locks(prefix: Path) -> None:
    """Remove what a git that was killed leaves behind; nobody else is at work here (module_utils/alone.py)."""
    for lock in (prefix / ".git").rglob("*.lock"):
        if lock.is_file():
            lock.unlink()


def _fetch(prefix: Path) -> None:
    # Tags too: without them brew cannot tell its version.
    for pause in (*PAUSES_S, None):
        try:
            _git(prefix, "fetch", "--force", "--tags", "origin")
        except HomebrewError:
            if pause is None:
                raise
            time.sleep(pause)
        else:
            return


def _git(prefix: Path, *arguments: str) -> str:
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    line = ["git", "-C", str(prefix), *settings, *arguments]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, env=_environment(), pass_fds=alone.inherited()
    )
    if done.returncode != 0:
        said = text.said(done.stderr)
        command = text.masked(" ".join(arguments))
        raise HomebrewError(f"`git {command}` in {prefix} failed: {said}\n{_advice(arguments[0], said)}")
    return done.stdout


def _advice(command: str, said: str) -> str:
    """What to do about a git that failed. The network is named only where git was asked to use it."""
    if "No space left on device" in said:
        return "The disk is full: free some space; the next run goes on from here."
    if command == "fetch":
        return (
            "If the network is the cause, check it, or set homebrew_git_remote to a mirror; the next run goes on from "
            "here."
        )
    return "Mend what git names; the next run goes on from here."


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "remote": {"type": "str", "required": True},
            "user": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "commit": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    options = module.params
    prefix = Path(options["prefix"])
    try:
        if look(prefix, options["remote"], options["user"]):
            module.exit_json(changed=False)
        if not re.fullmatch(r"[0-9a-f]{40}", options["commit"]):
            raise HomebrewError(f"homebrew_commit is '{options['commit']}'. Needed: a whole commit, 40 hex digits.")
        if not module.check_mode:
            clone(prefix, options["remote"], options["version"], options["commit"])
    except HomebrewError as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": f"Homebrew {options['version']} in {prefix}\n"}
    module.exit_json(changed=True, diff=diff)


if __name__ == "__main__":
    main()
