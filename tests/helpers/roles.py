"""Files of roles, as Ansible makes them of their templates, defaults and internal variables."""

from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.metal_lab.macs.plugins.filter import outside

from verify import ROOT


def render(role: str, template: str, variables: dict[str, Any]) -> str:
    """What a template becomes.

    Args:
        role: its role.
        template: its name in the role, without .j2.
        variables: what a play would have set; they stand before the role's own.
    """
    loader = DataLoader()
    files = [str(ROOT / "roles" / role / part / "main.yml") for part in ("defaults", "vars")]
    defaults, internal = (loader.load_from_file(path, trusted_as_template=True) for path in files)
    text = (ROOT / "roles" / role / "templates" / f"{template}.j2").read_text(encoding="utf-8")
    templar = Templar(loader=loader, variables={**defaults, **internal, **variables})
    # Nothing has told this process where collections are.
    filters = templar._engine.environment.filters
    for name, one in outside.FilterModule().filters().items():
        filters[f"metal_lab.macs.{name}"] = one
    # As the action template has it.
    made = templar.template(trust_as_template(text), escape_backslashes=False, preserve_trailing_newlines=True)
    return str(made)


def lets_pass(role: str, name: str, variables: dict[str, Any]) -> bool:
    """Whether the first task of a role's file of tasks, a check, is content with what a play has set."""
    loader = DataLoader()
    path = str(ROOT / "roles" / role / "tasks" / f"{name}.yml")
    first = loader.load_from_file(path, trusted_as_template=True)[0]
    return bool(
        Templar(loader=loader, variables=variables).evaluate_conditional(first["ansible.builtin.assert"]["that"])
    )
