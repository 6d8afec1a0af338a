"""`python -m verify linkcheck`: will locked wheels load on a Mac? Answered without one.

Asked of a profile, of a requirements file or lock of any project, or of an environment that is there; and of every
macOS from the oldest that it serves to the newest. There may be several wheels of a package, and a Mac takes the newest
that its macOS allows.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from .. import macos
from ..errors import UserError
from ..macos import Version
from ..profile import model as profiles
from ..profile.model import Profile
from ..profile.names import DEFAULT
from ..text import line, masked
from . import sarif, staging
from .check import Check, Progress
from .findings import accept
from .packages import Target
from .report import Choice, Report, merge, show, write_json
from .tree import Known, Tree

PLATFORM = "darwin-arm64"
_OLDEST: Version = (14, 0, 0)
"""The oldest macOS that PyTorch and MLX have wheels for."""
_SITE = "lib/python3.*/site-packages"


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 0 all loads, 1 something does not."""
    parser = argparse.ArgumentParser(
        prog="python -m verify linkcheck",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--profile", default=DEFAULT, help="a profile, or the path of its folder (default: %(default)s)")
    what.add_argument(
        "--requirements", type=Path, metavar="FILE", help="a requirements.txt, pylock.toml (PEP 751) or uv.lock"
    )
    what.add_argument(
        "--environment", type=Path, metavar="FOLDER", help="an environment of a Mac, or a folder with its site-packages"
    )
    parser.add_argument(
        "--python", type=_python, metavar="3.X", help="of --requirements and --environment (default: this one's)"
    )
    parser.add_argument(
        "--macos",
        type=_releases,
        metavar="VERSION,…",
        help="of --requirements and --environment (default: 14 and each newer one)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    parser.add_argument("--sarif", type=Path, metavar="FILE", help="write it as SARIF, which code hosts show")
    parser.add_argument("--fresh", action="store_true", help="check even if nothing has changed since the last time")
    options = parser.parse_args(arguments)
    if options.requirements or options.environment:
        python = options.python or _python_of(options.environment) or ".".join(map(str, sys.version_info[:2]))
        releases = options.macos or macos.served(_OLDEST)
        target = Target(python, releases[0], os.environ.get("ENABLE_PJRT_COMPATIBILITY") in ("1", "true"))
        if options.requirements:
            report = check_requirements(options.requirements, target, releases, say)
        else:
            report = check_environment(options.environment, target, releases, say)
        subject = options.requirements
    else:
        if options.python or options.macos:
            parser.error("a profile has its own Python and macOS")
        loaded = profiles.load(options.profile)
        report = check_profile(loaded, say, fresh=options.fresh)
        subject = loaded.lock_path(PLATFORM)
    show(report, Console(highlight=False))
    if options.json:
        write_json(report, options.json)
    if options.sarif:
        sarif.write(report, subject, options.sarif)
    return 0 if report.loads else 1


def _python(text: str) -> str:
    if not re.fullmatch(r"3\.[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a minor version such as 3.12")
    return text


def _releases(text: str) -> tuple[Version, ...]:
    try:
        return tuple(sorted({macos.parse_version(one) for one in text.split(",")}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not VERSION,VERSION,…") from error


def say(what: str) -> None:
    """Tell what is being done, apart from the result."""
    print(f"linkcheck: {line(masked(what))}", file=sys.stderr)


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
            platform = loaded.platform(PLATFORM)

            def lay_down(one: Target, place: Path) -> None:
                staging.lay_down_lock(loaded, platform, place, macos.show_version(one.floor))

            choices = _lay_down(lay_down, target, macos.served(target.floor), Path(folder), progress)
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


def _lay_down(
    lay_down: Callable[[Target, Path], None],
    target: Target,
    releases: Iterable[Version],
    folder: Path,
    progress: Progress,
) -> list[_Laid]:
    """Lay packages down as each macOS takes them, and keep what differs.

    Args:
        lay_down: puts the packages for a target's oldest macOS into a folder.
        target: what they are meant for; of its macOS `releases` take the place.
        releases: in order.
        folder: where.
        progress: is told what is done.
    """
    known, laid = Known(), list[_Laid]()
    for release in releases:
        here, place = replace(target, floor=release), folder / macos.show_version(release)
        progress(f"laying packages down as macOS {place.name} takes them")
        lay_down(here, place)
        tree = Tree.scan(place, known)
        same = next((one for one in laid if tree.is_same(one.tree)), None)
        if same is None:
            differs = _differing(tree, laid[0].tree) if laid else ()
            laid.append(_Laid(tree, here, differs))
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


def check_requirements(file: Path, target: Target, releases: Iterable[Version], progress: Progress) -> Report:
    """Check the packages of a requirements file or a lock, as each macOS takes them.

    Raises:
        UserError: it cannot be read, or the packages cannot be had as wheels.
    """
    started = time.monotonic()
    if not file.is_file():
        raise UserError(f"There is no file {file}.")
    _cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tree-", dir=_cache_folder()) as folder:

        def lay_down(one: Target, place: Path) -> None:
            staging.lay_down_file(file.resolve(), one, place)

        choices = _lay_down(lay_down, target, releases, Path(folder), progress)
        report = merge([_check(choice, file.name, progress) for choice in choices])
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return replace(report, lock_sha256=digest, seconds=time.monotonic() - started)


def check_environment(folder: Path, target: Target, releases: tuple[Version, ...], progress: Progress) -> Report:
    """Check an environment that is there: the folder itself, or its lib/pythonX.Y/site-packages.

    What else lies there, such as compiled code and scripts, is nobody's fault.

    Raises:
        UserError: it has no packages.
    """
    site = next(iter(sorted(folder.glob(_SITE))), folder)
    if not any(site.glob("*.dist-info")):
        raise UserError(f"There are no packages in {folder}.")
    report = check_folder(site, replace(target, floor=releases[0], later=releases[1:]), str(folder), progress)
    return report.with_findings(one for one in report.findings if one.kind not in ("no-owner", "leaves-folder"))


def _python_of(environment: Path | None) -> str | None:
    """The Python of an environment, as the folder of its packages says."""
    found = sorted(environment.glob(_SITE)) if environment else []
    return found[0].parent.name.removeprefix("python") if found else None


def target_of(loaded: Profile) -> Target:
    """What a profile's packages are meant for."""
    floor = loaded.platform(PLATFORM).macos_floor or loaded.platform(PLATFORM).macos_deployment_target or "11.0"
    # As in the activated environment, which has the variables of all.
    sets = [loaded.base, *loaded.frameworks.values()]
    compatibility = any(one.environment.get("ENABLE_PJRT_COMPATIBILITY") in ("1", "true") for one in sets)
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
        if path.suffix in (".py", ".json", ".txt"):
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
