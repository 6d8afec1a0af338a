#!/usr/bin/python
"""Module `uv_venv`: a virtual environment made by uv, and the record that says it is ours.

Runs on the target's Python (3.8+).
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import lab_record, uv_tool

PROVIDER = "uv"


class RefusedError(Exception):
    """The place for the environment is not free; the message says why and what to do."""


@dataclass(frozen=True)
class State:
    """What stands at the environment's place.

    Attributes:
        usable: an environment of the wanted Python is there and its Python can be started.
        python: minor version of the Python there, "" where there is none.
        record: the record as stored, {} where there is none.
    """

    usable: bool
    python: str
    record: dict[str, Any]


def inspect(prefix: Path, profile: str, python: str, recreate: bool) -> State:
    """Look at the place, read only.

    Raises:
        RefusedError: it belongs to somebody else, or holds another Python and `recreate` is false.
    """
    record = lab_record.read(profile)
    if record and (record["prefix"], record["provider"]) != (str(prefix), PROVIDER):
        raise RefusedError(
            f"The environment '{profile}' is already at {record['prefix']} (made by {record['provider']}); asked for "
            f"is {prefix} (made by {PROVIDER}). Set env_prefix and env_provider to those, or run "
            "playbooks/uninstall.yml first."
        )
    occupied = prefix.exists() and (not prefix.is_dir() or any(prefix.iterdir()))
    if occupied and not record:
        raise RefusedError(
            f"{prefix} holds files that metal-lab did not put there, and they stay untouched. Move them away, or set "
            "env_prefix to another folder."
        )
    found = _python_version(prefix)
    if found and found != python and not recreate:
        raise RefusedError(
            f"The environment at {prefix} has Python {found}; the profile '{profile}' needs {python}. Set "
            "uv_env_recreate to true: the old one is then kept beside it, and a new one is made."
        )
    return State(found == python and (prefix / "bin" / "python").exists(), found, record)


def _python_version(prefix: Path) -> str:
    """Minor version in pyvenv.cfg, as the venv module and uv write it."""
    try:
        text = (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.MULTILINE)
    return found[1] if found else ""


def activation(prefix: Path) -> str:
    """The first of the files in etc/metal-lab, which the block in the user's shell file reads in name order."""
    quoted = "'" + str(prefix).replace("'", "'\\''") + "'"
    return f". {quoted}/bin/activate\n"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "python": {"type": "str", "required": True},
            "profile": {"type": "str", "required": True},
            "frameworks": {"type": "list", "elements": "str", "required": True},
            "homebrew": {"type": "dict", "required": True},
            "recreate": {"type": "bool", "required": True},
            "apply": {"type": "bool", "required": True},
            "requirements": {"type": "str", "default": ""},
            "uv_lock": {"type": "str", "default": ""},
            "find_links": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    options = module.params
    prefix = Path(options["prefix"])
    try:
        state = inspect(prefix, options["profile"], options["python"], options["recreate"])
    except (RefusedError, lab_record.RecordError) as error:
        module.fail_json(str(error))
    record = {
        "schema": lab_record.SCHEMA,
        "profile": options["profile"],
        "provider": PROVIDER,
        "prefix": str(prefix),
        "frameworks": options["frameworks"],
        **({"homebrew": options["homebrew"]} if options["homebrew"] else {}),
    }
    # Other roles keep what they know in the record too.
    record = {**state.record, **record}
    start = prefix / "etc" / "metal-lab" / "00-env.sh"
    start_before = start.read_text(encoding="utf-8") if start.exists() else ""
    create = not state.usable
    changed = create or record != state.record or start_before != activation(prefix)
    if changed and options["apply"]:
        if create:
            _create(module, prefix, state, record)
        lab_record.write(options["profile"], record)
        lab_record.replace(start, activation(prefix).encode())
    module.exit_json(
        changed=changed,
        create=create,
        diff=_diff(prefix, state, create, record, start, start_before, options),
        ansible_facts={
            "metal_lab_env": {"provider": PROVIDER, "prefix": str(prefix), "python": str(prefix / "bin" / "python")}
        },
    )


def _create(module: AnsibleModule, prefix: Path, state: State, record: dict[str, Any]) -> None:
    options = module.params
    fetched = not uv_tool.path(options["uv_lock"]).exists()
    uv = str(uv_tool.ensure(module, options["uv_lock"]))
    _ask_index(module, uv, fetched)
    # The record comes first: an environment that is cut off in the middle is known to be ours.
    lab_record.write(options["profile"], record)
    if state.python and state.python != options["python"]:
        aside = prefix.with_name(f"{prefix.name}.python{state.python}-{time.strftime('%Y%m%dT%H%M%S')}")
        prefix.rename(aside)
    command = [uv, "venv", "--no-project", "--allow-existing", "--python", options["python"], "--prompt"]
    done = uv_tool.run([*command, options["profile"], str(prefix)], "")
    if done.returncode != 0:
        module.fail_json(
            f"Could not make an environment with Python {options['python']} at {prefix}. Where no such Python is "
            f"installed, uv fetches one; install one if it cannot. {uv_tool.explain(done)}"
        )


def _ask_index(module: AnsibleModule, uv: str, fetched: bool) -> None:
    """Have uv find every locked package in the index before anything is made, so that a refusal changes nothing."""
    options = module.params
    if not options["requirements"]:
        return
    with tempfile.TemporaryDirectory(dir=module.tmpdir) as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(options["requirements"], encoding="utf-8")
        command = [uv, "pip", "install", "--dry-run", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        command += ["--python-version", options["python"], "--target", str(Path(folder) / "target")]
        done = uv_tool.run([*command, "-r", str(requirements)], options["find_links"])
    if done.returncode != 0:
        if fetched:
            uv_tool.forget(options["uv_lock"])
        module.fail_json(f"Nothing was changed. {uv_tool.explain(done)}")


def _diff(
    prefix: Path,
    state: State,
    create: bool,
    record: dict[str, Any],
    start: Path,
    start_before: str,
    options: dict[str, Any],
) -> list[dict[str, str]]:
    parts = []
    if create:
        before = f"Python {state.python}\n" if state.python else ""
        parts.append(lab_record.part(f"environment at {prefix}", before, f"Python {options['python']}\n"))
    if record != state.record:
        place = lab_record.path(options["profile"])
        parts.append(lab_record.part(place, lab_record.text(state.record), lab_record.text(record)))
    if start_before != activation(prefix):
        parts.append(lab_record.part(start, start_before, activation(prefix)))
    return parts


if __name__ == "__main__":
    main()
