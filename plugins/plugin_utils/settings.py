"""What a host's inventory sets for roles, checked for all of them at once, before they run.

Each role's meta/argument_specs.yml says what it takes. Ansible would check each role by a task of its own, which over a
lab is a third of what a run costs that has nothing to do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ...verify.text import has_password, masked

ROLES = Path(__file__).resolve().parents[2] / "roles"
SHAPES = {"list": "a list", "dict": "a dictionary"}
SUCH_AS = {"list": '["..."]', "dict": '{"...": "..."}'}

KEPT_SECRET = ("self_converge_repository",)
"""Variables whose password is taken out of the address, and kept where nobody else reads it."""
WITHOUT = (
    "While a run works, everybody on the machine could read it among the arguments of processes. Needed: the address "
    "without it, and on the machine a file ~/.netrc that only its user reads, with `machine HOST login USER password "
    "PASSWORD`."
)


def exposed(environment: dict[str, str]) -> list[str]:
    """What of a target's environment gives a password away. A proxy's has no other place to stand in.

    Args:
        environment: variables by name.
    """
    return [
        f"target_environment or package_index: {name} has an address with a password in it. {WITHOUT}"
        for name, value in environment.items()
        if not name.upper().endswith("_PROXY") and has_password(str(value))
    ]


def problems(role: str, variables: dict[str, Any]) -> list[str]:
    """What is wrong with a role's variables; each begins with the role.

    Args:
        role: its name.
        variables: values by name; others than its own are not looked at.
    """
    options = specification(role)
    taken = {name: value for name, value in variables.items() if name in options}
    known = {
        name: {key: value for key, value in option.items() if key in ("type", "elements", "choices")}
        for name, option in options.items()
        if name in taken
    }
    # Ansible takes text for a list where it checks, and stumbles where the text is used. `-e NAME=VALUE` gives text.
    found = [
        f"{name} is the text {masked(value)!r}. Needed: {SHAPES[kind]}, as in -e '{{\"{name}\": {SUCH_AS[kind]}}}'"
        for name, value in taken.items()
        if isinstance(value, str) and (kind := options[name].get("type", "")) in SHAPES
    ]
    found += ArgumentSpecValidator(known).validate(taken).error_messages
    found += [
        f"{name} has an address with a password in it. {WITHOUT}"
        for name, value in taken.items()
        if name not in KEPT_SECRET and has_password(json.dumps(value, default=str))
    ]
    return [f"{role}: {one}" for one in found]


def specification(role: str) -> dict[str, dict[str, Any]]:
    """A role's public variables, each with type and default."""
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options: dict[str, dict[str, Any]] = yaml.load(text, Loader=yaml.CSafeLoader)["argument_specs"]["main"]["options"]
    return options


def refused(templar: Any, variables: dict[str, Any]) -> list[str]:
    """What a host's variables set for roles that those cannot take.

    Args:
        templar: fills in their templates.
        variables: the task's.
    """
    found = []
    for role in sorted(path.name for path in ROLES.iterdir()):
        if not any(name.startswith(f"{role}_") for name in variables):
            continue
        # A default is right by itself, and may speak of what is only known later.
        given = {
            name: templar.template(variables[name])
            for name, option in specification(role).items()
            if name in variables and variables[name] != option.get("default")
        }
        found += problems(role, given)
    return found
