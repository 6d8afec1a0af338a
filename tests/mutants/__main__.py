"""`python -m tests.mutants`: change the sources in one place at a time, and see whether a test notices.

What is mutated is the Python of verify/ and plugins/; the judge is the unit suite, without the browser.
A mutant is judged by the tests that reach its line (tests/mutants/reach.py), what is left out of the mutations stands
in tests/mutants/mutations.py. One that no test notices survives: a test is missing there, or the code is needless, or,
now and then, the change makes no difference.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from tests.mutants.mutations import Mutant, difference, mutants
from tests.mutants.reach import Reach, learn
from tests.mutants.workers import rooms, share

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS = 2
LIMIT_FACTOR, LIMIT_S = 5, 30
"""How long a test may take: so many times what it took, and so many seconds."""
SHOWN_EVERY = 20
"""Judged mutants between two lines of progress."""
PATIENCE_S = 60
"""How much of the tests' own time a mutant is given, the fastest first: what notices it later does not count."""
TIMEOUT, UNNOTICED = -14, (0, 5)
"""How pytest's process ends: by its alarm; or with all tests passed, or none left to run."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant: killed, timeout (which counts as killed), survived, or unreached (which does not)."""

    mutant: Mutant
    change: str
    state: str
    tests: int
    seconds: float

    def __str__(self) -> str:
        where = f"{self.mutant.path}:{self.mutant.line}"
        return f"{where}  {self.mutant.operator}  [{self.state}, {self.tests} tests]\n    {self.change}"


def main() -> int:
    """Run the command; returns the exit code: 0, 1 where the score is below what was asked, 2 for a failure."""
    options = _options()
    # As Ctrl-C does: what was found until then is shown, and no copy or worker stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = _listed()
    tests = [path for path in files if _matches(path, ["tests"]) and Path(path).name.startswith("test_")]
    tests = [path for path in tests if not _matches(path, ["tests/browser"]) and _matches(path, options.tests)]
    sources = [path for path in files if _is_mutated(path)]
    chosen = [path for path in sources if _matches(path, options.only)]
    if not chosen or not tests:
        print("mutants: no source or no test has one of these names", file=sys.stderr)
        return 2
    learned, modules = learn(ROOT, files, tests, WORKERS)
    for test in (test for one in learned.values() for test in one.failing):
        print(f"fails without any mutant, and judges none: {test}")
    reach = Reach(ROOT, sources, learned)
    sample = list(_sample(chosen, options.seed, None if options.all else options.count))
    results = _judge(sample, reach, files, modules)
    score = _show(results)
    if options.json:
        shown = [{**asdict(one.mutant), **{k: v for k, v in vars(one).items() if k != "mutant"}} for one in results]
        options.json.write_text(json.dumps({"score": score, "mutants": shown}, indent=1), encoding="utf-8")
    return 2 if len(results) < len(sample) else int(score < options.least)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run-tests mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[""], metavar="PATH", help="mutate these files or folders only")
    parser.add_argument("--tests", nargs="+", default=[""], metavar="PATH", help="judge by these test files only")
    parser.add_argument(
        "--count", type=int, default=150, help="so many mutants, drawn at random (default: %(default)s)"
    )
    parser.add_argument("--all", action="store_true", help="all mutants")
    parser.add_argument("--seed", type=int, default=1, help="which mutants are drawn (default: %(default)s)")
    parser.add_argument("--least", type=float, default=0, metavar="PERCENT", help="exit code 1 below this score")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    return parser.parse_args()


