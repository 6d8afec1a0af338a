"""`python -m verify linkcheck`: will the profile's locked wheels load on a Mac? Answered without one.

Asked of every macOS from the profile's floor to the newest. A lock may have several wheels of a package, and a Mac
takes the newest that its macOS allows.
"""

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from .. import macos
from ..profile import model as profiles
from ..profile.model import Profile
from . import staging
from .check import Check, Progress
from .findings import accept
from .packages import Target
from .report import Choice, Report, merge, show, write_json
from .tree import Known, Tree

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
    lock = loaded.lock(PLATFORM)
    digest = hashlib.sha256(lock.path.read_bytes()).hexdigest()
    target = target_of(loaded)
    kept = _cache_folder() / f"{_key(digest, target)}.json"
    report = None if fresh else _kept(kept)
    if report is None:
        started = time.monotonic()
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="tree-", dir=kept.parent) as folder:
            choices = _lay_down(loaded, target, Path(folder), len(lock.pins), progress)
            report = merge([_check(choice, loaded.name, progress) for choice in choices])
        report = replace(report, lock_sha256=digest, seconds=time.monotonic() - started)
        _keep(report, kept)
    else:
        progress(f"the lock has not changed since it was checked ({report.checked_at})")
    path = loaded.directory / "profile.yml"
    return report.with_findings(accept(report.findings, loaded.accepted_findings, str(path)))


@dataclass
class _Laid:
    """Wheels that were laid down, what they are meant for, and the packages that an older release takes otherwise."""

    tree: Tree
    target: Target
    differs: tuple[str, ...] = ()


def _lay_down(loaded: Profile, target: Target, folder: Path, packages: int, progress: Progress) -> list[_Laid]:
    """Lay the lock down as each macOS takes it, and keep what differs."""
    known, laid = Known(), list[_Laid]()
    for release in macos.served(target.floor):
        place = folder / macos.show_version(release)
        progress(f"laying down {packages} packages as macOS {place.name} takes them")
        staging.lay_down_lock(loaded, loaded.platform(PLATFORM), place, place.name)
        tree = Tree.scan(place, known)
        same = next((one for one in laid if tree.is_same(one.tree)), None)
        if same is None:
            differs = _differing(tree, laid[0].tree) if laid else ()
            laid.append(_Laid(tree, replace(target, floor=release), differs))
        else:
            same.target = replace(same.target, later=(*same.target.later, release))
    return laid


def _differing(tree: Tree, first: Tree) -> tuple[str, ...]:
    """The packages (NAME-VERSION) of which two trees have other files, as their RECORDs say."""
    end = ".dist-info/RECORD"
    records = sorted(path for path in tree.files if path.endswith(end) and path.count("/") == 1)
    return tuple(
        path.removesuffix(end) for path in records if path not in first.files or tree.digest(path) != first.digest(path)
    )


def target_of(loaded: Profile) -> Target:
    """What a profile's packages are meant for."""
    floor = loaded.platform(PLATFORM).macos_floor or loaded.platform(PLATFORM).macos_deployment_target or "11.0"
    jax = loaded.frameworks.get("jax")
    compatibility = jax is not None and jax.environment.get("ENABLE_PJRT_COMPATIBILITY") in ("1", "true")
    return Target(loaded.python, macos.parse_version(floor), compatibility)


def check_folder(folder: Path, target: Target, subject: str, progress: Progress, *, hashes: bool = True) -> Report:
    """Check the packages in a folder."""
    progress("reading the files")
    return _check(_Laid(Tree.scan(folder), target), subject, progress, hashes=hashes)


def _check(laid: _Laid, subject: str, progress: Progress, *, hashes: bool = True) -> Report:
    started = time.monotonic()
    result = Check(laid.tree, laid.target, progress, hashes=hashes).run()
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return Report(
        subject=subject,
        platform=PLATFORM,
        python=laid.target.python,
        releases=result.releases,
        choices=(Choice(result.releases, laid.differs, result.counts),),
        lock_sha256=None,
        checked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - started,
        peak_mb=peak * unit / 1e6,
        findings=tuple(result.findings),
        assumptions=tuple(result.assumptions),
    )


def _cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "metal-lab" / "linkcheck"


def _key(lock: str, target: Target) -> str:
    """Digest of all that a result depends on: the lock, the target, the releases of macOS, the check's own files."""
    digest = hashlib.sha256(f"{lock} {target} {macos.releases()}".encode())
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
