"""The pinned uv on the target: where it is, how it gets there, how it is run. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn, Protocol

from . import alone, text
from .lab_record import data_folder, prune

SETTINGS = {
    *("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "UV_DEFAULT_INDEX", "UV_FIND_LINKS"),
    *("UV_CACHE_DIR", "UV_LINK_MODE", "UV_HTTP_TIMEOUT", "UV_HTTP_RETRIES"),
    # By which the action `sources` leads to a lab's cache.
    *("PIP_DEFAULT_TIMEOUT", "PIP_TRUSTED_HOST", "UV_PYTHON_INSTALL_MIRROR"),
}
"""What counts of the settings of pip and uv: docs/labs.md. Neither another one nor a file of settings has an effect."""
_TOOLS = ("PIP_", "UV_", "PYTHON")


class Module(Protocol):
    """The part of AnsibleModule that is used here."""

    tmpdir: str

    def fail_json(self, msg: str, **details: object) -> NoReturn:
        """End the module with a message."""


def version(lock: str) -> str:
    """The version that the text of a one-package lock pins."""
    found = re.search(r"^uv==(\S+)", lock, re.MULTILINE)
    if found is None:
        raise ValueError("the uv lock names no version")
    return found[1]


def path(lock: str) -> Path:
    """Where the pinned uv belongs."""
    data: Path = data_folder()
    return data / "uv" / version(lock) / "bin" / "uv"


def ensure(module: Module, lock: str) -> Path:
    """Return the pinned uv; get it first where it is missing.

    It appears whole or not at all: it is made beside its place and moved there.

    Args:
        module: for its temporary folder and its failure.
        lock: requirements text with uv's version and hashes.
    """
    wanted = path(lock)
    if wanted.exists():
        return wanted
    home = wanted.parent.parent
    home.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))
    try:
        own = _beside_this_python(version(lock))
        if own is not None:
            (staging / "bin").mkdir()
            shutil.copy2(own, staging / "bin" / "uv")
        else:
            _fetch(module, lock, staging)
        staging.chmod(0o755)
        staging.rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return wanted


def _named() -> dict[str, str]:
    """The environment, with those settings of pip, uv and Python alone that the documentation names."""
    return {name: value for name, value in os.environ.items() if name in SETTINGS or not name.startswith(_TOOLS)}


def forget(lock: str) -> None:
    """Take the pinned uv away again, with the folders that are empty then."""
    home = path(lock).parent.parent
    shutil.rmtree(home, ignore_errors=True)
    prune(home.parent)


def run(arguments: list[str], find_links: str) -> subprocess.CompletedProcess[str]:
    """Run uv with captured output.

    Args:
        arguments: uv's path and arguments.
        find_links: wheels outside the index ("" for none); the machine's own setting comes first.
    """
    links = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") or find_links
    environment = {
        **_named(),
        "UV_NO_CONFIG": "1",
        # A Python that uv has to fetch stays in the project's folder, where uninstall finds it.
        "UV_PYTHON_INSTALL_DIR": str(data_folder() / "python"),
        "UV_NO_PROGRESS": "1",
    }
    if environment.get("UV_LINK_MODE") == "symlink":
        # An environment that is but links into the cache ends with the next `uv cache clean`.
        del environment["UV_LINK_MODE"]
    if links:
        environment["UV_FIND_LINKS"] = links
    return subprocess.run(
        arguments, env=environment, pass_fds=alone.inherited(), capture_output=True, text=True, check=False
    )


def explain(done: subprocess.CompletedProcess[str]) -> str:
    """What went wrong in a uv run, and what to do; ends with what uv said."""
    said = text.said(done.stderr)
    if found := re.search(r"Hash mismatch for `(\S+)`|Failed to extract archive: (\S+)", said):
        name = (found[1] or found[2]).replace("==", "-")
        cause = _altered(name, "nothing of this set was")
    elif re.search(r"HTTP status server error \(50[234]", said):
        cause = (
            "The package index, or the lab's cache before it, could not give a file; its address stands below. For a "
            "cache: is its link to the outside up, its clock right, room on its disk? Its logs/error.log says which."
        )
    elif re.search("connection closed before message completed|error decoding response body|unexpected EOF", said):
        cause = (
            "The package index, or the lab's cache before it, ended an answer in its middle. For a cache: does it run, "
            "is there room on its disk? Its logs/error.log says which. Then run again."
        )
    elif "No space left on device" in said:
        cause = "The disk is full. Free some space and run again: what is whole already stays."
    elif re.search(
        r"Failed to fetch|error sending request|dns error|Connection refused|timed out", said, re.IGNORECASE
    ):
        cause = (
            "The package index does not answer (uv tried several times; UV_HTTP_RETRIES sets how often). Check the "
            "network. Behind a mirror set package_index to its address, behind a proxy set HTTPS_PROXY in "
            "target_environment, then run again."
        )
    else:
        cause = "uv failed."
    return f"{cause}\nuv said (exit code {done.returncode}):\n{said}"


def _altered(name: str, what: str) -> str:
    return (
        f"For {name} the package index (or a mirror or cache before it) gave a file that is not the one that is "
        f"locked, so {what} installed. If the lock was edited, restore it. If a lab's cache has it wrong, throw it "
        f"away there, then run again: `ansible-playbook -i INVENTORY playbooks/cache.yml --tags purge -e purge={name}`."
        " If a mirror altered it, repair the mirror."
    )


def _beside_this_python(wanted: str) -> str | None:
    """On the controller itself the same uv is already in .venv, where its hash was checked."""
    beside = Path(sys.executable).parent / "uv"
    if not beside.exists():
        return None
    done = subprocess.run(
        [str(beside), "--version"], pass_fds=alone.inherited(), capture_output=True, text=True, check=False
    )
    return str(beside) if done.stdout.split()[1:2] == [wanted] else None


def _fetch(module: Module, lock: str, target: Path) -> None:
    requirements = Path(module.tmpdir) / "uv.txt"
    requirements.write_text(lock, encoding="utf-8")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), "-r", str(requirements)]
    # PIP_USER would contradict --target.
    environment = {**_named(), "PIP_CONFIG_FILE": os.devnull, "PIP_USER": "0"}
    done = subprocess.run(
        command, env=environment, pass_fds=alone.inherited(), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        module.fail_json(
            f"{sys.executable} has no pip, which fetches uv once. Install it (Debian: apt install python3-pip)."
        )
    # pip, src/pip/_internal/exceptions.py: HashMismatch.
    if "DO NOT MATCH THE HASHES" in done.stderr:
        cause = _altered(f"uv-{version(lock)}", "uv, which installs all others, was not")
    else:
        cause = (
            "Could not fetch uv. If the package index does not answer, check the network; behind a mirror set "
            "package_index to its address, behind a proxy set HTTPS_PROXY in target_environment, then run again."
        )
    module.fail_json(f"{cause}\npip said (exit code {done.returncode}):\n{text.said(done.stderr)}")
