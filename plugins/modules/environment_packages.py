#!/usr/bin/python
"""Module `environment_packages`: packages at their locked versions, and their sets' variables, in an environment.

Runs on the target's Python (3.8+).
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, distributions, lab_record, regular, text, uv_tool

JOURNAL = "metal-lab-transaction.json"
"""In the env while packages are being installed: their names. Whoever finds it knows the last run was cut off."""


@dataclass(frozen=True)
class Found:
    """A distribution of the env, and what is wrong with it."""

    distribution: distributions.Distribution
    findings: distributions.Findings


def site_packages(prefix: Path) -> Path:
    """The env's site-packages; there is exactly one Python in an env.

    conda-forge's Python also has lib/python3.1, a link to lib/python3.11 (conda-forge/python-feedstock,
    recipe/build_base.sh): the same folder under another name.
    """
    found = sorted({path.resolve() for path in (prefix / "lib").glob("python3*/site-packages")})
    if len(found) != 1:
        raise ValueError(f"{prefix} has {len(found)} folders lib/python3*/site-packages; needed is exactly one")
    return found[0]


def look(prefix: Path, names: set[str], content: bool) -> dict[str, list[Found]]:
    """Some packages by canonical name: each none, one, or, after an accident, several times.

    Args:
        prefix: the env's folder.
        names: canonical names of the packages that are looked for.
        content: whether their files are read too; otherwise tens of thousands of them take a fraction of a second.
    """
    site = site_packages(prefix)
    inspector = distributions.Inspector(prefix, site, content)
    found: dict[str, list[Found]] = {}
    for one in distributions.installed(site):
        if one.name in names:
            found.setdefault(one.name, []).append(Found(one, inspector.inspect(one)))
    return found


def pending(wanted: dict[str, str], found: dict[str, list[Found]], interrupted: set[str]) -> list[str]:
    """Names of the packages that are not there once, whole, at exactly their locked version, in name order."""
    return [
        name
        for name, version in sorted(wanted.items())
        if name in interrupted
        or [one.distribution.version for one in found.get(name, [])] != [version]
        or _is_damaged(found[name])
    ]


def clear(site: Path, found: list[Found]) -> None:
    """Take away what uv stumbles over, or what it would follow out of the env.

    Where RECORD cannot be gone by, uv either refuses, or leaves the dist-info folder standing. Where a link or a file
    stands in the place of a package's folder, it refuses half-way, after it has uninstalled what the link leads to.
    """
    for place in {place for one in found for place in _obstacles(site, one.findings.problems)}:
        place.unlink()
    for folder in (one.distribution.folder for one in found if one.findings.unrecorded):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink()


def _obstacles(site: Path, paths: Iterable[str]) -> Iterator[Path]:
    """What is no folder on the way to files in site-packages. The prefix's own folders are left as they are."""
    for parts in (PurePath(path).parts for path in paths):
        folders = [site.joinpath(*parts[:count]) for count in range(1, len(parts))]
        if ".." not in parts and parts[0] != "/":
            yield from [one for one in folders if one.is_symlink() or one.is_file()][:1]


class Journal:
    """Names whose installation was started and not finished."""

    def __init__(self, prefix: Path) -> None:
        self._path = prefix / JOURNAL
        self.names: set[str] = set(json.loads(regular.text(self._path))) if self._path.exists() else set()

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
            self._text = regular.text(self.path)
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
            "prefix": {"type": "path", "required": True},
            "packages": {"type": "dict", "required": True},
            "variables": {"type": "dict", "required": True},
            "apply": {"type": "bool", "required": True},
            "content": {"type": "bool", "required": True},
            "requirements": {"type": "str", "default": ""},
            "uv_lock": {"type": "str", "default": ""},
            "find_links": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    with alone.working(module, changing=module.params["apply"]):
        _act(module)


