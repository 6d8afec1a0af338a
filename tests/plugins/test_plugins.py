"""What holds for all modules and actions: they ask for the options that their documentation calls required."""

import importlib
import re
from typing import Any

import pytest
import yaml

from tests.helpers.plugins import run_action, run_module
from verify import ROOT

PLUGINS = "ansible_collections.metal_lab.macs.plugins"
DOCUMENTED = {path.stem: path for path in sorted(ROOT.glob("plugins/modules/*.yml"))}
ACTIONS = sorted(path.stem for path in ROOT.glob("plugins/action/*.py"))
MODULES = sorted(DOCUMENTED.keys() - ACTIONS)


def options(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(DOCUMENTED[name].read_text(encoding="utf-8"))["DOCUMENTATION"][
        "options"
    ]
    return found


def required(name: str) -> list[str]:
    return sorted(option for option, about in options(name).items() if about.get("required"))


def asked(message: str) -> list[str]:
    """The options that a message misses, in order."""
    found = re.match("missing required arguments: (.*)", message)
    assert found, message
    return sorted(found[1].split(", "))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_asks_for_what_it_needs(name: str) -> None:
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    assert asked(run_module(module.main, {})["msg"]) == required(name)


@pytest.mark.parametrize("name", [name for name in ACTIONS if required(name)])
def test_an_action_asks_for_what_it_needs(name: str) -> None:
    plugin = importlib.import_module(f"{PLUGINS}.action.{name}")
    assert asked(run_action(plugin.ActionModule, {})["msg"]) == required(name)


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_knows_no_option_but_its_own(name: str) -> None:
    plugin = importlib.import_module(f"{PLUGINS}.action.{name}")
    given: dict[str, Any] = {"dict": {}, "list": [], "bool": False, "int": 1, "float": 1.0}
    needed = {option: given.get(options(name)[option]["type"], "x") for option in required(name)}
    choices = {option: about["choices"][0] for option, about in options(name).items() if "choices" in about}
    said = run_action(plugin.ActionModule, {**needed, **choices, "unheard_of": 1})["msg"]
    assert "unheard_of. Supported parameters include" in said


def test_every_module_and_action_is_documented() -> None:
    assert sorted(DOCUMENTED) == sorted(path.stem for path in ROOT.glob("plugins/modules/*.py"))
    assert set(ACTIONS) <= set(DOCUMENTED)
