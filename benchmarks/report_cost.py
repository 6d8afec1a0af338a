"""What the report of 30 hosts costs: seconds to read, check and render the results, and bytes of the page.

    .venv/bin/python -m benchmarks.report_cost [HOSTS]

The results are those of one measured host, varied (benchmarks/varied.py). The best of five, in a process of its own
each time, so that importing the libraries and compiling the templates count.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import varied
from verify import ROOT
from verify.report.language import LOCALES

MEASURED = ROOT / "tests" / "verify" / "report" / "measured.json"
RUNS = 5


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        varied.write(varied.make(measured, count), Path(folder))
        read = sum(one.stat().st_size for one in Path(folder).glob("*.json"))
        for code in LOCALES:
            command = [sys.executable, "-m", "verify", "report", "--results", folder, "--lang", code]
            seconds = min(_timed(command) for _ in range(RUNS))
            size = (Path(folder) / "report.html").stat().st_size
            print(f"{count} hosts, {read / 1e6:.2f} MB of JSON, {code}: {seconds:.2f} s, {size / 1e6:.3f} MB")


def _timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
