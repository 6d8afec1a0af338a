#!/usr/bin/python
"""Module `conda_env`: make one conda environment be what it should be. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import environment, lab_record
from ..module_utils.environment import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Prints, for each specification, the names of the installed packages that satisfy it. MatchSpec is what conda
# itself decides with, and its `match` takes a mapping too (conda/conda, conda/models/match_spec.py).
MATCHER = """
import json, sys
from conda.models.match_spec import MatchSpec
asked = json.load(sys.stdin)
json.dump({spec: [one["name"] for one in asked["records"] if MatchSpec(spec).match(one)]
           for spec in asked["specs"]}, sys.stdout)
"""

PROVIDER = "conda"

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


class CondaEnvError(Exception):
    """What stands in the way, as a message for the user: what was found, what is needed, what to do."""


class Environment(NamedTuple):
    """What a prefix holds.

    Attributes:
        records: package name to its conda-meta record.
        variables: what conda-meta/state sets.
    """

    records: dict[str, dict[str, Any]]
    variables: dict[str, str]

    @property
    def python_series(self) -> str:
        """Release series of the environment's Python, for example 3.11; empty without Python."""
        version = str(self.records.get("python", {}).get("version", ""))
        return ".".join(version.split(".")[:2])

    def describe(self) -> str:
        """Packages and variables, one a line, for a diff."""
        packages = [f"{record['name']} {record['version']} {record['build']}" for record in self.records.values()]
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        return "".join(f"{line}\n" for line in sorted(packages) + sorted(variables))


def read_environment(prefix: Path) -> Environment | None:
    """Read a prefix, or return None where nothing is.

    An environment is where conda-meta/history is: conda/conda, conda/cli/install.py, tests this file.

    Raises:
        CondaEnvError: the prefix holds something else, or a file of it cannot be understood.
    """
    meta = prefix / "conda-meta"
    if not (meta / "history").is_file():
        if prefix.is_dir() and not any(prefix.iterdir()):
            return None
        if os.path.lexists(prefix):
            raise CondaEnvError(
                f"Found {prefix}, which is not a conda environment (it has no conda-meta/history). "
                "Needed: an unused place for the environment. Move it away, or set conda_env_prefix to another folder."
            )
        return None
    records = {}
    for path in sorted(meta.glob("*.json")):
        record = read_json(path)
        records[record["name"]] = record
    state = meta / "state"
    return Environment(records, read_json(state).get("env_vars", {}) if state.is_file() else {})


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CondaEnvError: it is none; the message names the file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CondaEnvError(
            f"{path} cannot be read as JSON ({error}). The environment is damaged: mend the file, or "
            "remove the environment and run again."
        ) from error
    if not isinstance(data, dict):
        raise CondaEnvError(f"{path} holds no JSON object. Mend the file, or remove the environment and run again.")
    return data


def record_identity(record: Mapping[str, Any]) -> str:
    """What tells one installed package from any other: where it came from, its file name, its digest."""
    return " ".join(
        str(record.get(key, "")) for key in ("channel", "subdir", "name", "version", "build", "fn", "sha256", "md5")
    )


class Conda:
    """The conda installation: its command and its own Python."""

    def __init__(self, module: AnsibleModule, root: Path) -> None:
        self._module = module
        self._root = root
        self.commands: list[list[str]] = []

    def matches(self, specs: list[str], records: list[dict[str, Any]]) -> dict[str, list[str]]:
        """Let conda's MatchSpec say which installed packages satisfy each specification.

        Raises:
            CondaEnvError: conda's Python cannot be started, or does not understand a specification.
        """
        asked = {
            "specs": specs,
            "records": [{key: one[key] for key in RECORD_FIELDS if key in one} for one in records],
        }
        code, out, err = self._run([str(self._root / "bin" / "python"), "-I", "-c", MATCHER], json.dumps(asked))
        if code != 0:
            last = (err.strip().splitlines() or ["no message"])[-1]
            raise CondaEnvError(
                f"conda does not understand one of {', '.join(specs)}: {last}. Mend conda_env_packages."
            )
        answer: dict[str, list[str]] = json.loads(out)
        return answer

    def change(self, command: str, prefix: Path, arguments: list[str]) -> None:
        """Run `conda create`, `install` or `remove` on the prefix.

        Raises:
            CondaEnvError: it failed; the message carries conda's own.
        """
        # --quiet keeps the progress bars, which are JSON objects of their own, out of the answer.
        line = [
            str(self._root / "bin" / "conda"),
            command,
            "--prefix",
            str(prefix),
            "--yes",
            "--json",
            "--quiet",
        ]
        self.commands.append(line + arguments)
        code, out, err = self._run(line + arguments)
        try:
            answer = json.loads(out)
        except ValueError:
            answer = {"message": (out + err).strip()}
        if code != 0 or not answer.get("success"):
            said = told(answer) or err.strip() or f"exit code {code}"
            raise CondaEnvError(
                f"conda {command} failed: {said}\nRun it by hand for the whole story: "
                f"{shlex.join(line + arguments)}\n{way_out(said)}"
            )

    def _run(self, line: list[str], data: str | None = None) -> tuple[int, str, str]:
        if not os.access(line[0], os.X_OK):
            raise CondaEnvError(f"{line[0]} is not there. Needed: a conda installation; run the role miniforge.")
        code, out, err = self._module.run_command(line, data=data)
        return code, out, err


