"""How long uv and pip take for the same lock, cold and warm, in one run.

    .venv/bin/python -m benchmarks.uv_against_pip [--profile ml-m1] [--platform linux-x86_64] [--sets base mlx]

Each installs the same hashed requirements, without resolving, into a new virtual environment: first with an empty
cache (cold), then again with the cache it filled (warm). Wheels from a local folder (UV_FIND_LINKS, PIP_FIND_LINKS)
cost no download in either. Figures depend on the link and the disk; the ratio is what counts.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from uv import find_uv_bin

from verify import ROOT
from verify.profile import model as profiles
from verify.profile.command import find_links
from verify.profile.model import BASE


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = f"{platform.system().lower()}-{platform.machine()}"
    parser.add_argument("--profile", default="ml-m1")
    parser.add_argument("--platform", default=here, help=f"platform of the lock (default: {here})")
    parser.add_argument("--sets", nargs="+", help="package sets to install (default: all of the platform)")
    parser.add_argument("--python", default="python3.11", help="Python for the environments (default: python3.11)")
    options = parser.parse_args()
    loaded = profiles.load(options.profile)
    lock = loaded.lock(options.platform)
    sets = options.sets or [BASE, *loaded.frameworks_on(options.platform)]
    pins = lock.closures(loaded.package_set(one).requirements for one in sets)
    links = find_links(loaded.platform(options.platform).find_links or "")
    print(f"{len(pins)} packages ({', '.join(sets)}), {options.platform}, {os.cpu_count()} cores\n", flush=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".venv") as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("".join(pin.requirement() for pin in pins.values()), encoding="utf-8")
        seconds = {
            (tool.__name__, state): measure(tool, state, options.python, requirements, links)
            for tool in (uv, pip)
            for state in ("cold", "warm")
        }
    print("| cache | uv | pip | pip / uv |\n|---|---|---|---|")
    for state in ("cold", "warm"):
        fast, slow = seconds["uv", state], seconds["pip", state]
        print(f"| {state} | {fast:.1f} s | {slow:.1f} s | {slow / fast:.1f} |")


def measure(tool: Callable[..., list[str]], state: str, python: str, requirements: Path, links: str) -> float:
    """Seconds that one tool takes to install the requirements into a new environment.

    Args:
        tool: makes the command from (environment, requirements).
        state: "cold" empties the tool's cache first.
        python: the interpreter of the environment.
        requirements: hashed pins.
        links: folder or page of wheels outside the index, "" for none.
    """
    folder = requirements.parent
    cache = folder / f"cache-{tool.__name__}"
    if state == "cold":
        shutil.rmtree(cache, ignore_errors=True)
    env = folder / "env"
    shutil.rmtree(env, ignore_errors=True)
    subprocess.run([python, "-m", "venv", env], check=True)
    variables = {"UV_CACHE_DIR": str(cache), "PIP_CACHE_DIR": str(cache)}
    if links:
        variables |= {"UV_FIND_LINKS": links, "PIP_FIND_LINKS": links}
    start = time.perf_counter()
    subprocess.run(tool(env, requirements), env={**os.environ, **variables}, check=True, stdout=sys.stderr)
    return time.perf_counter() - start


def uv(env: Path, requirements: Path) -> list[str]:
    """The command as the module environment_packages gives it."""
    options = ["--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    return [find_uv_bin(), "pip", "install", "--python", str(env / "bin" / "python"), *options, "-r", str(requirements)]


def pip(env: Path, requirements: Path) -> list[str]:
    """The same with pip; --no-compile because uv does not compile either."""
    options = ["-qqq", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--no-compile"]
    return [str(env / "bin" / "python"), "-m", "pip", "install", *options, "-r", str(requirements)]


if __name__ == "__main__":
    main()
