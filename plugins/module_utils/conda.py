"""conda as this project runs it: with none of the user's settings, and errors that say what to do. Target (3.8+)."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import alone, regular, text

# bin/conda, run by conda's own Python. conda has no option that leaves its configuration files unread, and what stands
# in them outlives every argument and variable: lists are merged, `key: value #!final` wins, broken YAML ends every
# command (conda/conda, conda/common/configuration.py). Where it looks for them is this one list.
LAUNCHER = """
import os, runpy, sys
for name in list(os.environ):
    if name.startswith(("CONDA", "_CONDA", "_CE_", "PYTHON")):
        del os.environ[name]
from conda.base import constants
constants.SEARCH_PATH = ()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# Prints, for each specification, the names of the installed packages that satisfy it. MatchSpec is what conda
# itself decides with, and its `match` takes a mapping too (conda/conda, conda/models/match_spec.py).
MATCHER = """
import json, sys
from conda.models.match_spec import MatchSpec
asked = json.load(sys.stdin)
json.dump({spec: [one["name"] for one in asked["records"] if MatchSpec(spec).match(one)]
           for spec in asked["specs"]}, sys.stdout)
"""

RECORD_FIELDS = (
    "name",
    "version",
    "build",
    "build_number",
    "channel",
    "subdir",
    "fn",
    "url",
    "md5",
    "sha256",
)
"""What MatchSpec may look at; the lists of files in a record are large and not sent."""

LONGEST = 4000
"""Characters of what conda says in no form that is known here: the last ones. A report of its own error has many."""

SETTINGS = "conda_env_packages, conda_env_extra_packages or conda_env_python"

ADVICE = (
    (
        # conda/conda, conda/exceptions.py, ChecksumMismatchError.
        r"mismatch between the expected content and downloaded content\s+for url '[^']*/(?P<file>[^/']+)'",
        "{file} came altered, and was not installed. If a lab's cache has it wrong, throw it away there, then run "
        "again: `ansible-playbook -i INVENTORY playbooks/cache.yml --tags purge -e purge={file}`. If a mirror "
        "altered it, repair the mirror.",
    ),
    (
        r"(?P<script>\S+) script failed for package (?P<package>\S+)",
        "The script that {package} brings for its installation failed; conda took back what it had changed. Mend what "
        "the script says, or take the package out of conda_env_extra_packages.",
    ),
    (
        r"Signal interrupt",
        "Something ended conda while it worked. What it left is put right by the next run: run again.",
    ),
    (
        r"No space left|NoSpaceLeft|Errno 28\b",
        "The disk is full. Make room (`conda clean --all` throws away what conda has fetched), then run again.",
    ),
    (
        r"UnavailableInvalidChannel|HTTP 404",
        "The server was reached, and has no such channel. Mend the name or the address in conda_env_channels.",
    ),
    (
        r"JSONDecodeError.*; got",
        "The channel's address answers with something that is no index of packages. Open it in a browser: a network "
        "may ask for a login first. Else mend the address in conda_env_channels.",
    ),
    (
        r"HTTP 40[137]\b",
        "The server was reached, and refuses. Mend the user name and the password in the address in conda_env_channels "
        "or, for a proxy, in HTTPS_PROXY in target_environment.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|CondaSSLError|SSLError",
        "The server's certificate is not trusted here. Where the network has a certificate of its own, set "
        "REQUESTS_CA_BUNDLE in target_environment to its file.",
    ),
    (
        r"CondaHTTPError|ConnectionError|ProxyError|ReadTimeout",
        "The channel could not be reached. Check the network; set conda_env_channels to a mirror or, behind a proxy, "
        "HTTPS_PROXY in target_environment. conda's own configuration files are not read.",
    ),
    (
        r"PackagesNotFound\w*|ResolvePackageNotFound",
        "The channels were reached. Mend the name or the version in " + SETTINGS + ", or add a channel that has it to "
        "conda_env_channels.",
    ),
    (
        r"SpecsConfigurationConflictError",
        "What is asked for contradicts conda-meta/pinned in the environment. Change it there, or change "
        + SETTINGS
        + ".",
    ),
    (
        r"UnsatisfiableError",
        "Asked for was: {specs}. No set of packages is all of that, together with conda-meta/pinned in the environment "
        "if it is there. Change one of them, in " + SETTINGS + ".",
    ),
    (
        r"EnvironmentIsFrozenError",
        "Somebody has frozen the environment. Delete its conda-meta/frozen if it may be changed, or set "
        "conda_env_prefix to another folder.",
    ),
    (
        r"NotWritable|Unable to create prefix directory|NoWritable|Errno 13\b",
        "This user may not write there. Set conda_env_prefix, or miniforge_prefix, to a folder of the user's own, or "
        "give the folder to this user.",
    ),
    (
        r"CorruptedEnvironmentError",
        "A package's record is damaged. Delete the file that is named, then run again.",
    ),
    (r"Invalid(Match|Version)?Spec", "Mend the specification in " + SETTINGS + "."),
)
"""What conda says, by class and words (conda/conda, conda/exceptions.py), and what to do about it."""


HINTS = re.compile(r"^(?:To search for alternate channels|You will need to adjust your conda configuration)", re.M)
"""What conda itself advises, which leads astray here: to other channels, and to a configuration that is not read."""


