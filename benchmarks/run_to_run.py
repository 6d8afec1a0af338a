"""What two runs on one unchanged machine differ by, and how often `verify compare` calls that a regression.

    .venv/bin/python -m benchmarks.run_to_run [--runs 5] [--profile ml-m1] [--results results] [OPTION ...]

Checks this machine at level full, as often as --runs says, and compares each run with each later one. What is found is
kept in this machine's history in the folder for results: `verify compare` goes by it from then on. Other options are
handed on to `python -m verify`.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from verify import ROOT, documents
from verify.results import comparison, noise
from verify.results.comparison import Measured, figures
from verify.results.files import FOLDER, Stored, load
from verify.results.noise import Noise


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path(FOLDER))
    given, handed_on = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [_run(Path(folder) / str(number), handed_on) for number in range(given.runs)]
    measured = [figures(one.data) for one in found]
    for what in measured[0].keys() & set.intersection(*(set(one) for one in measured)):
        group = [one[what] for one in measured]
        middle = statistics.median(one.value for one in group)
        between = (max(one.value for one in group) - min(one.value for one in group)) / middle
        within = statistics.median((one.high - one.low) / one.value for one in group)
        print(f"{what.framework} {what.kind} {what.dtype} {what.n}: runs {between:.1%}, quartiles {within:.1%}")
    data = found[0].data
    now = datetime.now(UTC).strftime(documents.TIME)
    kept = Noise(data["host"], data["profile"], now, given.runs, noise.spread(_values(one) for one in measured))
    print(f"of all pairs of figures 95 % differ by at most {kept.share:.1%}; kept in {noise.keep(kept, given.results)}")
    pairs = list(itertools.combinations(found, 2))
    slower = [len(comparison.compare(old, new).slower) for old, new in pairs]
    print(f"with {noise.ASSUMED:.0%} for noise called slower: {sum(slower)} figures in {len(pairs)} pairs of runs")


def _run(folder: Path, handed_on: list[str]) -> Stored:
    command = [sys.executable, "-m", "verify", "--level", "full", "--no-page", "--results", str(folder), *handed_on]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    (path,) = folder.glob("*.json")
    return load(path)


def _values(found: dict[Measured, comparison.Figure]) -> dict[str, float]:
    return {repr(what): figure.value for what, figure in found.items()}


if __name__ == "__main__":
    main()
