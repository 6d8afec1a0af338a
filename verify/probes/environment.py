"""The probe for the environment itself: the machine, the Python, the packages' files, variables, the shell.

Standard library only: it must tell what is wrong with an environment in which even numpy is broken.
"""

from __future__ import annotations

import json
import os
import platform
import pwd
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from . import distributions, state
from .reporting import Stage

MAX_PROBLEMS = 5
"""Named for each package."""
SHELL_TIMEOUT_S = 20


def stages(parameters: dict[str, Any]) -> list[tuple[str, Stage]]:
    """List the stages of this probe.

    Args:
        parameters: prefix (of the environment); packages (names, canonical, whose files are checked); content
            (whether the files are read and compared with their hashes); provider, and sets (whose stored variables
            are read); state (whether to look at the machine's state); shell (whether to ask a new shell what it
            finds); conda (the folder whose `conda init` is looked for, or "").
    """
    found: list[tuple[str, Stage]] = [
        ("python", lambda: python(parameters["prefix"])),
        ("machine", machine),
        ("packages", lambda: packages(parameters["packages"], parameters["content"])),
        ("variables", lambda: variables(Path(parameters["prefix"]), parameters["provider"], parameters["sets"])),
    ]
    if parameters["shell"]:
        found.append(("shell", lambda: shell(parameters["prefix"], parameters["provider"], parameters["conda"])))
    if parameters["state"]:
        found.append(("state", state.state))
    return found


def machine() -> dict[str, Any]:
    """Facts about the machine: system, machine, os_version, cpu, cores, memory_bytes, translated (by Rosetta)."""
    darwin = platform.system() == "Darwin"
    if darwin:
        cpu, os_version = _sysctl("machdep.cpu.brand_string"), platform.mac_ver()[0]
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


def packages(names: list[str], content: bool) -> dict[str, Any]:
    """What is installed.

    Args:
        names: canonical names of the packages whose files are checked.
        content: whether the files are read and compared with their hashes.

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
        return {"stored": {"": values}}
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
    """Ask a new shell, as a new terminal window starts it, what it finds.

    macOS' terminals start login shells, those of Linux plain interactive ones, and the two read different files.

    Args:
        prefix: of the environment.
        provider: uv or conda, which decide by which variable an active environment is known.
        conda: folder of the installation whose `conda init` is looked for, or "".

    Returns:
        shell: the user's login shell; error: why it did not answer, or ""; and what it said: python and brew, the
        commands of these names; active, the active environment's folder, and wanted, ours, links in both resolved;
        homebrew, HOMEBREW_PREFIX; conda, whether it is a command there; initialised, whether a start-up file has the
        block of `conda init`.
    """
    login_shell = pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    options = "-lic" if platform.system() == "Darwin" else "-ic"
    # What a login starts with: in this process' own environment the answer might come from an activated env.
    fresh = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "LANG", "TMPDIR") if name in os.environ}
    fresh.update(SHELL=login_shell, TERM="dumb", PATH="/usr/bin:/bin:/usr/sbin:/sbin")
    questions = {
        "python": "$(command -v python)",
        "brew": "$(command -v brew)",
        "conda": "$(command -v conda)",
        "active": "${CONDA_PREFIX-}" if provider == "conda" else "${VIRTUAL_ENV-}",
        "homebrew": "${HOMEBREW_PREFIX-}",
        "startup": "${ZDOTDIR-}",
    }
    line = "; ".join('printf "metal-lab-' + key + ':%s\\n" "' + value + '"' for key, value in questions.items())
    command = [login_shell, options, line]
    try:
        done = subprocess.run(
            command,
            env=fresh,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SHELL_TIMEOUT_S,
            check=False,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"shell": login_shell, "error": str(error)}
    answers = re.findall(r"^metal-lab-([a-z]+):(.*)$", done.stdout, re.MULTILINE)
    if [key for key, _ in answers] != list(questions):
        seen = ("exit code " + str(done.returncode) + " " + done.stderr[-500:]).strip()
        return {"shell": login_shell, "error": "no answer: " + seen}
    said = dict(answers)
    return {
        **{key: said[key] for key in ("python", "brew", "homebrew")},
        "shell": login_shell,
        "error": "",
        "active": os.path.realpath(said["active"]) if said["active"] else "",
        "wanted": os.path.realpath(prefix),
        "conda": bool(said["conda"]),
        "initialised": bool(conda) and _initialised(Path(login_shell).name, said["startup"], conda),
    }


def _initialised(shell_name: str, zdotdir: str, conda: str) -> bool:
    """Whether a start-up file has the block that `conda init` writes (conda/conda, conda/core/initialize.py)."""
    home = Path.home()
    folder = Path(zdotdir or home)
    files = {
        "zsh": [folder / ".zshrc", folder / ".zprofile", folder / ".zlogin"],
        "bash": [home / ".bash_profile", home / ".bashrc"],
    }
    for path in files.get(shell_name, []):
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        block = text.partition("# >>> conda initialize >>>")[2].partition("# <<< conda initialize <<<")[0]
        if "'" + conda + "/bin/conda'" in block or '"' + conda + '/bin/conda"' in block:
            return True
    return False


def _sysctl(key: str) -> str:
    done = subprocess.run(["/usr/sbin/sysctl", "-in", key], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _linux_cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()
