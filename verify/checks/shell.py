"""What a new shell finds, as a new terminal window starts it, judged against the record."""

import shlex
from typing import Any

from ..results.model import CheckResult
from ..target.record import Record
from .advice import failed

PREFIX = "shell"
FAULT = "not-on-path"


def wanted(record: Record) -> dict[str, str]:
    """Why a check does not apply to a machine, "" for those that do; by check, in their order."""
    homebrew = bool(record.homebrew and record.homebrew.shellenv)
    return {
        "homebrew": "" if homebrew else "nobody asked for Homebrew in new shells here (the record says so)",
        "conda": ""
        if record.conda and record.conda.init
        else "nobody asked for `conda init` here (the record says so)",
        "login": "" if record.terminal else "no shell file was set up on this machine (the record names none)",
    }


def judge(record: Record, data: dict[str, Any]) -> list[CheckResult]:
    """The results of all checks, in their order.

    Args:
        record: what was set up.
        data: what the environment's probe says of the shell.
    """
    found: list[CheckResult] = []
    broken = ""
    judges = {"homebrew": _homebrew, "conda": _conda, "login": _login}
    for check, reason in wanted(record).items():
        name = f"{PREFIX}.{check}"
        if reason or broken:
            found.append(CheckResult(name, "skip", reason or f"not reached: {broken} failed"))
        elif data["error"]:
            broken = name
            found.append(_fail(record, name, f"a new {data['shell']} did not answer: {data['error']}"))
        else:
            problem, message = judges[check](record, data)
            found.append(_fail(record, name, problem) if problem else CheckResult(name, "pass", message))
    return found


def _homebrew(record: Record, data: dict[str, Any]) -> tuple[str, str]:
    assert record.homebrew
    prefix = record.homebrew.prefix
    if data["homebrew"] == prefix and data["brew"]:
        return "", f"a new {data['shell']} finds {data['brew']}"
    seen = f"brew is {data['brew'] or 'not found'} and HOMEBREW_PREFIX is {data['homebrew'] or 'not set'}"
    return f"a new {data['shell']} has not read `{prefix}/bin/brew shellenv`: {seen}", ""


def _conda(record: Record, data: dict[str, Any]) -> tuple[str, str]:
    assert record.conda
    if not data["initialised"]:
        return f"no start-up file of {data['shell']} has the block of `{record.conda.root}/bin/conda init`", ""
    if not data["conda"]:
        return f"a new {data['shell']} knows no command conda, though a start-up file has its block", ""
    return "", f"a new {data['shell']} knows conda, by the block of `conda init`"


def _login(record: Record, data: dict[str, Any]) -> tuple[str, str]:
    assert record.terminal
    if data["prefix"] != data["wanted"]:
        place = record.terminal.prefix
        return f"`python` in a new {data['shell']} is {data['python'] or 'not found'}, not that of {place}", ""
    if record.terminal is not record:
        parts = f"{shlex.quote(f'{record.prefix}/etc/metal-lab')}/*.sh"
        here = f'for part in {parts}; do . "$part"; done'
        return "", f"new terminals open in {record.terminal.profile}, and take {data['python']}; for this one: {here}"
    if data["active"] != data["wanted"]:
        return (
            f"in a new {data['shell']} the active environment is {data['active'] or 'none'}, not {data['wanted']}",
            "",
        )
    return "", f"a new {data['shell']} is in {data['wanted']}, and takes {data['python']}"


def _fail(record: Record, check: str, message: str) -> CheckResult:
    place = f" (its file: {record.terminal.shell})" if record.terminal else ""
    return failed(check, FAULT, f"{message}{place}")
