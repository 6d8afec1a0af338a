"""Which tests reach a line: learned once by running them all, and kept until a test or what it reaches changes.

A line of a function is reached by the tests that run it. What runs at import is reached by whoever uses it: a constant
by the tests that run a line with its name, a function's decorators and defaults by those that run the function. A file
that is read as text (a probe that is sent to a target, a module that Ansible packs) is reached by the tests that read
it; and where nothing of a file was seen at all, by the tests whose files mention it, or else by all.
"""

import ast
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from coverage import CoverageData
from coverage.exceptions import DataError

from tests.mutants import watch
from tests.mutants.workers import rooms, share, watched

CACHE = Path(".mutants_cache") / "reach.json"
_HERE = Path(__file__).parent
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Learned:
    """What is known of the tests of one file.

    Attributes:
        digest: of the file, its helpers and the sources that it reaches.
        seconds: how long each of its tests takes.
        failing: those that fail as it is, and can judge nothing.
        lines: by file and line, the tests that reach it.
    """

    digest: str
    seconds: dict[str, float] = field(default_factory=dict)
    failing: list[str] = field(default_factory=list)
    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)


class Source:
    """A source file's statements and functions."""

    def __init__(self, text: str) -> None:
        self.texts = text.splitlines()
        self._nodes = list(ast.walk(ast.parse(text)))

    @cached_property
    def inner(self) -> set[int]:
        """The lines that run when a function is called."""
        bodies = (one.body for one in self._nodes if isinstance(one, _Function))
        return {line for body in bodies for line in range(body[0].lineno, (body[-1].end_lineno or 0) + 1)}

    def statement(self, line: int) -> tuple[ast.AST | None, range]:
        """The innermost statement that a line belongs to, and its lines, without those of the statements in it."""
        found: tuple[ast.AST | None, range] = (None, range(line, line + 1))
        size = len(self.texts) + 1
        for node in self._nodes:
            if not isinstance(node, ast.stmt | ast.excepthandler):
                continue
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
            inside = getattr(node, "body", None)
            lines = range(first, inside[0].lineno if inside else (node.end_lineno or first) + 1)
            if line in lines and len(lines) <= size:
                found, size = (node, lines), len(lines)
        return found


class Reach:
    """Answers which tests reach a line.

    Args:
        root: the project.
        sources: the files that may be asked for, relative to it.
        learned: by test file.
    """

    def __init__(self, root: Path, sources: Sequence[str], learned: dict[str, Learned]) -> None:
        self._sources = {path: Source((root / path).read_text(encoding="utf-8")) for path in sources}
        self._mentions = {path: (root / path).read_text(encoding="utf-8") for path in learned}
        self.seconds = {test: s for one in learned.values() for test, s in one.seconds.items()}
        self._failing = {test for one in learned.values() for test in one.failing}
        self._lines: dict[str, dict[int, set[str]]] = {}
        for one in learned.values():
            for path, lines in one.lines.items():
                for line, tests in lines.items():
                    self._lines.setdefault(path, {}).setdefault(line, set()).update(tests)

    def tests(self, path: str, line: int) -> list[str]:
        """The tests that reach a line, in the order to run them: the fastest first, then those that read the file."""
        lines = self._lines.get(path, {})
        reaching = self._reaching(path, line)
        reading = lines.get(watch.READ, set()) - reaching
        if not reading and not any(lines.get(one) for one in self._sources[path].inner):
            name = re.compile(rf"\b{re.escape(Path(path).stem)}\b")
            files = {file for file, text in self._mentions.items() if name.search(text)} or set(self._mentions)
            reading = {test for test in self.seconds if test.split("::")[0] in files} - reaching
        ordered = [*self._fastest(reaching), *self._fastest(reading)]
        return [test for test in ordered if test not in self._failing]

    def _reaching(self, path: str, line: int) -> set[str]:
        source = self._sources[path]
        statement, lines = source.statement(line)
        if line in source.inner:
            return self._of(path, lines)
        if isinstance(statement, _Function):
            return self._of(path, range(statement.lineno, (statement.end_lineno or 0) + 1), source.inner)
        patterns = _patterns(statement)
        found = self._using(patterns, set()) if patterns else self._of(path, lines)
        return found or self._of(path, source.inner)

    def _using(self, patterns: set[str], known: set[str]) -> set[str]:
        """The tests that run a line in which one of these is found, or use a constant that is made with it."""
        word = re.compile("|".join(patterns))
        found: set[str] = set()
        further: set[str] = set()
        for path, source in self._sources.items():
            for line in (number for number, text in enumerate(source.texts, 1) if word.search(text)):
                statement, lines = source.statement(line)
                if line in source.inner:
                    found |= self._of(path, lines)
                elif not isinstance(statement, ast.ClassDef):
                    further |= _patterns(statement)
        further -= known | patterns
        return found | (self._using(further, known | patterns) if further else set())

    def _of(self, path: str, lines: Sequence[int] | set[int], among: set[int] | None = None) -> set[str]:
        reached = self._lines.get(path, {})
        return {test for line in lines if among is None or line in among for test in reached.get(line, ())}

    def _fastest(self, tests: set[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self.seconds[test], test))