def _listed() -> list[str]:
    """The project's files, with those that git does not know yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(path for path in set(listed.split("\0")) if path and (ROOT / path).exists())


def _is_mutated(path: str) -> bool:
    # What a link leads to is mutated where it stands.
    return path.startswith(("verify/", "plugins/")) and path.endswith(".py") and not (ROOT / path).is_symlink()


def _matches(path: str, among: Sequence[str]) -> bool:
    return any(one in ("", path) or path.startswith(one.rstrip("/") + "/") for one in among)


def _sample(paths: Sequence[str], seed: int, count: int | None) -> Iterator[tuple[Mutant, str, str]]:
    """Mutants with the source and the changed source, always the same for the same sources."""
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in paths}
    found = sorted(mutant for path, source in sources.items() for mutant in mutants(path, source))
    random.Random(seed).shuffle(found)  # noqa: S311 - a sample
    for mutant in found:
        if count == 0:
            return
        if changed := mutant.apply(sources[mutant.path]):
            yield mutant, sources[mutant.path], changed
            count = count - 1 if count else None


def _judge(
    sample: Sequence[tuple[Mutant, str, str]], reach: Reach, files: Sequence[str], modules: Sequence[str]
) -> list[Result]:
    results: list[Result] = []
    orders = []
    asked = []
    for mutant, source, changed in sample:
        tests = within(PATIENCE_S, reach.tests(mutant.path, mutant.line), reach.seconds)
        limits = {test: LIMIT_FACTOR * reach.seconds[test] + LIMIT_S for test in tests}
        change = difference(source, changed)
        if limits:
            orders.append({"path": mutant.path, "source": changed, "limits": limits})
            asked.append((mutant, change))
        else:
            results.append(Result(mutant, change, "unreached", 0, 0.0))
    print(f"{len(sample)} mutants, of which tests reach {len(orders)}", flush=True)

    def done(number: int, answer: dict[str, Any]) -> None:
        state = {TIMEOUT: "timeout", **dict.fromkeys(UNNOTICED, "survived")}.get(answer["code"], "killed")
        mutant, change = asked[number]
        tests = len(orders[number]["limits"])
        results.append(Result(mutant, change, state, tests, round(answer["seconds"], 1)))
        if state == "survived":
            print(results[-1], flush=True)
        if len(results) % SHOWN_EVERY == 0:
            print(f"... {len(results)} of {len(sample)}", flush=True)

    started = time.monotonic()
    with rooms(ROOT, files, WORKERS) as places:
        try:
            share(places, modules, orders, done)
        except KeyboardInterrupt:
            print("ended early", flush=True)
    print(f"{(time.monotonic() - started) / max(1, len(results)):.1f} s a mutant")
    return sorted(results, key=lambda one: one.mutant)


def within(seconds: float, tests: Sequence[str], each: Mapping[str, float]) -> list[str]:
    """As many of the tests, from the first on, as take so long together; one at least."""
    ends = list(accumulate(each[test] for test in tests))
    return [test for test, end in zip(tests, ends, strict=True) if end <= max(seconds, ends[0])]


def _show(results: Sequence[Result]) -> float:
    """Print the survivors and the table; returns the score in percent."""
    print("\nNobody noticed:\n")
    for one in results:
        if one.state in ("survived", "unreached"):
            print(one)
    print(f"\n{'':32}{'mutants':>8}{'killed':>8}{'timeout':>8}{'survived':>9}{'unreached':>10}{'score':>8}")
    areas: dict[str, Counter[str]] = {}
    for one in results:
        parts = Path(one.mutant.path).parts[:2]
        area = "/".join(parts) if (ROOT / Path(*parts)).is_dir() else parts[0]
        for name in (area, "all"):
            areas.setdefault(name, Counter())[one.state] += 1
    score = 100.0
    for area, states in sorted(areas.items(), key=lambda item: (item[0] == "all", item[0])):
        score = 100 * (states["killed"] + states["timeout"]) / states.total()
        counts = (states.total(), states["killed"], states["timeout"], states["survived"], states["unreached"])
        print("{:32}{:8}{:8}{:8}{:9}{:10}{:7.1f}%".format(area, *counts, score))
    return round(score, 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        print(f"mutants: {error}", file=sys.stderr)
        sys.exit(2)
