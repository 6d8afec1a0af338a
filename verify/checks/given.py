"""The health of an environment that is looked at by its path, whoever made it: no profile, record or lock says a thing.

What the frameworks in it compute is looked at as in a converged one; what only a profile could say is skipped, with
that reason.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from ..errors import UserError
from ..profile import model as profiles
from ..profile.model import BASE, Framework, Profile
from ..results.model import CheckResult
from ..target import remote
from ..target.answers import Outcome
from ..target.record import Record
from ..target.remote import ENVIRONMENT, INTERPRETER, SYSTEM
from . import packages
from .advice import elsewhere, failed
from .environment import EnvironmentJudge
from .health import ENVIRONMENT_TIMEOUT_S, HostHealth
from .plan import MEASURED, NO_PROFILE, QUICK, SETUP
from .reach import NO_ENVIRONMENT, InterpreterJudge
from .walk import NOT_JUDGED

_UNSAID = {
    SYSTEM: f"{NO_PROFILE} asks for Homebrew or conda here",
    "packages": f"{NO_PROFILE} says which packages there must be",
    "variables": f"{NO_PROFILE} says which variables there must be",
    "shell": f"{NO_PROFILE} says what a new terminal must find",
}
_UNREACHABLE = "not reached: the host is unreachable"
_NUMPY = "numpy"
WITHOUT_NUMPY = ("import", "device", "execute", "exit")
"""What can be looked at where there is no numpy, which all else is held against."""
_NO_NUMPY = "numpy, which results are held against, is not in this environment"


class GivenHealth(HostHealth):
    """Checks one environment of one host; see HostHealth."""

    _frameworks: dict[str, Framework]
    _stored: dict[str, str]

    def check(self, name: str) -> CheckResult:
        """The answer to one check: without the advice to converge what nobody did."""
        answer = super().check(name)
        if answer.fault:
            answer = replace(answer, advice=elsewhere(answer.fault))
            self.report.checks[-1] = answer
        return answer

    def _check_setup(self) -> list[CheckResult]:
        reach = InterpreterJudge()
        outcome = remote.find(self._host, self._plan.environment)
        found = self._walk(INTERPRETER, reach, outcome, remote.CONNECT_TIMEOUT_S)
        found += self._walk(SYSTEM, None, Outcome({}, "exit"), 0.0, skipped=_UNSAID)
        if not reach.python:
            self._obstacle = "not reached: environment.record failed" if reach.platform else _UNREACHABLE
            if NO_ENVIRONMENT in {one.fault for one in found}:
                self.note(UserError("there was nothing to look at"))
            return found
        if reach.platform not in self._plan.profile.platforms:
            self._obstacle = "not reached: the platform is not known"
            message = f"this is {reach.platform}; known are {', '.join(self._plan.profile.platforms)}"
            return [*found, failed("environment.platform", "wrong-platform", message)]
        record = Record(
            profile=self._plan.profile.name,
            provider="conda" if reach.conda else "uv",
            prefix=reach.prefix,
            frameworks=(),
            shell="",
        )
        return [*found, *self._look_into(record, reach)]

    def _look_into(self, record: Record, reach: InterpreterJudge) -> list[CheckResult]:
        limit = min(self._limit, ENVIRONMENT_TIMEOUT_S)
        parameters = {
            "prefix": record.prefix,
            "packages": [],
            "everywhere": True,
            "content": False,
            "provider": record.provider,
            "sets": [],
            "state": self._plan.level != SETUP,
            "terminal": "",
            "conda": "",
        }
        outcome = remote.probe(self._host, reach.python, ENVIRONMENT, parameters, {}, limit)
        subject = EnvironmentJudge(None, record, reach.platform, {}, self.report)
        sets = [BASE, *self._plan.candidates]
        # What could not be read is told all the same: what follows rests on it.
        reports = outcome.reports
        unsaid = {name: why for name, why in _UNSAID.items() if name not in reports or reports[name].event == "end"}
        found = self._walk(ENVIRONMENT, subject, outcome, limit, skipped=unsaid, set=sets)
        python = outcome.data("python")
        if python is None:
            if remote.TOO_OLD in outcome.evidence:
                version = outcome.evidence.partition(remote.TOO_OLD)[2].split()
                self.note(UserError(remote.TOO_OLD + "".join(version[:1])))
            self._obstacle = self._obstacle or "not reached: the environment's Python does not run"
            return found
        listed = outcome.data("packages")
        if listed is None:
            broken = next((f"not reached: {one.check} failed" for one in found if one.result == "fail"), NOT_JUDGED)
            self._obstacle = self._obstacle or broken
            return found
        self._installed = frozenset(listed["installed"])
        self._stored = (outcome.data("variables") or {"stored": {}})["stored"].get("", {})
        self._frameworks = choose(self._installed, reach.platform)
        here = tuple(name for name in self._plan.candidates if name in self._frameworks)
        self._python, self._platform, self._record = reach.python, reach.platform, replace(record, frameworks=here)
        absent = {f"{packages.PREFIX}.{name}": name for name in self._plan.candidates if name not in here}
        if _NUMPY not in self._installed and self._plan.level in MEASURED:
            self.note(UserError(f"{_NO_NUMPY}: install it there, or ask for the level {QUICK}"))
        if not here:
            titles = ", ".join(self._plan.profile.frameworks[name].title for name in self._plan.candidates)
            self.note(UserError(f"there was nothing to look at: {python['prefix']} has none of {titles}"))
        return [self._missing(one) if one.check in absent else one for one in found]

    def _missing(self, one: CheckResult) -> CheckResult:
        message = "not in this environment"
        return (
            replace(one, message=message)
            if self._plan.frameworks is None
            else failed(one.check, "not-installed", message)
        )

    def _wanted(self, name: str) -> Framework:
        wanted = self._frameworks[name]
        # What is optional beside others in a profile is not where it was asked for, or is all that there is.
        counts = self._plan.frameworks is not None or not any(one.required for one in self._frameworks.values())
        return replace(wanted, required=wanted.required or counts)

    def _variables(self) -> dict[str, str]:
        # What `conda activate` sets; others keep none with the environment.
        return self._stored

    def _locked(self, name: str) -> str | None:  # noqa: ARG002 - nothing is locked here
        return None

    def _skipped(self, name: str) -> dict[str, str]:
        if _NUMPY in self._installed:
            return {}
        return {one.name: _NO_NUMPY for one in self._stages(name) if one.name not in WITHOUT_NUMPY}


def catalogue(environment: str) -> Profile:
    """What stands for a profile where none is asked: every framework that one of the project's profiles knows.

    Args:
        environment: the path, which results go by in place of a profile's name.
    """
    first, *others = _loaded()
    known: dict[str, Framework] = {}
    for one in (first, *others):
        for name, framework in one.frameworks.items():
            known.setdefault(name, framework)
    return replace(first, name=environment, frameworks=known)


def choose(installed: Iterable[str], platform: str) -> dict[str, Framework]:
    """The frameworks that are installed, each as the profile has it of whose packages most are there.

    Args:
        installed: canonical names of what is installed.
        platform: the machine's, as profiles name it.
    """
    there = frozenset(installed)
    best: dict[str, tuple[tuple[bool, int], Framework]] = {}
    for profile in _loaded():
        for name, framework in profile.frameworks.items():
            if not there.intersection(framework.distributions):
                continue
            asked: frozenset[str] = frozenset()
            # Not locked for such a machine, or a lock that cannot be read: nothing to go by.
            with suppress(UserError):
                asked = frozenset(pin.name for pin in profile.lock(platform).direct(framework.requirements))
            worth = (platform in framework.device, len(asked & there))
            if name not in best or worth > best[name][0]:
                best[name] = (worth, framework)
    return {name: found[1] for name, found in best.items()}


def _loaded() -> list[Profile]:
    return [profiles.load(name) for name in profiles.names()]
