#!/usr/bin/python
"""Module `homebrew_clone`: Homebrew at a pinned release, in an empty prefix. Runs on the target's Python (3.8+).

A clone that was cut off is known by what git does last: HEAD names a branch without a commit. bin/brew may be there by
then, with a part of the files; .git names the remote, or this module.
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
OURS = "metal-lab.clone"
"""git's setting by which a clone of this module is known before it is whole."""
PAUSES_S = (2, 4)
"""Before each further attempt to fetch; Homebrew's installer makes five (Homebrew/install, install.sh, retry)."""


class HomebrewError(Exception):
    """What stands in the way: what was found, what is needed, what to do."""


def look(prefix: Path, remote: str, user: str) -> bool:
    """Whether Homebrew is in the prefix.

    Raises:
        HomebrewError: it belongs to another user, or the prefix holds something else.
    """
    if (prefix / "bin" / "brew").exists():
        owner = pwd.getpwuid(prefix.stat().st_uid).pw_name
        if owner != user:
            raise HomebrewError(
                f"Found Homebrew in {prefix}, owned by {owner}. Needed: to run it as its owner, because brew refuses "
                f"anybody else's files. Set homebrew_user to {owner}, or have {owner} give it to {user}."
            )
        if not (prefix / ".git").exists() or _answer(prefix, "rev-parse", "--verify", "HEAD"):
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


def _is_cut_off_clone(prefix: Path, remote: str) -> bool:
    wanted = {OURS: "true", "remote.origin.url": remote}
    return any(_answer(prefix, "config", "--local", name) == value for name, value in wanted.items())


def _answer(prefix: Path, *arguments: str) -> str:
    """What git says, "" where it fails."""
    line = ["git", "-C", str(prefix), *arguments]
    return subprocess.run(line, pass_fds=alone.inherited(), capture_output=True, text=True, check=False).stdout.strip()


def clone(prefix: Path, remote: str, version: str, commit: str) -> None:
    """Fetch, check the commit, then check out: the steps of Homebrew's installer, which a second run takes up again.

    Raises:
        HomebrewError: git failed, or the tag names another commit.
    """
    for arguments in (
        ["init"],
        ["config", OURS, "true"],
        ["config", "remote.origin.url", remote],
        ["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"],
        # A branch that Homebrew gives up is not to stay here.
        ["config", "fetch.prune", "true"],
        # A user's own settings for line ends and links are not for Homebrew's files.
        ["config", "core.autocrlf", "false"],
        ["config", "core.symlinks", "true"],
    ):
        _git(prefix, *arguments)
    _fetch(prefix)
    found = _git(prefix, "rev-parse", f"refs/tags/{version}^{{commit}}").strip()
    if found != commit:
        raise HomebrewError(
            f"The tag {version} of {text.masked(remote)} names commit {found}. Needed: {commit} (homebrew_commit). "
            "Nothing of it was run. Either the mirror is not to be trusted, or homebrew_version was changed without "
            "homebrew_commit."
        )
    for name in (*FOLDERS, *ZSH_FOLDERS):
        folder = prefix / name
        folder.mkdir(exist_ok=True)
        os.chown(folder, -1, prefix.stat().st_gid)
        folder.chmod(USER_WRITABLE if name in ZSH_FOLDERS else GROUP_WRITABLE)
    # Left by a git that was killed; nobody else is at work here (role run_lock).
    index_lock = prefix / ".git" / "index.lock"
    if index_lock.exists():
        index_lock.unlink()
    _git(prefix, "checkout", "--force", "-B", "stable", version)


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
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    # A user's own hooks (core.hooksPath) are for the user's own repositories.
    line = ["git", "-C", str(prefix), "-c", "core.hooksPath=/dev/null", *arguments]
    done = subprocess.run(
        line, env=environment, pass_fds=alone.inherited(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise HomebrewError(
            f"`git {text.masked(' '.join(arguments))}` in {prefix} failed: {text.said(done.stderr)}\nIf the network is "
            "the cause, check it, or set homebrew_git_remote to a mirror; the next run goes on from here."
        )
    return done.stdout


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
