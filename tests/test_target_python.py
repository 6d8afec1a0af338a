"""What runs on a target runs on the Python that a Mac brings, 3.9: all of it, by its grammar and its library.

Both are looked at everywhere; where this machine has a Python 3.9 or 3.8 (on PATH, or pyenv's), that runs it as well.
"""

import ast
import json
import os
import shutil
import subprocess
from pathlib import Path

import ansible
import pytest
from mypy import api

from verify import ROOT

OLDEST = (3, 8)
"""What the modules promise; a Mac's own is 3.9."""
MODULES = [path for folder in ("modules", "module_utils") for path in sorted((ROOT / "plugins" / folder).glob("*.py"))]
PROBES = sorted((ROOT / "verify" / "probes").glob("*.py"))
FIRST = [ROOT / "verify" / f"{name}.py" for name in ("__init__", "__main__", "clean", "errors", "text")]
"""What says that a Python is too old for the rest."""
FILES = {str(path.relative_to(ROOT)): path for path in [*MODULES, *PROBES, *FIRST]}
COLLECTION = "ansible_collections.metal_lab.macs.plugins"


def pythons() -> dict[str, str]:
    """The Pythons of that age that this machine has, by version."""
    found = {}
    for version in ("3.8", "3.9"):
        homes = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), reverse=True)
        for place in (shutil.which(f"python{version}"), *map(str, homes)):
            # What stands on PATH may be but a name that leads to none.
            if place and subprocess.run([place, "-c", "pass"], capture_output=True, check=False).returncode == 0:
                found[version] = place
    return found


OLD = pythons()
needs_one = pytest.mark.skipif(not OLD, reason="This machine has no Python 3.8 or 3.9; Debian 12 has none either.")


@pytest.mark.parametrize("name", FILES)
def test_its_grammar_is_that_of_the_oldest_python(name: str) -> None:
    ast.parse(FILES[name].read_text(encoding="utf-8"), filename=name, feature_version=OLDEST)


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_as_a_type_is_not_looked_at_when_it_runs(name: str) -> None:
    """What is no syntax of 3.9's in an annotation, `str | None`, nobody evaluates with this import."""
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    annotated = [
        one.annotation if isinstance(one, ast.AnnAssign | ast.arg) else one.returns
        for one in ast.walk(tree)
        if isinstance(one, ast.AnnAssign | ast.arg | ast.FunctionDef)
    ]
    young = [one for part in annotated if part for one in ast.walk(part) if isinstance(one, ast.BinOp)]
    future = [one for one in tree.body if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
    assert future or not young


def test_it_uses_nothing_of_the_library_that_is_younger_than_mypy_can_tell() -> None:
    """mypy knows the standard library of each version from 3.10 on."""
    files = [
        str(path).replace(str(ROOT), f"{ROOT}/.collections/ansible_collections/metal_lab/macs") for path in MODULES
    ]
    said, errors, code = api.run(["--python-version", "3.10", "--no-incremental", "--no-warn-unused-ignores", *files])
    assert (code, errors) == (0, ""), said


YOUNGER = {
    # docs.python.org, What's New In Python 3.9 and 3.10, of what is in use here or near it.
    "removeprefix": (3, 9), "removesuffix": (3, 9), "is_relative_to": (3, 9), "readlink": (3, 9), "with_stem": (3, 9),
    "hardlink_to": (3, 10), "pairwise": (3, 10), "bit_count": (3, 10),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_it_calls_no_method_that_is_younger(name: str) -> None:
    floor = OLDEST if FILES[name] in MODULES else (3, 9)
    calls = [one for one in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))) if isinstance(one, ast.Call)]
    # os.readlink is as old as can be.
    methods = [one.func for one in calls if isinstance(one.func, ast.Attribute) and ast.unparse(one.func.value) != "os"]
    assert [one.attr for one in methods if YOUNGER.get(one.attr, (3, 0)) > floor] == []
    options = {(ast.unparse(one.func), word.arg) for one in calls for word in one.keywords}
    # Both of 3.10.
    assert not {("zip", "strict"), ("dataclass", "slots"), ("dataclass", "kw_only")} & options


@needs_one
@pytest.mark.parametrize("version", OLD)
def test_it_is_loaded_by_such_a_python(version: str) -> None:
    """All modules, with ansible-core's own half; and the probes, as far as they need no package."""
    names = [f"{COLLECTION}.{path.parent.name}.{path.stem}" for path in MODULES]
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = run(version, "-c", script, *names)
    assert done.returncode == 0, done.stderr
    if version != "3.8":
        paths = [str(path) for path in [*PROBES, *FIRST]]
        compiled = run(
            version, "-c", "import sys\nfor one in sys.argv[1:]: compile(open(one).read(), one, 'exec')", *paths
        )
        assert compiled.returncode == 0, compiled.stderr


@needs_one
@pytest.mark.parametrize("version", OLD)
def test_it_is_run_by_such_a_python(version: str, tmp_path: Path) -> None:
    """A module that has something to do, in check mode and for real."""
    brew = tmp_path / "homebrew" / "bin" / "brew"
    brew.parent.mkdir(parents=True)
    brew.write_text('#!/bin/sh\n[ "$2" = install ] || exit 1\nmkdir -p Cellar/a/1 opt; ln -s ../Cellar/a/1 opt/a\n')
    brew.chmod(0o755)
    options = {"brew": str(brew), "brewfile": f"{tmp_path}/Brewfile", "taps": [], "formulae": ["a"], "casks": []}
    found = []
    for check in (True, False):
        given = json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_check_mode": check}})
        done = run(version, "-m", f"{COLLECTION}.modules.homebrew_bundle", given=given)
        assert done.returncode == 0, done.stdout + done.stderr
        found.append(json.loads(done.stdout))
    assert [one["changed"] for one in found] == [True, True]
    assert found[1]["installed"] == ["Cellar/a/1"]


def run(version: str, *line: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    """Run an old Python, with this project and ansible-core to import."""
    room = str(Path(ansible.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/.collections:{room}", "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONHOME", None)
    return subprocess.run(
        [OLD[version], *line], input=given, capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
