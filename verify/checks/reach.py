"""The first look at a machine: whether it answers, and what environment its record names."""

from contextlib import suppress
from dataclasses import replace

from ..documents import MalformedError
from ..profile.model import Profile
from ..results.model import CheckResult
from ..target import record
from ..target.answers import Report
from ..target.record import Record
from .advice import failed

_RECORD = "environment.record"
NO_ENVIRONMENT = "no-environment"
"""The fault of a machine, or a path, without an environment."""


class ReachJudge:
    """Judges the first look.

    Args:
        profile: what the machine must be.

    After `look`, `platform` is the machine's, as profiles name it; after `record`, `found` is its record, if there is
    one.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._path = self._text = ""
        self._others: list[str] = []
        self.platform = ""
        self.found: Record | None = None

    def look(self, report: Report) -> list[CheckResult]:
        """The check environment.reachable."""
        data = report.data
        self.platform = f"{data['system'].lower()}-{data['machine']}"
        self._path, self._text, self._others = data["record_path"], data["record"], data["others"]
        return [CheckResult("environment.reachable", "pass", f"answers, {self.platform}")]

    def record(self, _report: Report) -> list[CheckResult]:
        """The check environment.record."""
        name = self._profile.name
        if not self._text:
            message = f"no environment of the profile {name}: {self._path} is not there"
            return [failed(_RECORD, NO_ENVIRONMENT, message)]
        try:
            found = record.parse(self._text, name)
            strange = [one for one in found.frameworks if one not in self._profile.frameworks]
            if strange:
                raise MalformedError(f"it names {', '.join(strange)}, which the profile {name} does not know")
        except MalformedError as error:
            return [failed(_RECORD, "bad-record", f"{self._path}: {error}")]
        self.found = replace(found, other=self._other())
        message = f"{found.prefix}, with {', '.join(found.frameworks) or 'no frameworks'}"
        return [CheckResult(_RECORD, "pass", message)]

    def _other(self) -> Record | None:
        """The other profile's environment that has the block in the shell file, as far as its record can be read."""
        for text in self._others:
            with suppress(MalformedError):
                return record.parse(text, None)
        return None


class InterpreterJudge:
    """Judges the first look at an environment that is looked at by its path.

    After `found`, `platform` is the machine's, as profiles name it; `python` and `prefix` are the environment's and
    `conda` says whether it is one of conda's; all "" where there is none.
    """

    def __init__(self) -> None:
        self.platform = self.python = self.prefix = ""
        self.conda = False

    def found(self, report: Report) -> list[CheckResult]:
        """The checks environment.reachable and environment.record."""
        data = report.data
        self.platform = f"{data['system'].lower()}-{data['machine']}"
        return [CheckResult("environment.reachable", "pass", f"answers, {self.platform}"), self._environment(data)]

    def _environment(self, data: dict[str, str]) -> CheckResult:
        given, python, beside = data["given"], data["python"], data.get("beside", "")
        hint = f"; there is one in {beside}: name that" if beside else ""
        fault, problem = {
            "missing": (NO_ENVIRONMENT, f"{given} is not there"),
            "no-environment": (
                NO_ENVIRONMENT,
                f"{given} is no environment: it has neither bin/python, nor .venv/bin/python, nor "
                f".pixi/envs/default/bin/python{hint}",
            ),
            "dangling": ("wrong-python", f"{python} is a link to a Python that is gone"),
            "not-executable": ("wrong-python", f"{python} cannot be run"),
        }.get(data["state"], ("", ""))
        if fault:
            return failed(_RECORD, fault, problem)
        self.python, self.prefix, self.conda = python, data["prefix"], data["kind"] == "conda"
        kinds = {"venv": "a virtual environment", "conda": "an environment of conda's kind"}
        return CheckResult(_RECORD, "pass", f"{self.prefix}, {kinds.get(data['kind'], 'a Python of its own')}")
