"""What simulated Macs download: Homebrew's repository and Miniforge's installer, both stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import yaml
from pack_installer import pack

STANDINS = Path(__file__).resolve().parent / "standins"


def pinned(role: str, variable: str) -> str:
    """What a role installs by default."""
    defaults = Path(__file__).resolve().parents[2] / "roles" / role / "defaults" / "main.yml"
    return str(yaml.safe_load(defaults.read_text(encoding="utf-8"))[variable])


RELEASE = pinned("homebrew", "homebrew_version")
_VERSION = pinned("miniforge", "miniforge_version")
MINIFORGE = f"{_VERSION}/Miniforge3-{_VERSION}-MacOSX-arm64.sh"


BREW = {
    "bin/brew": "brew",
    "Library/Homebrew/brew.py": "brew_standin.py",
    "Library/Homebrew/recorded.json": "brew_recorded.json",
}
"""Where the parts of brew's stand-in lie in Homebrew's repository."""


def make_served(folder: Path) -> tuple[str, str]:
    """Put the files to serve into `folder`/web.

    Returns:
        the installer's SHA-256, and the commit of Homebrew's release.
    """
    installer = folder / "web" / MINIFORGE
    installer.parent.mkdir(parents=True)
    return pack(installer), make_homebrew(folder / "brew", folder / "web" / "brew.git")


def make_homebrew(work: Path, bare: Path) -> str:
    """A repository with two releases of the stand-in, served as plain files; returns the newer one's commit."""
    environment = {
        **os.environ, "GIT_AUTHOR_NAME": "stand-in", "GIT_AUTHOR_EMAIL": "stand-in@localhost",
        "GIT_COMMITTER_NAME": "stand-in", "GIT_COMMITTER_EMAIL": "stand-in@localhost", "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_DATE": "2026-08-17T00:00:00Z", "GIT_COMMITTER_DATE": "2026-08-17T00:00:00Z",
    }  # fmt: skip

    def git(*arguments: str) -> str:
        line = ["git", "-C", str(work), *arguments]
        return subprocess.run(line, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    for place, name in BREW.items():
        (work / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(STANDINS / name, work / place)
    # What the installer has linked after the clone.
    for place in ("completions/bash/brew", "completions/zsh/_brew", "completions/fish/brew.fish", "manpages/brew.1"):
        (work / place).parent.mkdir(parents=True, exist_ok=True)
        (work / place).write_text("", encoding="utf-8")
    (work / "docs").mkdir()
    (work / "docs" / "FAQ.md").touch()
    git("init", "-q", "-b", "main")
    for tag in ("6.0.0", RELEASE):
        (work / "README.md").write_text(f"Stand-in for Homebrew {tag}\n", encoding="utf-8")
        git("add", "-A")
        git("commit", "-q", "-m", f"Stand-in for {tag}")
        git("tag", tag)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True, env=environment)
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True, env=environment)
    return git("rev-parse", f"{RELEASE}^{{commit}}")