def _patterns(statement: ast.AST | None) -> set[str]:
    """How a line looks that uses what a statement defines for others: a constant, a class, or a class's field."""
    if isinstance(statement, ast.ClassDef):
        return {rf"\b{statement.name}\b"}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    names = [one for one in targets if isinstance(one, ast.Name)]
    return {rf"\.{one.id}\b|\b{one.id}=" if one.col_offset else rf"\b{one.id}\b" for one in names}


def learn(root: Path, files: Sequence[str], tests: Sequence[str], workers: int) -> tuple[dict[str, Learned], list[str]]:
    """What the tests of these files reach: from the cache, or by running them.

    Args:
        root: the project.
        files: all its files, relative to it.
        tests: the test files.
        workers: how many to run at once.

    Returns:
        what was learned, by test file; and the modules that they load, which every worker may load in advance.
    """
    place = root / CACHE
    kept = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {"files": {}, "modules": []}
    known = {path: _loaded(one) for path, one in kept["files"].items()}
    stale = [path for path in tests if path not in known or known[path].digest != _digest(root, path, known[path])]
    modules = set(kept["modules"])
    if stale:
        print(f"learning what the tests of {len(stale)} files reach ...", flush=True)
        stale.sort(key=lambda path: -(root / path).stat().st_size)
        place.parent.mkdir(exist_ok=True)

        def done(number: int, answer: dict[str, Any]) -> None:
            path = stale[number]
            if "tests" not in answer or answer["code"] not in (0, 1):
                raise RuntimeError(f"{path} cannot be run:\n{answer['output']}")
            found = _gather(Path(answer["data"]), Path(answer["tree"]), answer["tests"])
            known[path] = replace(found, digest=_digest(root, path, found))
            modules.update(answer["modules"])
            # After every file: a run that is ended has learned something.
            shown = {"files": {path: vars(one) for path, one in known.items()}, "modules": sorted(modules)}
            place.write_text(json.dumps(shown), encoding="utf-8")

        with rooms(root, files, workers) as places, watched():
            share(places, sorted(modules), [{"files": [path]} for path in stale], done)
    return {path: known[path] for path in tests if path in known}, sorted(modules)


def _loaded(data: dict[str, Any]) -> Learned:
    lines = {path: {int(line): tests for line, tests in lines.items()} for path, lines in data.pop("lines").items()}
    return Learned(**data, lines=lines)


def _gather(data: Path, tree: Path, tests: dict[str, dict[str, Any]]) -> Learned:
    """What was seen of the tests of one file."""
    seen: dict[str, dict[str, set[int]]] = {}
    for file in data.iterdir():
        one = CoverageData(str(file))
        try:
            one.read()
        except DataError:
            # Of a process that was killed while it wrote.
            continue
        for path in one.measured_files():
            shown = str(Path(path).relative_to(tree))
            for line, contexts in one.contexts_by_lineno(path).items():
                for context in contexts:
                    seen.setdefault(context, {}).setdefault(shown, set()).add(line)
    found = Learned("")
    for test, about in tests.items():
        found.seconds[test] = round(about["seconds"], 3)
        if not about["passed"]:
            found.failing.append(test)
        for path, lines in (item for context in about["contexts"] for item in seen.get(context, {}).items()):
            for line in lines:
                found.lines.setdefault(path, {}).setdefault(line, []).append(test)
    return found


def _digest(root: Path, test: str, learned: Learned) -> str:
    """Of what a test file's reach depends on, and of how it is learned."""
    folder = (root / test).parent
    helpers = {
        one for place in {folder, root / "tests", _HERE} for one in place.glob("*.py") if one.name[:5] != "test_"
    }
    reached = {root / path for path in learned.lines}
    digest = hashlib.sha256()
    for path in sorted({root / test, *helpers, *reached}):
        digest.update(f"{path}\n".encode())
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()
