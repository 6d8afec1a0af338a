#!/usr/bin/python
"""Module `conda_installation`: find conda, starting nothing. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import regular, terminal
from ..module_utils.lab_record import being_made


class CondaFoundError(Exception):
    """What stands in the way: what was found, what is needed, what to do."""


def is_conda(place: Path) -> bool:
    """Whether a folder is the root of a whole conda installation."""
    return (
        os.access(place / "bin" / "conda", os.X_OK)
        and (place / "conda-meta").is_dir()
        and not being_made(place).exists()
    )


def find(places: list[Path], prefix: Path, subdir: str) -> Path | None:
    """The first conda for this platform, or None where the prefix is free for one.

    One for another platform is passed over: who comes from an Intel Mac often still has it.

    Raises:
        CondaFoundError: the prefix holds something else, or such a conda.
    """
    for place in places:
        if is_conda(place) and platform_of(place) in {subdir, ""}:
            return place
    if is_conda(prefix):
        raise CondaFoundError(
            f"Found conda in {prefix}, made for {platform_of(prefix)}. Needed: {subdir}; under Rosetta it would bring "
            f"packages for Intel. Move it away (its environments are in {prefix}/envs), or set miniforge_prefix to an "
            "unused folder."
        )
    if prefix.exists() and not being_made(prefix).exists() and (not prefix.is_dir() or any(prefix.iterdir())):
        raise CondaFoundError(
            f"Found {prefix}, which holds files and no conda. Needed: an unused place, since nothing is "
            "overwritten. Move it away, or set miniforge_prefix to another folder."
        )
    return None


def platform_of(root: Path) -> str:
    """The platform of conda's own packages; noarch ones say nothing. Empty if none says."""
    for path in sorted((root / "conda-meta").glob("*.json")):
        try:
            subdir = json.loads(regular.content(path)).get("subdir", "noarch")
        except (OSError, ValueError, AttributeError):
            continue  # A damaged record says nothing either.
        if subdir != "noarch":
            return str(subdir)
    return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "prefix": {"type": "path", "required": True},
            "places": {"type": "list", "elements": "path", "required": True},
            "subdir": {"type": "str", "required": True},
            "shell": {"type": "str", "required": True},
            "zdotdir": {"type": "str", "required": True},
            "init": {"type": "bool", "required": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    prefix = Path(options["prefix"])
    try:
        found = find([Path(place) for place in options["places"]], prefix, options["subdir"])
    except CondaFoundError as error:
        module.fail_json(msg=str(error))
    root = found or prefix
    result: dict[str, Any] = {"changed": False, "present": found is not None, "root": str(root)}
    result["initialised"] = terminal.knows_conda(str(root), options["shell"], Path.home(), options["zdotdir"])
    module.exit_json(ansible_facts={"metal_lab_conda": {"root": str(root), "init": options["init"]}}, **result)


if __name__ == "__main__":
    main()
