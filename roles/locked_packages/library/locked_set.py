#!/usr/bin/python
"""Module `locked_set`: a set of packages at their locked versions, and its environment variables, in an env.

The action plugin of the same name calls it; DOCUMENTATION stands there. Runs on the target's Python (3.8+).
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils import lab_record, uv_tool
except ImportError:  # imported by a test, without Ansible's packaging
    import lab_record
    import uv_tool

JOURNAL = "metal-lab-transaction.json"
"""In the env while packages are being installed: their names. Whoever finds it knows the last run was cut off."""


def canonical(name: str) -> str:
    """A package's canonical name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site_packages(prefix: Path) -> Path:
    """The env's site-packages; there is exactly one Python in an env.

    conda-forge's Python also has lib/python3.1, a link to lib/python3.11 (conda-forge/python-feedstock,
    recipe/build_base.sh): the same folder under another name.
    """
    found = sorted({path.resolve() for path in (prefix / "lib").glob("python3*/site-packages")})
    if len(found) != 1:
        raise ValueError(f"{prefix} has {len(found)} folders lib/python3*/site-packages; needed is exactly one")
    return found[0]


def installed(site: Path, names: set[str]) -> dict[str, list[str]]:
    """Versions of some packages by canonical name: none, one, or, after an accident, several.

    A package of which a file is gone or has another size than its RECORD says counts as not installed.
    """
    versions: dict[str, list[str]] = {}
    for name, version, metadata in _described(site):
        if name in names and _is_whole(site, metadata):
            versions.setdefault(name, []).append(version)
    return versions


def damaged(site: Path, missing: list[str], found: dict[str, list[str]], interrupted: set[str]) -> list[str]:
    """Those of the missing packages that uv would take for installed, although they are not known to be whole.

    Only these are worth --reinstall-package, which fetches anew what the download cache holds (it implies
    --refresh-package).

    Args:
        site: the env's site-packages.
        missing: names from `pending`.
        found: from `installed`.
        interrupted: names in the journal.
    """
    described = {name for name, _, _ in _described(site)}
    return [name for name in missing if name in described and (name in interrupted or name not in found)]


def _described(site: Path) -> Iterator[tuple[str, str, Path]]:
    """Canonical name, version and folder of all metadata, whole or not."""
    for entry in os.scandir(site):
        if entry.name.endswith(".dist-info"):
            stem, _, version = entry.name[: -len(".dist-info")].rpartition("-")
            yield canonical(stem), version, Path(entry.path)


def _is_whole(site: Path, metadata: Path) -> bool:
    """Every file of a package's RECORD is there in its size; tens of thousands of them take a fraction of a second."""
    folder = str(site)
    try:
        with (metadata / "RECORD").open(encoding="utf-8", newline="") as record:
            for path, _, size in csv.reader(record):
                # Python compiles those anew whenever it likes.
                if not path.endswith(".pyc"):
                    found = os.stat(f"{folder}/{path}").st_size  # noqa: PTH116
                    if size and found != int(size):
                        return False
    except (OSError, ValueError):
        return False
    return True


def pending(wanted: dict[str, str], found: dict[str, list[str]], interrupted: set[str]) -> list[str]:
    """Names of the packages that are not there at exactly their locked version, in name order."""
    return [name for name, version in sorted(wanted.items()) if found.get(name) != [version] or name in interrupted]


class Journal:
    """Names whose installation was started and not finished."""

    def __init__(self, prefix: Path) -> None:
        self._path = prefix / JOURNAL
        self.names: set[str] = set(json.loads(self._path.read_text(encoding="utf-8"))) if self._path.exists() else set()

    def open(self, names: list[str]) -> None:
        """Note on the disk that these are about to be installed."""
        self._write(self.names | set(names))

    def close(self, names: list[str]) -> None:
        """Note that these are whole."""
        self._write(self.names - set(names))

    def _write(self, names: set[str]) -> None:
        self.names = names
        if not names:
            self._path.unlink(missing_ok=True)
            return
        lab_record.replace(self._path, json.dumps(sorted(names)).encode())


class Variables:
    """The set's environment variables, where the env's activation reads them.

    conda keeps all of an env's variables in conda-meta/state (conda/core/prefix_data.py, PREFIX_STATE_FILE); a uv
    env has one shell file per set, which the block in the user's shell file reads.
    """

    def __init__(self, prefix: Path, name: str) -> None:
        self._conda = (prefix / "conda-meta").is_dir()
        self.path = prefix / "conda-meta" / "state" if self._conda else prefix / "etc" / "metal-lab" / f"{name}.sh"
        try:
            self._text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self._text = ""

    def before(self, wanted: dict[str, str]) -> str:
        """What stands now, as far as it is ours to keep: for conda, only the variables that are wanted."""
        if not self._conda:
            return self._text
        stored = self._state().get("env_vars", {})
        return _shell_lines({name: stored[name] for name in wanted if name in stored})

    def _state(self) -> dict[str, dict[str, str]]:
        state: dict[str, dict[str, str]] = json.loads(self._text) if self._text else {}
        return state

    def write(self, wanted: dict[str, str]) -> None:
        """Store the variables; other variables of a conda env stay."""
        if self._conda:
            state = {"version": 1, **self._state()}
            state["env_vars"] = {**state.get("env_vars", {}), **wanted}  # type: ignore[dict-item]
            text = json.dumps(state)
        else:
            text = _shell_lines(wanted)
        if not text:
            self.path.unlink(missing_ok=True)
            return
        lab_record.replace(self.path, text.encode())


