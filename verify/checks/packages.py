"""The installed packages, set by set, judged against the lock: at their locked versions, and whole."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from ..macos import other_wheel
from ..profile.lock import Lock
from ..profile.model import Profile
from ..results.model import CheckResult
from .advice import failed, warned

PREFIX = "packages"
_NAMED = 5


@dataclass(frozen=True)
class Share:
    """One set's share of the locked packages.

    Attributes:
        versions: locked version by canonical name.
        named: names of those that the profile itself asks for.
    """

    versions: dict[str, str]
    named: tuple[str, ...]


def shares(profile: Profile, lock: Lock, sets: Iterable[str]) -> dict[str, Share]:
    """The locked packages by set. What several sets need belongs to the first, as when it is installed.

    Args:
        profile: has the sets.
        lock: of the target's platform.
        sets: names, in the profile's order.
    """
    found: dict[str, Share] = {}
    taken: set[str] = set()
    for name in sets:
        requirements = profile.package_set(name).requirements
        versions = {pin.name: pin.version for pin in lock.closure(requirements) if pin.name not in taken}
        found[name] = Share(versions, tuple(pin.name for pin in lock.direct(requirements) if pin.name in versions))
        taken.update(versions)
    return found


def judge(
    name: str,
    share: Share,
    data: dict[str, Any],
    wheels: Mapping[str, tuple[int, ...]] | None = None,
    macos: int = 0,
) -> CheckResult:
    """The result of one set's check.

    Args:
        name: the set.
        share: what must be there.
        data: what the environment's probe says of the packages.
        wheels: the numbers of the macOS releases that have wheels of their own, by package.
        macos: the number of the machine's; 0 where it has none.
    """
    check, versions = f"{PREFIX}.{name}", share.versions
    wrong = [problem for one, version in sorted(versions.items()) if (problem := _version(one, version, data))]
    broken = {one: data["problems"][one] for one in sorted(versions) if one in data["problems"]}
    count = len(wrong) + sum(one["count"] for one in broken.values())
    if count:
        problems = [*wrong, *(f"{one}: {problem}" for one, found in broken.items() for problem in found["first"])]
        # Its advice covers the others'.
        altered = any(one["altered"] for one in broken.values())
        return failed(check, "altered" if altered else "wrong-versions" if wrong else "damaged", _some(problems, count))
    split = wheels or {}
    others = [
        said for one in sorted(split.keys() & versions.keys()) if (said := _release(one, data, split[one], macos))
    ]
    if others:
        return warned(check, "other-release", _some(others, len(others)))
    files = sum(data["files"][one] for one in versions)
    named = ", ".join(f"{one} {versions[one]}" for one in share.named)
    recorded = "content (SHA-256)" if data["content"] else "size"
    return CheckResult(
        check, "pass", f"{named}; {len(versions)} packages as locked, {files} files with their recorded {recorded}"
    )


def _version(name: str, wanted: str, data: dict[str, Any]) -> str:
    found = data["installed"].get(name, [])
    if not found:
        return f"{name} {wanted} is missing"
    if len(found) > 1:
        return f"{name} is there {len(found)} times ({', '.join(found)}), locked is {wanted}"
    if not _same(found[0], wanted):
        return f"{name} is {found[0]}, locked is {wanted}"
    return "" if name in data["files"] else f"nothing was said of the files of {name}"


def _release(name: str, data: dict[str, Any], wheels: tuple[int, ...], macos: int) -> str:
    """That a wheel is for another macOS than the machine's: after an upgrade an environment keeps its wheels.

    Args:
        name: of the package.
        data: what the environment's probe says.
        wheels: the numbers of the macOS releases that have wheels of their own.
        macos: the number of the machine's.
    """
    installed = {int(one.partition(".")[0]) for one in data["releases"].get(name, ())}
    best = other_wheel(installed, wheels, macos)
    return (
        f"{name} is the wheel for macOS {min(installed)}, and for macOS {macos} there is that for {best}"
        if best
        else ""
    )


def _same(found: str, wanted: str) -> bool:
    try:
        return Version(found) == Version(wanted)
    except InvalidVersion:
        return found == wanted


def _some(problems: list[str], count: int) -> str:
    shown = "; ".join(problems[:_NAMED])
    return shown if count <= _NAMED else f"{shown}; and {count - _NAMED} more"
