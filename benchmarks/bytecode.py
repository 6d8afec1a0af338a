"""What compiling every module when it is installed costs, and what it saves when a framework is imported first.

    .venv/bin/python -m benchmarks.bytecode [--profile ml-m1] [--pairs 3] [--python python3.11]

Each pair installs a profile's packages on this machine twice, from a warm cache, without and with uv's
--compile-bytecode, and imports every framework twice after each. Python itself compiles what is imported, at the first
import, and keeps it: the second one says what is left to gain.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

from verify import ROOT
from verify.profile import model as profiles
from verify.profile.command import find_links
from verify.profile.model import BASE

MODULES = {
    "tensorflow": "tensorflow",
    "pytorch": "torch",
    "jax": "jax.numpy",
    "mlx": "mlx.core, mlx.nn, mlx.optimizers",
    "mlx_lm": "mlx_lm",
}
WAYS = ("plain", "compiled")


def main() -> None:
    """Measure and print a table in Markdown: medians, in seconds of CPU time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="ml-m1")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--python", default="python3.11", help="Python for the environments (default: %(default)s)")
    given = parser.parse_args()
    loaded = profiles.load(given.profile)
    here = f"{platform.system().lower()}-{platform.machine()}"
    names = loaded.frameworks_on(here)
    pins = loaded.lock(here).closures(loaded.package_set(one).requirements for one in (BASE, *names))
    variables = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    # As on a user's machine, where Python keeps what it compiles.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    if links := find_links(loaded.platform(here).find_links or ""):
        variables["UV_FIND_LINKS"] = links
    found: dict[str, dict[str, list[float]]] = {way: {} for way in WAYS}
    with tempfile.TemporaryDirectory(dir=ROOT / ".venv") as folder:
        requirements, env = Path(folder) / "requirements.txt", Path(folder) / "env"
        requirements.write_text("".join(pin.requirement() for pin in pins.values()), encoding="utf-8")
        # The first fills the cache.
        for way in (WAYS[0], *(WAYS * given.pairs)):
            shutil.rmtree(env, ignore_errors=True)
            subprocess.run([find_uv_bin(), "venv", "-q", "--no-project", "-p", given.python, env], check=True)
            command = [find_uv_bin(), "pip", "install", "-q", "-p", env / "bin" / "python", "--require-hashes"]
            command += ["--no-deps", "-r", requirements, *(["--compile-bytecode"] if way == WAYS[1] else [])]
            times = {"install": _spent(command, variables)}
            for turn in ("first import", "second import"):
                lines = [[env / "bin" / "python", "-c", f"import {MODULES[name]}"] for name in names]
                times[turn] = sum(_spent(line, variables) for line in lines)
            print(way, {what: round(seconds, 1) for what, seconds in times.items()}, file=sys.stderr, flush=True)
            found[way] = {what: [*found[way].get(what, []), seconds] for what, seconds in times.items()}
    print(f"{len(pins)} packages, {', '.join(names)}\n\n| | plain | compiled |\n|---|---|---|")
    for what in found[WAYS[0]]:
        # Without the one that filled the cache.
        plain, compiled = (statistics.median(found[way][what][-given.pairs :]) for way in WAYS)
        print(f"| {what} | {plain:.1f} s | {compiled:.1f} s |")


def _spent(command: list[object], variables: dict[str, str]) -> float:
    """Seconds of CPU time: what else the machine does hardly counts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(one) for one in command], env=variables, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