def _shell_lines(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={_quoted(value)}\n" for name, value in sorted(variables.items()))


def _quoted(value: str) -> str:
    quoted = shlex.quote(value)
    return quoted if quoted.startswith("'") else f"'{quoted}'"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "prefix": {"type": "path", "required": True},
            "packages": {"type": "dict", "required": True},
            "variables": {"type": "dict", "required": True},
            "apply": {"type": "bool", "required": True},
            "requirements": {"type": "str", "default": ""},
            "uv_lock": {"type": "str", "default": ""},
            "find_links": {"type": "str", "default": ""},
            "others": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    options = module.params
    prefix = Path(options["prefix"])
    others: dict[str, dict[str, dict[str, str]]] = options["others"]
    names = {*options["packages"], *(name for one in others.values() for name in one["packages"])}
    if not (prefix / "bin" / "python").exists():
        if not module.check_mode:
            module.fail_json(f"There is no environment at {prefix}. Run the role uv_env or conda_env first.")
        found: dict[str, list[str]] = {}
        journal_names: set[str] = set()
    else:
        try:
            found = installed(site_packages(prefix), names)
        except ValueError as error:
            module.fail_json(str(error))
        journal_names = Journal(prefix).names
    wanted = {name: str(version) for name, version in options["packages"].items()}
    missing = pending(wanted, found, journal_names)
    variables = Variables(prefix, options["name"])
    wanted_variables = {name: str(value) for name, value in options["variables"].items()}
    before, after = variables.before(wanted_variables), _shell_lines(wanted_variables)
    result = {
        "changed": bool(missing) or before != after,
        "pending": missing,
        "as_locked": [name for name, one in others.items() if _is_as_locked(prefix, name, one, found, journal_names)],
        "diff": _diff(prefix, wanted, found, missing, str(variables.path), before, after),
    }
    if options["apply"]:
        if missing:
            _install(module, prefix, missing, damaged(site_packages(prefix), missing, found, journal_names))
        if before != after:
            variables.write(wanted_variables)
    module.exit_json(**result)


def _is_as_locked(
    prefix: Path, name: str, wanted: dict[str, dict[str, str]], found: dict[str, list[str]], interrupted: set[str]
) -> bool:
    """Whether nothing is to be done for a set: its packages at their versions, its variables as they should be."""
    variables = Variables(prefix, name)
    as_stored = variables.before(wanted["variables"]) == _shell_lines(wanted["variables"])
    return as_stored and not pending(wanted["packages"], found, interrupted)


def _diff(
    prefix: Path,
    wanted: dict[str, str],
    found: dict[str, list[str]],
    missing: list[str],
    variables_path: str,
    before: str,
    after: str,
) -> list[dict[str, str]]:
    parts = []
    if missing:
        old = "".join(f"{name}=={version}\n" for name in missing for version in found.get(name, []))
        new = "".join(f"{name}=={wanted[name]}\n" for name in missing)
        parts.append(lab_record.part(f"packages in {prefix}", old, new))
    if before != after:
        parts.append(lab_record.part(variables_path, before, after))
    return parts


def _install(module: AnsibleModule, prefix: Path, missing: list[str], again: list[str]) -> None:
    """One uv transaction. The requirements hold exactly the missing packages, with their hashes."""
    options = module.params
    uv = uv_tool.ensure(module, options["uv_lock"])
    requirements = Path(module.tmpdir) / "requirements.txt"
    requirements.write_text(options["requirements"], encoding="utf-8")
    journal = Journal(prefix)
    command = [str(uv), "pip", "install", "--python", str(prefix / "bin" / "python"), "--require-hashes", "--no-deps"]
    command += ["--only-binary", ":all:", "-r", str(requirements)]
    for name in again:
        command += ["--reinstall-package", name]
    journal.open(missing)
    done = uv_tool.run(command, options["find_links"])
    if done.returncode != 0:
        module.fail_json(f"{options['name']}: {uv_tool.explain(done)}")
    wanted = {name: str(options["packages"][name]) for name in missing}
    still = pending(wanted, installed(site_packages(prefix), set(missing)), set())
    if still:
        module.fail_json(
            f"{options['name']}: uv ended well, and these are still not at their locked version: {', '.join(still)}. "
            f"uv said:\n{done.stderr.strip()}"
        )
    journal.close(missing)


if __name__ == "__main__":
    main()
