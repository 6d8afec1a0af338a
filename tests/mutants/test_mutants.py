"""What becomes a mutant and what does not, which tests judge one, and how the workers judge."""

from pathlib import Path
from typing import Any

import pytest

from tests.mutants import watch
from tests.mutants.__main__ import within
from tests.mutants.mutations import difference, mutants
from tests.mutants.reach import Learned, Reach, learn
from tests.mutants.workers import share


def changes(source: str) -> set[str]:
    """The lines that the mutants of a source have instead."""
    found = [(one.apply(source), one) for one in mutants("x.py", source)]
    return {" ".join(difference(source, changed).split("  ->  ")[1].split()) for changed, _ in found if changed}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a == b", {"a != b"}),
        ("a < b", {"a <= b", "a >= b"}),
        ("a not in b", {"a in b"}),
        ("a + b", {"a - b"}),
        ("f(a, become=True)", {"f(a, **{})", "f(a, become=False)"}),
        ("run(a, check=False)", {"run(a, check=True)"}),
        ("f(['pip', '--quiet', a])", {"f([*(), '--quiet', a])", "f(['pip', *(), a])"}),
        ("a = '--all' if b else c", {"a = '---all' if b else c", "a = '--all' if not b else c"}),
        ("try:\n    f()\nexcept m.E:\n    g()", {"except StopAsyncIteration:"}),
        (
            "try:\n    f()\nexcept (E, F):\n    g()",
            {"except (StopAsyncIteration, F):", "except (E, StopAsyncIteration):"},
        ),
    ],
)
def test_a_change_that_a_test_should_notice(source: str, expected: set[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "a: int | str = b",
        "def f(a: x | y, *, b: z | None) -> g | h: ...",
        "if TYPE_CHECKING:\n    a = 1",
        "@dataclass\nclass A:\n    '''Says -x.'''",
        "open(a, encoding='utf-8')",
        "zip(a, b, strict=True)",
        "'%s: ' % a",
    ],
)
def test_what_no_test_should_notice(source: str) -> None:
    assert changes(source) <= {"nothing"}


def test_a_decorator_is_left_out_whole() -> None:
    assert changes("@f(frozen=True)\nclass A: ...") == {"nothing"}


PYPROJECT = '[tool.pytest.ini_options]\npythonpath = ["."]\n'
SOURCE = """\
LIMIT = 3
TWICE = 2 * LIMIT

def f(a=1):
    return a

def g():
    return TWICE

def h():
    return 0
"""


