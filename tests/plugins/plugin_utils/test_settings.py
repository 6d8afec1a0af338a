"""The settings that are refused before anything is done."""

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.metal_lab.macs.plugins.plugin_utils.settings import problems, refused, specification


@pytest.mark.parametrize(
    ("role", "given", "wrong"),
    [
        ("homebrew", {"homebrew_formulae": ["git"]}, ""),
        ("homebrew", {"homebrew_formulae": {"git": 1}}, "homebrew_formulae"),
        ("homebrew", {"homebrew_formulae": "git"}, """-e '{"homebrew_formulae": ["..."]}'"""),
        ("homebrew", {"homebrew_environment": "A=1"}, "Needed: a dictionary"),
        ("homebrew", {"homebrew_shellenv": "false"}, ""),
        ("miniforge", {"miniforge_install_method": "port"}, "miniforge_install_method"),
        ("mlx", {"homebrew_formulae": 3}, ""),
    ],
)
def test_a_setting_of_another_type_is_refused(role: str, given: dict[str, object], wrong: str) -> None:
    found = problems(role, given)
    assert len(found) == bool(wrong)
    assert all(one.startswith(f"{role}: ") and wrong in one for one in found)


def found(**variables: Any) -> list[str]:
    return refused(Templar(loader=DataLoader(), variables=variables), variables)


def test_everything_that_roles_cannot_take_is_found_at_once() -> None:
    text = trust_as_template("{{ one }}")
    wrong = {"homebrew_formulae": text, "one": "git", "miniforge_install_method": "port", "uv_env_recreate": "x"}
    lines = found(**wrong)
    assert [line.partition(":")[0] for line in lines] == ["homebrew", "miniforge", "uv_env"]
    assert "homebrew_formulae is the text 'git'" in lines[0]


def test_what_is_left_at_its_default_is_not_looked_at() -> None:
    """It may be a template of what is known later only, and no role has a variable of another one."""
    default = specification("uv_env")["uv_env_frameworks"]["default"]
    assert found(uv_env_frameworks=default, homebrew_formulae=["git"], other={}) == []
    assert found() == []
