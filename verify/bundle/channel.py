"""A conda channel with nothing but what some packages need, for a machine of another platform.

conda cannot be asked, since it may not be here. Another solver of its packages, rattler, comes from the package index
when it is needed, pinned and with its hashes (solver.txt): it is larger than all the rest that a controller needs.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from .. import ROOT
from ..errors import UserError
from ..profile.lock import SOLVER_LOCK
from ..profile.model import Platform
from . import allowed
from .fetch import fetch

_PLACE = ROOT / ".venv" / "solver"
SUBDIRS = {"darwin-arm64": "osx-arm64", "linux-x86_64": "linux-64", "linux-aarch64": "linux-aarch64"}
"""conda's names of the profile's platforms."""
# What conda calls virtual packages: what it would find out about the machine itself.
_GLIBC = "2.35"
# Prints the records of all packages that are needed, as repodata.json has them, each with its address.
_SOLVE = """
import asyncio, json, os, sys
from rattler import BuildString, GenericVirtualPackage, PackageName, Version, solve
asked = json.load(sys.stdin)
machine = [GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
           for name, version, build in asked["machine"]]
found = asyncio.run(solve([asked["channel"]], asked["specs"], platforms=[asked["subdir"], "noarch"],
                          virtual_packages=machine))
json.dump([{"url": one.url, "file": one.file_name, "subdir": one.subdir, "record": json.loads(one.to_json())}
           for one in found], sys.stdout)
sys.stdout.flush()
# The solver's own threads may still hold Python, which aborts where it comes to its ordinary end then.
os._exit(0)
"""


def collect(folder: Path, channel: str, specs: list[str], platform: Platform) -> list[str]:
    """Have in a bundle, as `conda/conda-forge`, what an environment with some packages consists of.

    Args:
        folder: the bundle's.
        channel: address of the channel.
        specs: as `conda create` takes them, for example python=3.11.
        platform: for which machine.

    Returns:
        the files that were fetched, as paths in the bundle.

    Raises:
        UserError: the channel cannot be read, has no solution, or a file of it is not what it says.
    """
    subdir = SUBDIRS[platform.name]
    machine = [["__unix", "0", "0"]]
    if platform.macos_floor:
        machine += [["__osx", platform.macos_floor, "0"], ["__archspec", "1", "m1"]]
    else:
        machine += [["__linux", "5.10", "0"], ["__glibc", _GLIBC, "0"]]
    question = {"channel": channel, "specs": specs, "subdir": subdir, "machine": machine}
    fetched = []
    repodata: dict[str, dict[str, Any]] = {name: _empty(name) for name in (subdir, "noarch")}
    for one in _solve(question):
        name = f"conda/conda-forge/{one['subdir']}/{allowed.name(one['file'])}"
        if one["subdir"] not in repodata or not one["url"].startswith(("https://", "http://", "file://")):
            raise UserError(f"{channel} names a file in a folder or at an address that is none: {str(one)[:200]!r}")
        if fetch(one["url"], allowed.inside(folder, name), allowed.digest(one["record"]["sha256"])):
            fetched.append(name)
        kind = "packages.conda" if one["file"].endswith(".conda") else "packages"
        # Where it was does not count any more.
        record = {key: value for key, value in one["record"].items() if key not in {"channel", "url", "fn"}}
        repodata[one["subdir"]][kind][one["file"]] = record
    for name, content in repodata.items():
        place = folder / "conda" / "conda-forge" / name / "repodata.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return fetched


def _empty(subdir: str) -> dict[str, Any]:
    return {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "removed": [], "repodata_version": 1}


def _solve(question: dict[str, Any]) -> list[dict[str, Any]]:
    stamp = _PLACE / "stamp"
    if not stamp.exists() or stamp.read_bytes() != SOLVER_LOCK.read_bytes():
        command = [find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(_PLACE)]
        options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--reinstall", "-r", str(SOLVER_LOCK)]
        _run([*command, *options], "", "The solver could not be fetched from the package index")
        stamp.write_bytes(SOLVER_LOCK.read_bytes())
    script = f"import sys; sys.path.insert(0, {str(_PLACE)!r})\n{_SOLVE}"
    said = _run([sys.executable, "-c", script], json.dumps(question), f"{question['channel']} gives no solution")
    records: list[dict[str, Any]] = json.loads(said)
    return records


def _run(command: list[str], text: str, failure: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UserError(f"{failure}: {done.stderr.strip()[-1500:]}")
    return done.stdout
