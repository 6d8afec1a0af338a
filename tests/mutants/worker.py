"""Runs tests in a copy of the tree, each time in a fork of one process that has the heavy libraries loaded already.

A script with one argument, the modules to load as a JSON list. It takes orders from stdin and answers on stdout, one
JSON line each. It starts in the tree's folder; where it is the first process of a PID namespace, a mutant can reach no
process outside of it, and nothing that a test has left running outlives the order.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from watch import DATA, TEST, TREE, Watch  # type: ignore[import-not-found]  # a script finds its neighbours

AROUND_S = 60
"""For collecting the tests, and for what comes after one; generous, because the processors may be busy."""
_ROOM = Path.cwd().parent
_RUN = _ROOM / "run.json"
_COMMON = ["-q", "-p", "no:cacheprovider", "--basetemp", str(_ROOM / "tmp")]


class Judge:
    """Runs the tests it was given, in their order, each within its time: one that takes longer ends the process."""

    def __init__(self, limits: dict[str, float]) -> None:
        self._limits = limits

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        order = {test: place for place, test in enumerate(self._limits)}
        items[:] = sorted((one for one in items if one.nodeid in order), key=lambda one: order[one.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        signal.alarm(int(self._limits[item.nodeid]) + 1)
        try:
            return (yield)
        finally:
            signal.alarm(AROUND_S)


class Learner:
    """Notes what each test reaches, how long it takes, and what is loaded before the first."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.tests: dict[str, dict[str, Any]] = {}
        self.modules: list[str] = []

    def pytest_collection_finish(self) -> None:
        tree = os.environ[TREE]
        found = {name: getattr(module, "__file__", None) or tree for name, module in list(sys.modules.items())}
        self.modules = sorted(name for name, path in found.items() if not path.startswith(tree))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        fixtures = [f"fixture {name}" for name in getattr(item, "fixturenames", ())]
        self.tests[item.nodeid] = {"seconds": 0.0, "passed": True, "contexts": [item.nodeid, *fixtures]}
        self._watch.switch(item.nodeid)
        try:
            return (yield)
        finally:
            self._watch.switch("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[Any]:
        if fixturedef.scope == "function":
            return (yield)
        # Set up for one test and used by others: what it reaches counts for all of them.
        before = self._watch.test
        self._watch.switch(f"fixture {request.fixturename}")
        try:
            return (yield)
        finally:
            self._watch.switch(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.tests[report.nodeid]["seconds"] += report.duration
        self.tests[report.nodeid]["passed"] &= not report.failed


def _learn(order: dict[str, Any]) -> int:
    data = tempfile.mkdtemp(prefix="data-", dir=_ROOM)
    os.environ.update({TREE: str(Path.cwd()), DATA: data, TEST: ""})
    watch = Watch()
    learner = Learner(watch)
    code = pytest.main([*_COMMON, *order["files"]], plugins=[learner])
    watch.end()
    seen = {"tests": learner.tests, "modules": learner.modules, "data": data, "tree": os.environ[TREE]}
    _RUN.write_text(json.dumps(seen), encoding="utf-8")
    return int(code)


def _judge(order: dict[str, Any]) -> int:
    signal.alarm(AROUND_S)
    files = dict.fromkeys(test.split("::")[0] for test in order["limits"])
    return int(pytest.main([*_COMMON, "-x", "--tb=no", *files], plugins=[Judge(order["limits"])]))


def _run(order: dict[str, Any]) -> dict[str, Any]:
    """Run an order in a fork: {"code": pytest's exit code, or minus the signal that ended it}, and its output."""
    log = _ROOM / "output.txt"
    _RUN.unlink(missing_ok=True)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = 70
        try:
            code = _learn(order) if "files" in order else _judge(order)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    _end_rest(child)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - started,
        "output": log.read_text(encoding="utf-8", errors="replace")[-20000:],
        **(json.loads(_RUN.read_text(encoding="utf-8")) if _RUN.exists() else {}),
    }


def _end_rest(child: int) -> None:
    with suppress(ProcessLookupError):
        if os.getpid() != 1:
            os.killpg(child, signal.SIGKILL)
            return
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while os.getpid() == 1:
            os.waitpid(-1, 0)


def main() -> None:
    """Serve until stdin ends."""
    for name in json.loads(sys.argv[1]):
        with suppress(Exception):
            importlib.import_module(name)
    # pygal's finder is of a kind that Python no longer knows: where it is left, the import of a test package trips over
    # it, and every mutant would seem to be noticed.
    sys.meta_path[:] = [one for one in sys.meta_path if hasattr(one, "find_spec")]
    stamp = int(time.time())
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as channel:
        os.dup2(2, 1)
        for line in sys.stdin:
            order = json.loads(line)
            if "path" not in order:
                answer = _run(order)
            else:
                path = Path(order["path"])
                kept = shutil.copy2(path, _ROOM / "original")
                stamp += 1
                path.write_text(order["source"], encoding="utf-8")
                # Python takes a compiled file for current by the seconds and the size of its source.
                os.utime(path, (stamp, stamp))
                answer = _run(order)
                shutil.copy2(kept, path)
            print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