class CondaError(Exception):
    """What stands in the way, as a message for the user: what was found, what is needed, what to do."""


def was_made_by(command: str, prefix: Path) -> bool:
    """Whether a command made the environment: conda's history has it first (conda/conda, history.py)."""
    history = regular.text(prefix / "conda-meta" / "history", "replace")
    return bool(command) and re.findall(r"^# cmd: (.*)$", history, re.MULTILINE)[:1] == [command]


class Conda:
    """A conda installation: its command and its own Python."""

    def __init__(self, module: AnsibleModule, root: Path) -> None:
        self._module = module
        self._root = root
        self.commands: list[list[str]] = []

    def matches(self, specs: list[str], records: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Let conda's MatchSpec say which installed packages satisfy each specification.

        Raises:
            CondaError: conda's Python cannot be started, or does not understand a specification.
        """
        asked = {
            "specs": specs,
            "records": [{key: one[key] for key in RECORD_FIELDS if key in one} for one in records],
        }
        code, out, err = self._run(MATCHER, [], json.dumps(asked))
        if code != 0:
            last = (err.strip().splitlines() or ["no message"])[-1]
            raise CondaError(
                f"conda does not understand one of {', '.join(specs)}: {text.said(last)}. Mend conda_env_packages."
            )
        answer: dict[str, list[str]] = json.loads(out)
        return answer

    def removed(self, command: str, prefix: Path, channels: list[str], specs: list[str]) -> list[str]:
        """Names of the packages that a change would take away for good; nothing is changed.

        Raises:
            CondaError: there is no such change.
        """
        actions = self.change(command, prefix, ["--dry-run", *channels], specs).get("actions", {})
        gone, come = ({one["name"] for one in actions.get(kind, [])} for kind in ("UNLINK", "LINK"))
        return sorted(gone - come)

    def line(self, command: str, prefix: Path, options: list[str], specs: list[str]) -> list[str]:
        """The command that `change` runs."""
        # --quiet keeps the progress bars, which are JSON objects of their own, out of the answer.
        line = [str(self._root / "bin" / "conda"), command, "--prefix", str(prefix), "--yes", "--json", "--quiet"]
        return [*line, *options, *specs]

    def change(self, command: str, prefix: Path, options: list[str], specs: list[str]) -> dict[str, Any]:
        """Run `conda create`, `install` or `remove` on the prefix; returns its answer.

        Raises:
            CondaError: it failed; the message carries conda's own.
        """
        line = self.line(command, prefix, options, specs)
        self.commands.append(line)
        code, out, err = self._run(LAUNCHER, line)
        try:
            answer: dict[str, Any] = json.loads(out)
        except ValueError:
            answer = {}
        if code == 0 and answer.get("success"):
            return answer
        said = "\n".join(told(answer)) or from_traceback(err) or f"{out}{err}".strip()[-LONGEST:] or f"exit code {code}"
        raise CondaError(
            f"conda {command} failed: {text.said(said)}\n{way_out(said, specs)}\n"
            f"Run it by hand for the whole story: {text.masked(shlex.join(line))}"
        )

    def _run(self, program: str, arguments: list[str], data: str | None = None) -> tuple[int, str, str]:
        for name in ("conda", "python"):
            path = self._root / "bin" / name
            if not os.access(path, os.X_OK):
                raise CondaError(f"{path} is not there. Needed: a conda installation; run the role miniforge.")
        code, out, err = self._module.run_command(
            [str(path), "-I", "-c", program, *arguments], data=data, pass_fds=alone.inherited()
        )
        return code, out, err


def told(answer: Mapping[str, Any]) -> Iterator[str]:
    """What conda's JSON answer says went wrong, class first; nothing if it does not say it.

    What fails while packages are fetched comes as a list without a message of its own, with one of each attempt
    (conda/conda, conda/__init__.py, CondaMultiError.dump_map).
    """
    errors = [one if isinstance(one, dict) else {"error": one} for one in answer.get("errors") or []]
    if errors:
        yield from dict.fromkeys(line for one in errors for line in told(one))
        return
    name, said = answer.get("exception_name"), str(answer.get("message") or answer.get("error") or "")
    said = HINTS.split(said)[0].strip()
    if said:
        yield said if not name or said.startswith(name) else f"{name}: {said}"


def from_traceback(err: str) -> str:
    """What went wrong where conda fails while it writes its answer: an error's last lines, in the first traceback.

    A transaction that was rolled back ends so, and a version that conda cannot parse (AttributeError and TypeError in
    conda/__init__.py, dump_map).
    """
    found = re.search(r"^conda\S*\.(CondaMultiError|InvalidMatchSpec): (.*?)(?:\n\(\)\n|\n\n|\Z)", err, re.M | re.S)
    if found is None:
        return ""
    return found[2].strip() if found[1] == "CondaMultiError" else f"{found[1]}: {found[2].strip()}"


def way_out(said: str, specs: list[str]) -> str:
    """What to do about what conda said. What is not known is blamed on nothing."""
    for pattern, advice in ADVICE:
        found = re.search(pattern, said)
        if found:
            return advice.format(specs=", ".join(specs), **found.groupdict())
    return "Nothing is known here of such a failure."
