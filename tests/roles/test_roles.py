"""Every role's interface is described once and the same everywhere."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.metal_lab.macs.verify import ROOT

ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/tasks/main.yml"))


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def as_markdown(text: str) -> str:
    """Ansible's markup C(x) as Markdown."""
    return re.sub(r"C\(([^)]*)\)", r"`\1`", " ".join(text.split()))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_specs_and_readme_name_the_same_variables(role: Path) -> None:
    defaults = document(role / "defaults" / "main.yml")
    options = document(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
    rows = [line.split("|") for line in (role / "README.md").read_text(encoding="utf-8").splitlines()]
    table = {cells[1].strip().strip("`"): cells[3].strip() for cells in rows if len(cells) > 4 and "_" in cells[1]}
    assert table == {name: as_markdown(option["description"]) for name, option in options.items()}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_roles_variables_carry_its_name(role: Path) -> None:
    assert all(name.startswith(f"{role.name}_") for name in document(role / "defaults" / "main.yml") or {})
