"""`python -m verify linkcheck`: will the profile's locked wheels load on a Mac? Answered without one."""

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from ..profile import model as profiles
from ..profile.model import Profile
from . import staging
from .check import Check, Progress
from .findings import accept
from .packages import Target
from .report import Report, show, write_json
from .system import parse_version
from .tree import Tree

PLATFORM = "darwin-arm64"


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0 all loads, 1 something does not."""
    parser = argparse.ArgumentParser(
        prog="python -m verify linkcheck",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", default="ml-m1", help="the profile (default: ml-m1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    parser.add_argument("--fresh", action="store_true", help="check even if nothing has changed since the last time")
    options = parser.parse_args(arguments)
    loaded = profiles.load(options.profile)
    report = check_profile(loaded, say, fresh=options.fresh)
    show(report, Console(highlight=False))
    if options.json:
        write_json(report, options.json)
    return 0 if report.loads else 1


def say(what: str) -> None:
    """Tell what is being done, apart from the result."""
    print(f"linkcheck: {what}", file=sys.stderr)


def check_profile(loaded: Profile, progress: Progress, *, fresh: bool = False) -> Report:
    """Check a profile's lock, or take the result of the last time where neither it nor the check has changed.

    Raises:
        UserError: the lock is missing or out of date, or its wheels cannot be had.
    """
    platform = loaded.platform(PLATFORM)
    lock = loaded.lock(PLATFORM)
    digest = hashlib.sha256(lock.path.read_bytes()).hexdigest()
    target = target_of(loaded)
    kept = _cache_folder() / f"{_key(digest, target)}.json"
    report = None if fresh else _kept(kept)
    if report is None:
        started = time.monotonic()
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tree-", dir=kept.parent) as folder:
            progress(f"laying down {len(lock.pins)} packages for {PLATFORM}")
            staging.lay_down_lock(loaded, platform, Path(folder))
            report = check_folder(Path(folder), target, loaded.name, progress)
        report = replace(report, lock_sha256=digest, seconds=time.monotonic() - started)
        _keep(report, kept)
    else:
        progress(f"the lock has not changed since it was checked ({report.checked_at})")
    path = loaded.directory / "profile.yml"
    return report.with_findings(accept(report.findings, loaded.accepted_findings, str(path)))


def target_of(loaded: Profile) -> Target:
    """What a profile's packages are meant for."""
    floor = loaded.platform(PLATFORM).macos_floor or loaded.platform(PLATFORM).macos_deployment_target or "11.0"
    jax = loaded.frameworks.get("jax")
    compatibility = jax is not None and jax.environment.get("ENABLE_PJRT_COMPATIBILITY") in ("1", "true")
    return Target(loaded.python, parse_version(floor), compatibility)


def check_folder(folder: Path, target: Target, subject: str, progress: Progress, *, hashes: bool = True) -> Report:
    """Check the packages in a folder."""
    started = time.monotonic()
    progress("reading the files")
    result = Check(Tree.scan(folder), target, progress, hashes=hashes).run()
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return Report(
        subject=subject,
        platform=PLATFORM,
        python=target.python,
        macos_floor=".".join(map(str, target.floor[:2])),
        lock_sha256=None,
        checked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - started,
        peak_mb=peak * unit / 1e6,
        counts=result.counts,
        findings=tuple(result.findings),
        assumptions=tuple(result.assumptions),
    )


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "metal-lab" / "linkcheck"


def _key(lock: str, target: Target) -> str:
    """Digest of all that a result depends on: the lock, the target, the check's own files."""
    digest = hashlib.sha256(f"{lock} {target}".encode())
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".json"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _kept(path: Path) -> Report | None:
    try:
        return Report.from_document(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _keep(report: Report, path: Path) -> None:
    partial = path.with_suffix(".partial")
    write_json(report, partial)
    partial.replace(path)
