"""The probe for the environment itself: the machine, the Python, the packages' files, variables, the shell.

Standard library only: it must tell what is wrong with an environment in which even numpy is broken.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import sysconfig
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from . import distributions, state, terminal
from .reporting import Stage

MAX_PROBLEMS = 5
"""Named for each package."""
_UNSET = "***unset***"
"""conda's word for a variable that is no longer set (CONDA_ENV_VARS_UNSET_VAR in conda/base/constants.py)."""


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe.

    Args:
        parameters: prefix (of the environment); packages (names, canonical, whose files are checked); content
            (whether the files are read and compared with their hashes); everywhere (whether a package counts wherever
            this Python finds it, and not in the environment's own folder alone); provider, and sets (whose stored
            variables are read); state (whether to look at the machine's state); terminal (the prefix of the environment
            that new terminals are to be in, or "" to ask none); conda (the folder whose `conda init` is looked for, or
            "").
    """
    found: list[tuple[str, Stage]] = [
        ("python", lambda: python(parameters["prefix"])),
        ("machine", machine),
        ("packages", lambda: packages(parameters["packages"], parameters["content"], parameters["everywhere"])),
        ("variables", lambda: variables(Path(parameters["prefix"]), parameters["provider"], parameters["sets"])),
    ]
    if parameters["terminal"]:
        found.append(("shell", lambda: shell(parameters["terminal"], parameters["provider"], parameters["conda"])))
    if parameters["state"]:
        found.append(("state", state.state))
    return found


def machine() -> dict[str, Any]:
    """Facts about the machine: system, machine, os_version, cpu, cores, memory_bytes, translated (by Rosetta)."""
    darwin = platform.system() == "Darwin"
    if darwin:
        cpu, os_version = _sysctl("machdep.cpu.brand_string"), _macos()
    else:
        cpu, os_version = _linux_cpu(), platform.release()
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "os_version": os_version,
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "translated": _translated(),
    }


def _translated() -> bool:
    # 1 in a process that Rosetta translates; the key does not exist on Intel.
    return platform.system() == "Darwin" and _sysctl("sysctl.proc_translated") == "1"


def python(prefix: str) -> dict[str, Any]:
    """Which Python this is: version, machine, translated (by Rosetta), and prefix and the wanted prefix, the links in
    both resolved."""
    return {
        "version": platform.python_version(),
        "machine": platform.machine(),
        "translated": _translated(),
        "prefix": os.path.realpath(sys.prefix),
        "wanted_prefix": os.path.realpath(prefix),
    }


def packages(names: list[str], content: bool, everywhere: bool = False) -> dict[str, Any]:
    """What is installed.

    Args:
        names: canonical names of the packages whose files are checked.
        content: whether the files are read and compared with their hashes.
        everywhere: whether a package is installed that this Python finds in another place.

    Returns:
        installed: canonical name to the versions of its dist-info folders; content: as asked; files: name to how many
        were compared; releases: name to the macOS releases that its wheel names, if any; problems: name to {count,
        altered, first}: how many, how many of them are seen only where files are read, and at most MAX_PROBLEMS of
        them in words.
    """
    site = Path(sysconfig.get_path("purelib"))
    inspector = distributions.Inspector(Path(sys.prefix), site, content)
    installed: dict[str, list[str]] = {}
    problems: dict[str, dict[str, Any]] = {}
    files: dict[str, int] = {}
    releases: dict[str, list[str]] = {}
    if everywhere:
        for other in metadata.distributions():
            # What pip did not finish taking away is no package: pip passes it over as well.
            if Path(str(getattr(other, "_path", ""))).name.startswith("~"):
                continue
            name = version = None
            # A damaged one has neither, or cannot be read.
            with suppress(Exception):
                name, version = other.metadata["Name"], other.metadata["Version"]
            if name and version:
                installed.setdefault(distributions.canonical(name), []).append(version)
        return {"installed": installed, "content": content, "files": files, "releases": releases, "problems": problems}
    for one in distributions.installed(site):
        installed.setdefault(one.name, []).append(one.version)
        if one.name not in names:
            continue
        if tags := distributions.macos_tags(one):
            releases[one.name] = tags
        found = inspector.inspect(one)
        files[one.name] = files.get(one.name, 0) + found.files
        if found.problems:
            noted = problems.setdefault(one.name, {"count": 0, "altered": 0, "first": []})
            noted["count"] += len(found.problems)
            noted["altered"] += found.altered
            noted["first"] = [*noted["first"], *found.lines()][:MAX_PROBLEMS]
    return {"installed": installed, "content": content, "files": files, "releases": releases, "problems": problems}


def variables(prefix: Path, provider: str, sets: list[str]) -> dict[str, Any]:
    """The environment variables that are stored with the environment, by package set.

    A conda environment keeps those of all sets together; they stand under the key "".
    """
    if provider == "conda":
        state = prefix / "conda-meta" / "state"
        values = json.loads(state.read_text(encoding="utf-8")).get("env_vars", {}) if state.exists() else {}
        # `conda env config vars unset` leaves that; a number in an environment.yml stays one.
        return {"stored": {"": {name: str(value) for name, value in values.items() if value != _UNSET}}}
    return {"stored": {name: _exports(prefix / "etc" / "metal-lab" / (name + ".sh")) for name in sets}}


def _exports(path: Path) -> dict[str, str]:
    """The variables that a file of lines `export NAME='value'` sets."""
    if not path.exists():
        return {}
    values = {}
    for words in (shlex.split(line, comments=True) for line in path.read_text(encoding="utf-8").splitlines()):
        for word in words[1:] if words[:1] == ["export"] else []:
            name, _, value = word.partition("=")
            values[name] = value
    return values


def shell(prefix: str, provider: str, conda: str) -> dict[str, Any]:
    """Ask a new terminal what it has.

    Args:
        prefix: of the environment that new terminals are to be in.
        provider: uv or conda, which decide by which variable an active environment is known.
        conda: folder of the installation whose `conda init` is looked for, or "".

    Returns:
        shell: the user's login shell; error: why it did not answer, or ""; and what it said: python, what runs by that
        name, and prefix, that Python's; brew, the command of that name; active, the active environment's folder, and
        wanted, ours, links in all of them resolved; homebrew, HOMEBREW_PREFIX; conda, whether it is a command there;
        initialised, whether a start-up file has the block of `conda init`, or lines of the user's own for this conda.
    """
    found = terminal.ask()
    if found.error:
        return {"shell": found.shell, "error": found.error}
    active = found.variables.get("CONDA_PREFIX" if provider == "conda" else "VIRTUAL_ENV", "")
    program = found.variables.get("CONDA_EXE", "") if found.conda else ""
    return {
        "shell": found.shell,
        "error": "",
        "python": found.python,
        "prefix": found.prefix,
        "brew": found.brew,
        "homebrew": found.variables.get("HOMEBREW_PREFIX", ""),
        "active": os.path.realpath(active) if active else "",
        "wanted": os.path.realpath(prefix),
        "conda": bool(found.conda),
        "initialised": bool(conda) and terminal.knows_conda(conda, found.kind, Path.home(), found.zdotdir, program),
    }


def _sysctl(key: str) -> str:
    return _told(["/usr/sbin/sysctl", "-in", key])


def _macos() -> str:
    """The version as sw_vers(1) has it: platform.mac_ver() may say 16.0 on macOS 26 (python/cpython#135675)."""
    return _told(["/usr/bin/sw_vers", "-productVersion"])


def _told(command: list[str]) -> str:
    """What a tool of macOS prints, the same whatever language and whichever numbering of releases somebody has set."""
    fresh = {**os.environ, "LC_ALL": "C", "SYSTEM_VERSION_COMPAT": "0"}
    return subprocess.run(command, env=fresh, capture_output=True, text=True, check=False).stdout.strip()


def _linux_cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()
