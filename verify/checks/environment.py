"""The machine, the environment's Python, its packages and variables: what their probe saw, held against the profile."""

from dataclasses import dataclass, field

from packaging.version import InvalidVersion, Version

from ..profile.model import Profile
from ..results.model import CheckResult, HostReport
from ..target.answers import Report
from ..target.record import Record
from . import packages, shell
from .advice import failed
from .packages import Share

PREFIX = "environment"
_NAMED = 5


@dataclass(frozen=True)
class EnvironmentJudge:
    """Judges the stages of the environment's probe.

    Attributes:
        profile: what the machine must be; None where nothing says so.
        record: what the target says it has.
        platform: the target's, known to the profile if there is one.
        shares: the locked packages, by package set.
        report: to fill with what the machine is.
        wheels: the numbers of the macOS releases that have wheels of their own, by package.
    """

    profile: Profile | None
    record: Record
    platform: str
    shares: dict[str, Share]
    report: HostReport
    wheels: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def python(self, report: Report) -> list[CheckResult]:
        """The check environment.python."""
        check, data = f"{PREFIX}.python", report.data
        version, machine = data["version"], self.platform.partition("-")[2]
        if self.profile and not version.startswith(f"{self.profile.python}."):
            return [failed(check, "wrong-python", f"Python {version} instead of {self.profile.python}")]
        # That Rosetta translates it is the platform's check to say.
        if data["machine"] != machine and not data["translated"]:
            return [failed(check, "wrong-python", f"a Python for {data['machine']} on {machine}")]
        if self.profile and data["prefix"] != data["wanted_prefix"]:
            message = f"its Python belongs to {data['prefix']}, not to {data['wanted_prefix']}"
            return [failed(check, "wrong-python", message)]
        place = self.record.prefix if self.profile else data["prefix"]
        return [CheckResult(check, "pass", f"Python {version} for {machine} in {place}")]

    def machine(self, report: Report) -> list[CheckResult]:
        """The check environment.platform."""
        check, data = f"{PREFIX}.platform", report.data
        self.report.machine = data
        if data["translated"]:
            return [failed(check, "translated", "Rosetta translates the environment's Python")]
        floor = self.profile.platform(self.platform).macos_floor if self.profile else None
        if floor and _older(data["os_version"], floor):
            return [failed(check, "too-old", f"macOS {data['os_version']}, needed is {floor}")]
        text = f"{self.platform}, {data['system']} {data['os_version']}, {data['cpu']}"
        return [CheckResult(check, "pass", text)]

    def packages(self, report: Report) -> list[CheckResult]:
        """The checks packages.SET."""
        data, release = report.data, self._macos()
        return [packages.judge(name, share, data, self.wheels, release) for name, share in self.shares.items()]

    def _macos(self) -> int:
        """The number of the machine's macOS before the dot; 0 where it has none, or does not say."""
        machine = self.report.machine or {}
        number = machine.get("os_version", "").partition(".")[0]
        return int(number) if machine.get("system") == "Darwin" and number.isdecimal() else 0

    def shell(self, report: Report) -> list[CheckResult]:
        """The checks shell.*."""
        return shell.judge(self.record, report.data)

    def variables(self, report: Report) -> list[CheckResult]:
        """The check environment.variables."""
        assert self.profile
        check, everything = f"{PREFIX}.variables", report.data["stored"]
        wrong = []
        for name in self.record.sets:
            wanted = self.profile.package_set(name).environment
            shared = "" in everything
            stored = everything.get("" if shared else name, {})
            wrong += [
                f"{key} is {stored.get(key, 'not set')!r} instead of {value!r}"
                for key, value in wanted.items()
                if stored.get(key) != value
            ]
            # A user's own variables share conda's file; the files of our own sets hold what the profile says only.
            wrong += [
                f"{key} is stored for {name}, but not in the profile"
                for key in stored
                if not shared and key not in wanted
            ]
        if wrong:
            more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            return [failed(check, "wrong-variables", "; ".join(wrong[:_NAMED]) + more)]
        return [CheckResult(check, "pass", "stored as the profile says")]


def _older(version: str, floor: str) -> bool:
    try:
        return Version(version) < Version(floor)
    except InvalidVersion:
        return True