def _act(module: AnsibleModule) -> None:
    options = module.params
    prefix = Path(options["prefix"])
    wanted = {name: str(version) for name, version in options["packages"].items()}
    if not (prefix / "bin" / "python").exists():
        if not module.check_mode:
            module.fail_json(f"There is no environment at {prefix}. Run the role uv_env or conda_env first.")
        found: dict[str, list[Found]] = {}
        interrupted: set[str] = set()
    else:
        try:
            found = look(prefix, set(wanted), options["content"])
        except ValueError as error:
            module.fail_json(str(error))
        interrupted = Journal(prefix).names
    missing = pending(wanted, found, interrupted)
    diff = _diff(prefix, wanted, found, missing) if missing else []
    if options["apply"] and missing:
        _install(module, prefix, {name: wanted[name] for name in missing}, found)
    for name, values in options["variables"].items():
        # Each set's after those of the set before: in a conda environment they are in one file.
        variables = Variables(prefix, name)
        texts = {variable: str(value) for variable, value in values.items()}
        before, after = variables.before(texts), _shell_lines(texts)
        if before != after:
            diff.append(lab_record.part(str(variables.path), before, after))
            if options["apply"]:
                variables.write(texts)
    module.exit_json(changed=bool(diff), pending=missing, diff=diff)


def _diff(
    prefix: Path, wanted: dict[str, str], found: dict[str, list[Found]], missing: list[str]
) -> list[dict[str, str]]:
    old = "".join(f"{name}=={_said(one)}\n" for name in missing for one in found.get(name, []))
    new = "".join(f"{name}=={wanted[name]}\n" for name in missing)
    return [lab_record.part(f"packages in {prefix}", old, new)]


def _said(one: Found) -> str:
    """A version, with what is wrong with it as a comment."""
    lines = one.findings.lines()
    more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"{one.distribution.version}  # {lines[0]}{more}" if lines else f"{one.distribution.version}"


def _install(module: AnsibleModule, prefix: Path, missing: dict[str, str], found: dict[str, list[Found]]) -> None:
    """Have uv install the missing packages, read what it laid down, and have it fetch again what is not as recorded.

    uv takes an unpacked wheel from its cache as it is, with --reinstall-package too; and where it has linked files from
    there into an env, who writes into one of them writes into the cache.
    """
    uv = str(uv_tool.ensure(module, module.params["uv_lock"]))
    journal = Journal(prefix)
    # A whole one of another version is replaced without being asked for.
    again = [name for name in missing if name in found and (name in journal.names or _is_damaged(found[name]))]
    journal.open(list(missing))
    done = _run_uv(module, uv, prefix, found, again)
    found = look(prefix, set(missing), content=True)
    if altered := [name for name in missing if _is_damaged(found.get(name, []))]:
        _succeed(module, uv_tool.run([uv, "cache", "clean", *altered], ""))
        done = _run_uv(module, uv, prefix, found, altered)
        found = look(prefix, set(missing), content=True)
    if still := pending(missing, found, set()):
        there = "".join(f"{name}=={_said(one)}\n" for name in still for one in found.get(name, []))
        module.fail_json(
            "uv ended well, and these are still not whole at their locked version: "
            f"{', '.join(still)}. There is:\n{there}"
            "What uv fetches has its locked hash; if files are other than recorded, something on this machine alters "
            f"them: look at its disk, its memory, and what else writes there. uv said:\n{text.said(done.stderr)}"
        )
    journal.close(list(missing))


def _is_damaged(ones: list[Found]) -> bool:
    return any(one.findings.problems for one in ones)


def _run_uv(
    module: AnsibleModule, uv: str, prefix: Path, found: dict[str, list[Found]], again: list[str]
) -> subprocess.CompletedProcess[str]:
    """One uv transaction. The requirements hold exactly the missing packages, with their hashes."""
    options = module.params
    clear(site_packages(prefix), [one for ones in found.values() for one in ones])
    requirements = Path(module.tmpdir) / "requirements.txt"
    requirements.write_text(options["requirements"], encoding="utf-8")
    command = [uv, "pip", "install", "--python", str(prefix / "bin" / "python"), "--require-hashes", "--no-deps"]
    command += ["--only-binary", ":all:", "-r", str(requirements)]
    for name in again:
        command += ["--reinstall-package", name]
    return _succeed(module, uv_tool.run(command, options["find_links"]))


def _succeed(module: AnsibleModule, done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        module.fail_json(uv_tool.explain(done))
    return done


if __name__ == "__main__":
    main()
