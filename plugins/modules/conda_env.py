#!/usr/bin/python
"""Module `conda_env`: make one conda environment be what it should be. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, environment, lab_record, regular
from ..module_utils.conda import Conda, CondaError, was_made_by
from ..module_utils.environment import RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PROVIDER = "conda"


class Environment(NamedTuple):
    """What a prefix holds.

    Attributes:
        records: package name to its conda-meta record.
        variables: what conda-meta/state sets.
    """

    records: dict[str, dict[str, Any]]
    variables: dict[str, str]

    def describe(self) -> str:
        """Packages and variables, one a line, for a diff."""
        packages = [f"{record['name']} {record['version']} {record['build']}" for record in self.records.values()]
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        return "".join(f"{line}\n" for line in sorted(packages) + sorted(variables))


def series(version: str) -> str:
    """Release series of a version of Python, for example 3.11."""
    return ".".join(version.split(".")[:2])


def read_environment(prefix: Path, ignored: Collection[Path] = ()) -> Environment | None:
    """Read a prefix, or return None where nothing is.

    For conda, an environment is where conda-meta/history is (conda/conda, conda/cli/install.py). A change that conda
    took back deletes that file and leaves the packages, so that their records say as much here.

    Args:
        prefix: the folder.
        ignored: records that are not to be looked at.

    Raises:
        CondaError: the prefix holds something else, or a file of it cannot be understood.
    """
    meta = prefix / "conda-meta"
    paths = sorted(meta.glob("*.json"))
    if not (paths or (meta / "history").is_file()):
        if prefix.is_dir() and not any(prefix.iterdir()):
            return None
        if os.path.lexists(prefix):
            raise CondaError(
                f"Found {prefix}, which is not a conda environment (it has no conda-meta/history). "
                "Needed: an unused place for the environment. Move it away, or set conda_env_prefix to another folder."
            )
        return None
    records = {}
    for path in paths:
        if path in ignored:
            continue
        record = read_json(path)
        records[record["name"]] = record
    return Environment(records, read_state(prefix).get("env_vars", {}))


def read_state(prefix: Path) -> dict[str, Any]:
    """What conda-meta/state holds; {} without one.

    Raises:
        CondaError: it is no JSON object.
    """
    state = prefix / "conda-meta" / "state"
    return read_json(state) if state.is_file() else {}


def read_history(prefix: Path) -> str | None:
    """What conda-meta/history holds; None where it is not there, or no text."""
    try:
        return regular.text(prefix / "conda-meta" / "history")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def clear(prefix: Path) -> None:
    """Empty a folder, whatever it holds, and take it away; of a link, its folder's content only."""
    for path in prefix.iterdir() if prefix.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if prefix.is_dir() and not prefix.is_symlink():
        prefix.rmdir()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CondaError: it is none; the message names the file.
    """
    try:
        data = json.loads(regular.text(path))
    except (OSError, ValueError) as error:
        raise CondaError(
            f"{path} cannot be read as JSON ({error}). The environment is damaged: mend the file, or "
            "remove the environment and run again."
        ) from error
    if not isinstance(data, dict):
        raise CondaError(f"{path} holds no JSON object. Mend the file, or remove the environment and run again.")
    return data


def record_identity(record: Mapping[str, Any]) -> str:
    """What tells one installed package from any other: where it came from, its file name, its digest."""
    return " ".join(
        str(record.get(key, "")) for key in ("channel", "subdir", "name", "version", "build", "fn", "sha256", "md5")
    )


class Journal:
    """What an environment had before conda was told to change it.

    It is there only meanwhile: whoever finds it knows that the change was cut off. conda unlinks all packages that go
    before it links the first that comes, and writes the records last.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._path = prefix / "etc" / "metal-lab" / "conda-change.json"

    def open(self, lost: Mapping[str, str]) -> None:
        """Note what is there, and what an earlier change took that is still to come back."""
        records = [record for record in map(read_json, self._records()) if self._is_whole(record)]
        whole = {record["name"]: record["version"] for record in records}
        kept = {"history": read_history(self._prefix), "packages": {**whole, **lost}}
        lab_record.replace(self._path, json.dumps(kept).encode())

    def close(self) -> None:
        """Note that there is nothing to come back."""
        self._path.unlink(missing_ok=True)

    def history(self) -> str:
        """conda's own record of what was asked for; empty if it is not known."""
        return self._read().get("history") or ""

    def packages(self) -> dict[str, str]:
        """The packages that were whole: version by name."""
        packages: dict[str, str] = self._read().get("packages", {})
        return packages

    def damaged(self) -> list[Path]:
        """Records that the change left half written, or whose package it left without some of its files."""
        packages, damaged = self.packages(), []
        for path in self._records() if packages else []:
            try:
                record = read_json(path)
            except CondaError:
                damaged.append(path)
                continue
            if record["name"] in packages and not self._is_whole(record):
                damaged.append(path)
        return damaged

    def _records(self) -> list[Path]:
        return sorted((self._prefix / "conda-meta").glob("*.json"))

    def _is_whole(self, record: Mapping[str, Any]) -> bool:
        return all(os.path.lexists(self._prefix / name) for name in record.get("files", []))

    def _read(self) -> dict[str, Any]:
        return read_json(self._path) if self._path.exists() else {}


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
        # A killed `conda create` leaves a folder that is neither empty nor an environment. This file tells it from
        # somebody else's folder, and where the former environment is.
        self.making = lab_record.being_made(self.prefix)
        self.old: dict[str, Any] = {}
        # Whole though its creation was cut off, and by another command than ours: it is not ours to take away.
        self.adopted = False
        self.aside: Path | None = None
        self.journal = Journal(self.prefix)
        self.lost: dict[str, str] = {}
        self.evidence = self.prefix / "etc" / "metal-lab" / "conda-specs.json"

    def make(self) -> None:
        """Create the environment, or make it right."""
        self._guard_base()
        self.old = environment.read(self.profile, PROVIDER, self.prefix)
        found = self._find()
        if found is not None:
            # A change that was cut off may have taken Python itself, which then comes back.
            there = found.records.get("python", {}).get("version", self.lost.get("python", ""))
            if series(there) != self.python:
                self._set_aside(series(there) or "no Python")
                found = None
        before = found.describe() if found else ""
        if found is None:
            self._create()
        else:
            self._amend(found)
        self._set_variables(found)
        if self.result["changed"]:
            now = None if self.module.check_mode else read_environment(self.prefix)
            after = now.describe() if now else self._expected(found)
            if after != before:
                self._add_diff(lab_record.part(f"conda environment {self.prefix}", before, after))
        python = self.prefix / "bin" / "python"
        if not self.module.check_mode and not os.access(python, os.X_OK):
            raise CondaError(
                f"The environment {self.prefix} says that it has Python, but {python} cannot be run. Move the "
                "environment away and run again."
            )
        record = self._record(created=found is None or (bool(self.old.get("created")) and not self.adopted))
        for part in environment.note(self.old, record, self._activation(), apply=not self.module.check_mode):
            self._add_diff(part)
        self.result["ansible_facts"] = environment.facts(PROVIDER, self.prefix)

    def _record(self, *, created: bool) -> dict[str, Any]:
        record = environment.with_ours(self.old, PROVIDER, self.prefix, self.module.params)
        return {**record, "conda": {"root": str(self.root), "init": self.module.params["init"]}, "created": created}

    def _activation(self) -> str:
        """Shell lines that put a POSIX shell, bash or zsh into the environment.

        etc/profile.d/conda.sh is what conda's own block in a shell file falls back to; it defines `conda` where that
        block has not run (conda/conda, conda/core/initialize.py and conda/shell/etc/profile.d/conda.sh).
        """
        hook = shlex.quote(str(self.root / "etc" / "profile.d" / "conda.sh"))
        prefix = shlex.quote(str(self.prefix))
        # The backslashes: users have aliases for the dot, and for conda (`alias conda=mamba`).
        return f"command -v __conda_activate >/dev/null 2>&1 || \\. {hook}\n\\conda activate {prefix}\n"

    def _guard_base(self) -> None:
        if self.prefix.resolve() == self.root.resolve():
            raise CondaError(
                f"{self.prefix} is conda's own base environment. Needed: an environment of its own, because "
                "a mistake in base takes conda with it. Set conda_env_prefix to a folder below its envs."
            )

    def _find(self) -> Environment | None:
        """What is there, once a creation that was cut off has been taken back."""
        aside, command = lab_record.being_made_says(self.prefix) if self.making.exists() else ("", "")
        if (self.prefix / "conda-meta" / "history").is_file():
            # A conda that outlives its run may end well.
            self.adopted = self.making.exists() and not was_made_by(command, self.prefix)
        elif self.making.exists():
            if aside:
                self._add_diff(lab_record.part(self.prefix, "half an environment\n", f"{aside}, put back\n"))
            if self.module.check_mode:
                return read_environment(Path(aside)) if aside else None
            self._take_back(aside)
        damaged = self.journal.damaged()
        found = read_environment(self.prefix, damaged)
        if found is not None:
            if read_history(self.prefix) is None:
                after = self.journal.history() or "(empty)\n"
                self._add_diff(lab_record.part(f"{self.prefix}/conda-meta/history", "", after))
                if not self.module.check_mode:
                    self._restore_history()
            there = {*found.records, *self.absent}
            self.lost = {name: one for name, one in self.journal.packages().items() if name not in there}
        if not self.module.check_mode:
            for path in damaged:
                path.unlink()
            self.making.unlink(missing_ok=True)
        return found

    def _take_back(self, aside: str) -> None:
        """Take away half an environment, and put the former one back."""
        clear(self.prefix)
        if aside:
            Path(aside).rename(self.prefix)
        self.making.unlink()

    def _restore_history(self) -> None:
        """Without a history that it can read, conda does nothing with an environment."""
        path = self.prefix / "conda-meta" / "history"
        if read_history(self.prefix) is None:
            if path.exists():
                path.rename(path.with_name("history.damaged"))
            lab_record.replace(path, self.journal.history().encode())

    def _set_aside(self, there: str) -> None:
        if not self.recreate:
            raise CondaError(
                f"Found the environment {self.prefix} with {there}. Needed: Python {self.python}. Nothing "
                "was changed. Set conda_env_recreate to true to keep it aside and make a new one, or set "
                "conda_env_prefix to another folder."
            )
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.aside = self.prefix.with_name(f"{self.prefix.name}.before-{stamp}")
        self.result["kept_aside"] = str(self.aside)

    def _create(self) -> None:
        self.result["changed"] = True
        if self.module.check_mode:
            return
        # The record comes first: what is cut off in the middle is known to be ours, also to who uninstalls.
        lab_record.write(self.profile, self._record(created=not self.aside or bool(self.old.get("created"))))
        self.making.parent.mkdir(parents=True, exist_ok=True)
        command = " ".join(self.conda.line("create", self.prefix, self.channels, self.specs))
        self.making.write_text(f"{self.aside or ''}\n{command}\n", encoding="utf-8")
        try:
            if self.aside:
                self.prefix.rename(self.aside)
            self.conda.change("create", self.prefix, self.channels, self.specs)
            self._confirm()
        except CondaError as error:
            self._take_back(str(self.aside or ""))
            if self.old:
                lab_record.write(self.profile, self.old)
            else:
                lab_record.path(self.profile).unlink()
                lab_record.prune(lab_record.data_folder())
            self.result["changed"] = False
            back = " The former environment is back in its place." if self.result.pop("kept_aside", "") else ""
            raise CondaError(f"{error}\nNothing of the new environment was left.{back}") from error
        self.making.unlink()

    def _amend(self, found: Environment) -> None:
        unwanted = [name for name in self.absent if name in found.records]
        missing = self._unsatisfied(found)
        if not (unwanted or missing or self.lost):
            if not self.module.check_mode:
                self.journal.close()
            return
        if self.module.check_mode:
            self.result["changed"] = True
            return
        self.journal.open(self.lost)
        try:
            if unwanted:
                self._change("remove", unwanted)
            # All specifications are named, so that the solver may not give one up for another.
            if missing or self.lost:
                self._install()
            self._confirm()
        except CondaError:
            self._restore_history()
            if not self.journal.damaged() and self._has(set(self.journal.packages())):
                self.journal.close()
            raise
        self.journal.close()

    def _has(self, names: set[str]) -> bool:
        found = read_environment(self.prefix)
        return found is not None and names <= found.records.keys()

    def _install(self) -> None:
        specs = [*self.specs, *(f"{name}={version}" for name, version in self.lost.items())]
        if self.lost:
            try:
                self.conda.removed("install", self.prefix, self.channels, specs)
            except CondaError:
                # The versions that were lost do not go with what is asked for now.
                specs = [*self.specs, *self.lost]
        self._change("install", specs)

    def _change(self, command: str, specs: list[str]) -> None:
        """Let conda change packages, where it takes none away that was not named.

        Raises:
            CondaError: it would, or it failed.
        """
        gone = self.conda.removed(command, self.prefix, self.channels, specs)
        unnamed = [name for name in gone if name not in self.absent]
        if unnamed:
            raise CondaError(
                f"Nothing was changed: `conda {command} {' '.join(specs)}` would also take away {', '.join(unnamed)}. "
                f"If that is meant, add {', '.join(unnamed)} to conda_env_absent_packages; else change what is asked "
                "for."
            )
        self.conda.change(command, self.prefix, self.channels, specs)
        self.result["changed"] = True

    def _confirm(self) -> None:
        """Look again after conda: its word is not taken for it.

        Raises:
            CondaError: something that was asked for is not there.
        """
        now = read_environment(self.prefix)
        missing = self.specs if now is None else self._unsatisfied(now)
        if missing:
            raise CondaError(f"conda reported success, but {self.prefix} does not satisfy {', '.join(missing)}.")

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
            kept = json.loads(regular.text(self.evidence))
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
            # The form that conda/core/prefix_data.py reads and writes; it keeps what it does not know.
            text = json.dumps({"version": 1, **read_state(self.prefix), "env_vars": after})
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
        return kept.describe() + "".join(f"{spec} (to be chosen by conda)\n" for spec in [*missing, *self.lost])

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
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    conda_env = CondaEnvironment(module)
    try:
        conda_env.make()
    except (CondaError, RefusedError, lab_record.RecordError) as error:
        module.fail_json(msg=str(error), **conda_env.result)
    except OSError as error:
        module.fail_json(
            msg=f"The environment {conda_env.prefix} cannot be changed: {error}. Needed: a folder that this user may "
            "write, and room on its disk.",
            **conda_env.result,
        )
    module.exit_json(**conda_env.result)


if __name__ == "__main__":
    main()
