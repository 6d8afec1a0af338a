"""What holds for all modules and plugins: where they find the project, and which options they cannot do without."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.plugins.action import ActionBase

from playbooks.action_plugins import bundle, collect, sources, verify
from roles.command_line_tools.action_plugins import command_line_tools
from roles.conda_env.library import conda_env
from roles.homebrew.library import homebrew_bundle, homebrew_clone
from roles.lab_cache.library import lab_cache_purge
from roles.miniforge.library import conda_installation, miniforge_install
from roles.preflight.action_plugins import preflight
from roles.shell_profile.library import shell_block
from roles.uv_env.action_plugins import uv_env as uv_env_action
from roles.uv_env.library import uv_env, uv_env_absent
from tests.plugins import run_action, run_module
from verify import ROOT

MODULES = {
    conda_env: "conda_root prefix profile",
    conda_installation: "init places prefix shell subdir zdotdir",
    homebrew_bundle: "brew brewfile casks formulae taps",
    homebrew_clone: "prefix remote user",
    lab_cache_purge: "store wanted",
    miniforge_install: "installer prefix",
    shell_block: "block path profile",
    uv_env: "apply frameworks homebrew prefix profile python recreate",
    uv_env_absent: "profile",
}
ACTIONS: dict[type[ActionBase], str] = {
    bundle.ActionModule: "part",
    collect.ActionModule: "max_age_hours",
    command_line_tools.ActionModule: "attempts checksum install_timeout list_timeout package",
    preflight.ActionModule: "conda_places environment frameworks homebrew_prefix homebrew_user lock prefix profile "
    "provider wave wave_max_failed",
    sources.ActionModule: "bundle cache host strict",
    uv_env_action.ActionModule: "frameworks platform prefix profile",
    verify.ActionModule: "level profile",
}


def asked(message: str) -> str:
    """The options that a message misses, in order."""
    found = re.match("missing required arguments: (.*)", message)
    assert found, message
    return " ".join(sorted(found[1].split(", ")))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_module_asks_for_what_it_needs(module: object) -> None:
    answer = run_module(module.main, {})  # type: ignore[attr-defined]
    assert asked(answer["msg"]) == MODULES[module]  # type: ignore[index]


@pytest.mark.parametrize("plugin", ACTIONS, ids=lambda plugin: plugin.__module__.rpartition(".")[2])
def test_an_action_asks_for_what_it_needs(plugin: type[ActionBase]) -> None:
    assert asked(run_action(plugin, {})["msg"]) == ACTIONS[plugin]


# As Ansible loads a plugin: from its file, wherever it was started, beside a package that is called like the project's.
LOAD = """
import importlib.util, sys
for path in sys.argv[2:]:
    kept = sys.path[:]
    sys.path[:] = [sys.argv[1], *kept]
    spec = importlib.util.spec_from_file_location("plugin", path)
    sys.modules["plugin"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["plugin"])
    sys.path[:] = kept
    for name in [one for one in sys.modules if one.partition(".")[0] in ("verify", "roles")]:
        del sys.modules[name]
"""


def test_a_plugin_finds_the_project_wherever_ansible_is_started(tmp_path: Path) -> None:
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "__init__.py").write_text("raise ImportError('another package')\n")
    files = [*ROOT.glob("playbooks/*_plugins/*.py"), *ROOT.glob("roles/*/action_plugins/*.py")]
    done = subprocess.run(
        [sys.executable, "-I", "-c", LOAD, tmp_path, *files], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