def reach(tmp_path: Path, lines: dict[int, list[str]]) -> Reach:
    (tmp_path / "source.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "test_a.py").write_text("source", encoding="utf-8")
    (tmp_path / "test_b.py").write_text("resource", encoding="utf-8")
    a = Learned("", {"test_a.py::slow": 2, "test_a.py::fast": 1, "test_a.py::red": 0}, ["test_a.py::red"])
    a.lines = {"source.py": lines}
    return Reach(tmp_path, ["source.py"], {"test_a.py": a, "test_b.py": Learned("", {"test_b.py::other": 1})})


def test_a_line_is_judged_by_the_tests_that_run_it_and_pass_the_fastest_first(tmp_path: Path) -> None:
    every = ["test_a.py::slow", "test_a.py::red", "test_a.py::fast"]
    asked = reach(tmp_path, {5: every, 8: every[:1], watch.READ: ["test_b.py::other"]})
    assert asked.tests("source.py", 5) == ["test_a.py::fast", "test_a.py::slow", "test_b.py::other"]
    assert asked.tests("source.py", 11) == ["test_b.py::other"]


def test_what_runs_at_import_is_judged_by_those_who_use_it(tmp_path: Path) -> None:
    asked = reach(tmp_path, {1: ["test_b.py::other"], 5: ["test_a.py::fast"], 8: ["test_a.py::slow"]})
    assert asked.tests("source.py", 1) == ["test_a.py::slow"]
    assert asked.tests("source.py", 4) == ["test_a.py::fast"]
    assert asked.tests("source.py", 11) == []


def test_a_file_of_which_nothing_is_seen_is_judged_by_those_who_mention_it(tmp_path: Path) -> None:
    assert reach(tmp_path, {}).tests("source.py", 11) == ["test_a.py::fast", "test_a.py::slow"]


REACHING = """\
import subprocess, sys
from pathlib import Path
import pytest

@pytest.fixture(scope="module")
def made():
    import source
    return source.f()

def test_here(made):
    assert made

def test_in_a_process():
    done = subprocess.run([sys.executable, "-c", "import source; source.h()"], capture_output=True, check=True)
    assert not done.stderr

def test_that_reads():
    assert Path("source.py").read_text()

def test_red():
    assert False
"""


def test_what_tests_their_fixtures_and_their_processes_reach_is_learned_once(tmp_path: Path) -> None:
    files = {"source.py": SOURCE, "test_it.py": REACHING, "pyproject.toml": PYPROJECT}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = learn(tmp_path, list(files), ["test_it.py"], 1)[0]["test_it.py"]
    lines = {
        line: sorted(test.partition("::")[2] for test in tests) for line, tests in found.lines["source.py"].items()
    }
    assert lines[5] == ["test_here"]
    assert 8 not in lines
    assert lines[11] == ["test_in_a_process"]
    assert lines[watch.READ] == ["test_that_reads"]
    assert found.failing == ["test_it.py::test_red"]
    (tmp_path / "pyproject.toml").write_text("no TOML: a second run would fail", encoding="utf-8")
    assert learn(tmp_path, list(files), ["test_it.py"], 1)[0]["test_it.py"] == found


TESTS = """\
import code_under_test

def test_it():
    code_under_test.f()
    assert code_under_test.f() == 1
"""


def test_a_worker_tells_what_became_of_a_mutant_and_takes_it_back(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    good = "def f():\n    return 1\n"
    (tree / "code_under_test.py").write_text(good, encoding="utf-8")
    (tree / "test_code.py").write_text(TESTS, encoding="utf-8")
    (tree / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    orders = [
        {"path": "code_under_test.py", "source": source, "limits": {"test_code.py::test_it": 4}}
        for source in (good, good.replace("1", "2"), "def f():\n    while True: pass\n", "syntax error", good)
    ]
    codes: dict[int, int] = {}

    def done(number: int, answer: dict[str, Any]) -> None:
        codes[number] = answer["code"]

    share([tmp_path], [], orders, done)
    assert [codes[number] for number in range(len(orders))] == [0, 1, -14, 2, 0]
    assert (tree / "code_under_test.py").read_text(encoding="utf-8") == good


def test_a_module_that_is_loaded_in_advance_leaves_nothing_that_tests_trip_over(tmp_path: Path) -> None:
    """pygal leaves a finder that no longer finds; a package's conftest cannot be imported past it."""
    package = tmp_path / "tree" / "checks"
    package.mkdir(parents=True)
    for name, text in {"__init__.py": "", "conftest.py": "", "test_code.py": "def test_it(): pass\n"}.items():
        (package / name).write_text(text, encoding="utf-8")
    (tmp_path / "tree" / "code_under_test.py").write_text("", encoding="utf-8")
    (tmp_path / "tree" / "pyproject.toml").write_text(
        f'{PYPROJECT}addopts = "--import-mode=importlib"\n', encoding="utf-8"
    )
    order = {"path": "code_under_test.py", "source": "", "limits": {"checks/test_code.py::test_it": 4}}
    codes: list[int] = []
    share([tmp_path], ["pygal"], [order], lambda _, answer: codes.append(answer["code"]))
    assert codes == [0]


@pytest.mark.parametrize(
    ("patience", "given"), [(0.0, ["a"]), (3.0, ["a", "b"]), (2.9, ["a"]), (100.0, ["a", "b", "c"])]
)
def test_a_mutant_gets_the_fastest_tests_as_far_as_patience_goes(patience: float, given: list[str]) -> None:
    assert within(patience, ["a", "b", "c"], {"a": 1.0, "b": 2.0, "c": 3.0}) == given
    assert within(patience, [], {}) == []
