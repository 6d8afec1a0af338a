"""Answers of machines to judge in tests: they come in as real ones do, through the boundary."""

from typing import Any

from verify.checks import stages
from verify.checks.walk import Asked, walk
from verify.results.model import CheckResult
from verify.target import answers
from verify.target.answers import Outcome


def records(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What a probe writes about stages that came to their end, from their data."""
    written: list[dict[str, Any]] = []
    for stage, data in found.items():
        written.append({"stage": stage, "event": "start"})
        written.append({"stage": stage, "event": "end", "seconds": 1.0, "data": data})
    return written


def outcome(probe: str, written: list[dict[str, Any]], **ended: Any) -> Outcome:
    """The outcome of a probe that wrote these records and, unless said otherwise, ended well."""
    return Outcome(answers.reports(probe, written), **{"ended": "exit", "seconds": 9.0, **ended})


def judged(
    probe: str, subject: Any, answer: Outcome, *, level: str = "full", required: bool = True, **values: list[str]
) -> list[CheckResult]:
    """The answers of all checks of a probe; what goes wrong in a judge is raised."""
    problems: list[Exception] = []
    asked = Asked(stages.of(probe, level), values, subject, answer, 60.0, required)
    found = walk(asked, problems.append)
    if problems:
        raise problems[0]
    return found
