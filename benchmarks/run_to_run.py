"""What two runs on one unchanged machine differ by, and how often `verify compare` calls that a regression.

    .venv/bin/python -m benchmarks.run_to_run [RUNS]

Checks this machine at level full, RUNS times (default 5), and compares each run with each later one.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from verify import ROOT
from verify.results import comparison
from verify.results.comparison import figures
from verify.results.files import Stored, load


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    found: list[Stored] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs):
            command = [sys.executable, "-m", "verify", "--level", "full", "--results", folder]
            subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
            found.append(load(Path(folder) / "localhost.ml-m1.json"))
    measured = [figures(one.data) for one in found]
    between, within = [], []
    for what in measured[0].keys() & set.intersection(*(set(one) for one in measured)):
        group = [one[what] for one in measured]
        middle = statistics.median(one.value for one in group)
        between.append((max(one.value for one in group) - min(one.value for one in group)) / middle)
        within.append(statistics.median((one.high - one.low) / one.value for one in group))
        print(f"{what.framework} {what.kind} {what.dtype} {what.n}: runs {between[-1]:.1%}, quartiles {within[-1]:.1%}")
    pairs = list(itertools.combinations(found, 2))
    slower = [len(comparison.compare(old, new).slower) for old, new in pairs]
    apart, spread = statistics.median(between), statistics.median(within)
    print(f"median over the figures: runs differ by {apart:.1%}, quartiles by {spread:.1%}")
    figure_pairs, with_any = len(between) * len(pairs), sum(map(bool, slower))
    print(f"called slower: {sum(slower)} of {figure_pairs} figures, in {with_any} of {len(pairs)} pairs of runs")


if __name__ == "__main__":
    main()
