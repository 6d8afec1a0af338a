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

from ..module_utils import alone, environment, lab_record, regular, uv_tool
from ..module_utils.environment import RefusedError

PROVIDER = "uv"


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
    record = environment.read(profile, PROVIDER, prefix)
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
        text = regular.text(prefix / "pyvenv.cfg")
    except OSError:
        return ""
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.MULTILINE)
    return found[1] if found else ""


def activation(prefix: Path) -> str:
    """Shell lines that put a POSIX shell, bash or zsh into the environment."""
    quoted = "'" + str(prefix).replace("'", "'\\''") + "'"
    return f"\\. {quoted}/bin/activate\n"


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
    with alone.working(module, changing=module.params["apply"]):
        _act(module)


def _act(module: AnsibleModule) -> None:
    options = module.params
    prefix = Path(options["prefix"])
    try:
        state = inspect(prefix, options["profile"], options["python"], options["recreate"])
    except (RefusedError, lab_record.RecordError) as error:
        module.fail_json(str(error))
    record = environment.with_ours(state.record, PROVIDER, prefix, options)
    parts = []
    if not state.usable:
        before = f"Python {state.python}\n" if state.python else ""
        parts.append(lab_record.part(f"environment at {prefix}", before, f"Python {options['python']}\n"))
        if options["apply"]:
            _create(module, prefix, state, record)
    parts += environment.note(state.record, record, activation(prefix), apply=options["apply"])
    facts = environment.facts(PROVIDER, prefix)
    module.exit_json(changed=bool(parts), create=not state.usable, diff=parts, ansible_facts=facts)


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


if __name__ == "__main__":
    main()