def told(answer: Mapping[str, Any]) -> str:
    """What conda's JSON answer says went wrong, "" if it does not say it.

    What fails while packages are fetched comes as a list without a message of its own (conda/conda, conda/__init__.py,
    CondaMultiError.dump_map).
    """
    errors = answer.get("errors") or []
    parts = [told(one) if isinstance(one, dict) else one for one in errors]
    parts = parts or [answer.get("message") or answer.get("error") or ""]
    return "\n".join(part.strip() for part in map(str, parts) if part.strip())


def way_out(said: str) -> str:
    """What to do about it."""
    # conda/conda, conda/exceptions.py, ChecksumMismatchError.
    found = re.search(r"mismatch between the expected content and downloaded content\s+for url '([^']+)'", said)
    if found:
        file = found[1].rpartition("/")[2]
        return (
            f"{file} came altered, and was not installed. If a lab's cache has it wrong, throw it away there, then run "
            f"again: `ansible-playbook -i INVENTORY playbooks/cache.yml --tags purge -e purge={file}`. If a mirror "
            "altered it, repair the mirror."
        )
    return "If the channel cannot be reached, set conda_env_channels to a mirror."


class CondaEnvironment:
    """Compares an environment with what is wanted, and changes it."""

    def __init__(self, module: AnsibleModule) -> None:
        options = module.params
        self.module = module
        self.root = Path(options["conda_root"])
        self.prefix = Path(options["prefix"])
        self.python: str = options["python"]
        self.specs = [f"python={self.python}", *options["packages"]]
        self.absent: list[str] = options["absent_packages"]
        self.variables: dict[str, Any] = options["variables"]
        self.profile: str = options["profile"]
        self.recreate: bool = options["recreate"]
        self.channels = [
            "--override-channels",
            *(part for one in options["channels"] for part in ("-c", one)),
        ]
        self.conda = Conda(module, self.root)
        self.result: dict[str, Any] = {"changed": False, "commands": self.conda.commands}
        # A killed `conda create` leaves a folder that is neither empty nor an environment. This file, beside
        # it and there only meanwhile, tells it from somebody else's folder.
        self.making = self.prefix.with_name(f".{self.prefix.name}.being-made")
        self.evidence = self.prefix / "etc" / "metal-lab" / "conda-specs.json"

    def make(self) -> None:
        """Create the environment, or make it right."""
        self._guard_base()
        old = environment.read(self.profile, PROVIDER, self.prefix)
        found = self._find()
        if found is not None and found.python_series != self.python:
            self._set_aside(found)
            found = None
        before = found.describe() if found else ""
        if found is None:
            self._create()
        else:
            self._amend(found)
        self._set_variables(found)
        if self.result["changed"]:
            now = None if self.module.check_mode else read_environment(self.prefix)
            self._changed(before, now.describe() if now else self._expected(found))
        python = self.prefix / "bin" / "python"
        if not self.module.check_mode and not os.access(python, os.X_OK):
            raise CondaEnvError(
                f"The environment {self.prefix} says that it has Python, but {python} cannot be run. Move the "
                "environment away and run again."
            )
        record = environment.with_ours(old, PROVIDER, self.prefix, self.module.params)
        record["conda"] = {"root": str(self.root), "init": self.module.params["init"]}
        record["created"] = found is None or bool(old.get("created"))
        for part in environment.note(old, record, self._activation(), apply=not self.module.check_mode):
            self._add_diff(part)
        self.result["ansible_facts"] = environment.facts(PROVIDER, self.prefix)

    def _activation(self) -> str:
        """Shell lines that put a POSIX shell, bash or zsh into the environment.

        etc/profile.d/conda.sh is what conda's own block in a shell file falls back to; it defines `conda` where that
        block has not run (conda/conda, conda/core/initialize.py and conda/shell/etc/profile.d/conda.sh).
        """
        hook = shlex.quote(str(self.root / "etc" / "profile.d" / "conda.sh"))
        return (
            f"command -v __conda_activate >/dev/null 2>&1 || . {hook}\nconda activate {shlex.quote(str(self.prefix))}\n"
        )

    def _guard_base(self) -> None:
        if self.prefix.resolve() == self.root.resolve():
            raise CondaEnvError(
                f"{self.prefix} is conda's own base environment. Needed: an environment of its own, because "
                "a mistake in base takes conda with it. Set conda_env_prefix to a folder below its envs."
            )

    def _find(self) -> Environment | None:
        if self.making.exists():
            if not self.module.check_mode:
                shutil.rmtree(self.prefix, ignore_errors=True)
                self.making.unlink()
            return None
        return read_environment(self.prefix)

    def _set_aside(self, found: Environment) -> None:
        series = found.python_series or "no Python"
        if not self.recreate:
            raise CondaEnvError(
                f"Found the environment {self.prefix} with {series}. Needed: Python {self.python}. Nothing "
                "was changed. Set conda_env_recreate to true to keep it aside and make a new one, or set "
                "conda_env_prefix to another folder."
            )
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.prefix.with_name(f"{self.prefix.name}.before-{stamp}")
        self.result["kept_aside"] = str(aside)
        if not self.module.check_mode:
            self.prefix.rename(aside)

    def _create(self) -> None:
        self.result["changed"] = True
        if self.module.check_mode:
            return
        self.making.parent.mkdir(parents=True, exist_ok=True)
        self.making.touch()
        self.conda.change("create", self.prefix, [*self.channels, *self.specs])
        self._confirm()
        self.making.unlink()

    def _amend(self, found: Environment) -> None:
        unwanted = [name for name in self.absent if name in found.records]
        missing = self._unsatisfied(found)
        if not (unwanted or missing):
            return
        self.result["changed"] = True
        if self.module.check_mode:
            return
        if unwanted:
            self.conda.change("remove", self.prefix, unwanted)
        if missing:
            # All specifications are named, so that the solver may not give one up for another.
            self.conda.change("install", self.prefix, [*self.channels, *self.specs])
        self._confirm()

    def _confirm(self) -> None:
        """Look again after conda: its word is not taken for it.

        Raises:
            CondaEnvError: something that was asked for is not there.
        """
        now = read_environment(self.prefix)
        missing = self.specs if now is None else self._unsatisfied(now)
        if missing:
            raise CondaEnvError(f"conda reported success, but {self.prefix} does not satisfy {', '.join(missing)}.")

    def _unsatisfied(self, found: Environment) -> list[str]:
        """Specifications that no installed package satisfies; remembers the others."""
        identities = {record_identity(record): name for name, record in found.records.items()}
        remembered = self._read_evidence()
        known = {spec: remembered[spec] for spec in self.specs if remembered.get(spec) in identities}
        unknown = [spec for spec in self.specs if spec not in known]
        if unknown:
            answer = self.conda.matches(unknown, list(found.records.values()))
            known.update({spec: record_identity(found.records[names[0]]) for spec, names in answer.items() if names})
        if known != remembered and not self.module.check_mode:
            lab_record.replace(self.evidence, json.dumps(known).encode())
        return [spec for spec in self.specs if spec not in known]

    def _read_evidence(self) -> dict[str, str]:
        try:
            kept = json.loads(self.evidence.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # Only a memory: without it conda is asked again.
        return kept if isinstance(kept, dict) else {}

    def _set_variables(self, found: Environment | None) -> None:
        before = found.variables if found else {}
        after = self._variables_after(before)
        if after == before:
            return
        self.result["changed"] = True
        if not self.module.check_mode:
            # The form that conda/core/prefix_data.py reads and writes.
            text = json.dumps({"version": 1, "env_vars": after})
            lab_record.replace(self.prefix / "conda-meta" / "state", text.encode())

    def _variables_after(self, before: dict[str, str]) -> dict[str, str]:
        merged = {**before, **self.variables}
        return {name: str(value) for name, value in merged.items() if value is not None}

    def _expected(self, found: Environment | None) -> str:
        """For check mode: what would be there, with specifications for packages not chosen yet."""
        records = dict(found.records) if found else {}
        for name in self.absent:
            records.pop(name, None)
        kept = Environment(records, self._variables_after(found.variables if found else {}))
        missing = self.specs if found is None else self._unsatisfied(found)
        return kept.describe() + "".join(f"{spec} (to be chosen by conda)\n" for spec in missing)

    def _changed(self, before: str, after: str) -> None:
        self._add_diff(lab_record.part(f"conda environment {self.prefix}", before, after))

    def _add_diff(self, part: dict[str, str]) -> None:
        self.result["changed"] = True
        self.result.setdefault("diff", []).append(part)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "conda_root": {"type": "path", "required": True},
            "prefix": {"type": "path", "required": True},
            "python": {"type": "str", "required": True},
            "packages": {"type": "list", "elements": "str", "default": []},
            "absent_packages": {"type": "list", "elements": "str", "default": []},
            "channels": {"type": "list", "elements": "str", "default": ["conda-forge"]},
            "variables": {"type": "dict", "default": {}},
            "profile": {"type": "str", "required": True},
            "frameworks": {"type": "list", "elements": "str", "default": []},
            "init": {"type": "bool", "default": False},
            "homebrew": {"type": "dict", "default": {}},
            "recreate": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    conda_env = CondaEnvironment(module)
    try:
        conda_env.make()
    except (CondaEnvError, RefusedError, lab_record.RecordError) as error:
        module.fail_json(msg=str(error), **conda_env.result)
    module.exit_json(**conda_env.result)


if __name__ == "__main__":
    main()
