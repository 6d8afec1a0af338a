"""Every role's interface is described once and the same everywhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.metal_lab.macs.verify import ROOT

ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/tasks/main.yml"))
WIDEST = 80
"""Characters of a default that a table shows."""


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def as_markdown(text: str) -> str:
    """Ansible's markup C(x) as Markdown, fit for a table's cell."""
    return re.sub(r"C\(([^)]*)\)", r"`\1`", " ".join(text.split())).replace("|", r"\|")


def as_type(option: dict[str, Any]) -> str:
    """A variable's type, with what its values may be."""
    elements = f" of `{option['elements']}`" if "elements" in option else ""
    choices = ": " + ", ".join(f"`{as_value(one)}`" for one in option["choices"]) if "choices" in option else ""
    return f"`{option['type']}`{elements}{choices}"


def as_default(value: Any) -> str:
    """A default as a table's cell; one that would be too wide there is a link to it."""
    text = as_value(value)
    return f"`{as_markdown(text)}`" if len(text) <= WIDEST else "[too long for here](defaults/main.yml)"


def as_value(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) and value else json.dumps(value)


def table(options: dict[str, dict[str, Any]]) -> str:
    """The table of variables that a role's README is to have."""
    rows = [
        f"| `{name}` | {as_type(one)} | {as_default(one['default'])} | {as_markdown(one['description'])} |"
        for name, one in options.items()
    ]
    return "\n".join(["| variable | type | default | meaning |", "|---|---|---|---|", *rows])


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_specs_and_readme_name_the_same_variables(role: Path) -> None:
    defaults = document(role / "defaults" / "main.yml")
    options = document(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
    readme, wanted = role / "README.md", table(options)
    found = f"\n\n{wanted}\n\n" in readme.read_text(encoding="utf-8") + "\n"
    assert found, f"{readme} needs this table, between empty lines:\n\n{wanted}\n"


def test_homebrews_readme_is_about_the_release_that_is_pinned() -> None:
    version = document(ROOT / "roles" / "homebrew" / "defaults" / "main.yml")["homebrew_version"]
    readme = (ROOT / "roles" / "homebrew" / "README.md").read_text(encoding="utf-8")
    assert f"## Which release\n{version}, of " in readme
    assert f"`HOMEBREW_VERSION: {version}`" in readme


def test_who_wants_no_homebrew_ends_its_role_before_anything_of_it_is_done() -> None:
    first = document(ROOT / "roles" / "homebrew" / "tasks" / "main.yml")[0]
    assert (first["ansible.builtin.meta"], first["when"]) == ("end_role", "not homebrew_enabled | bool")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_roles_variables_carry_its_name(role: Path) -> None:
    assert all(name.startswith(f"{role.name}_") for name in document(role / "defaults" / "main.yml") or {})
