"""What Homebrew and conda have on a machine, judged against what the record says was asked of them."""

import re

from ..results.model import CheckResult
from ..target.answers import Report
from ..target.record import Conda, Homebrew, Record
from .advice import failed

PREFIX = "system"


def questions(record: Record) -> list[str]:
    """The arguments of verify/probes/system.sh; none where nobody asked for Homebrew or conda."""
    homebrew, conda = record.homebrew, record.conda
    if homebrew is None and conda is None:
        return []
    names = [] if homebrew is None else [f"formula:{one}" for one in homebrew.formulae]
    names += [] if homebrew is None else [f"cask:{one}" for one in homebrew.casks]
    return [homebrew.prefix if homebrew else "", conda.root if conda else "", *names]


def judge(record: Record, report: Report) -> list[CheckResult]:
    """The results of all checks, in their order.

    Args:
        record: what was asked for.
        report: what system.sh said, by key; empty where it was not asked.
    """
    return [*_homebrew(record.homebrew, report.data), _conda(record.conda, report.data)]


def _homebrew(asked: Homebrew | None, answer: dict[str, str]) -> list[CheckResult]:
    if asked is None:
        reason = "no Homebrew was asked for here (the record names none)"
        return [_skip(name, reason) for name in ("homebrew", "formulae", "casks")]
    tool = _tool("homebrew", f"{asked.prefix}/bin/brew", answer.get("homebrew", ""))
    return [tool, _names("formulae", "formula", asked.formulae, answer), _names("casks", "cask", asked.casks, answer)]


def _conda(asked: Conda | None, answer: dict[str, str]) -> CheckResult:
    if asked is None:
        return _skip("conda", "no conda was asked for here (the record names none)")
    return _tool("conda", f"{asked.root}/bin/conda", answer.get("conda", ""))


def _tool(check: str, path: str, said: str) -> CheckResult:
    """A command that says its version in whatever words: `missing`, `cut-off`, or exit code and what it printed."""
    if said == "cut-off":
        return _fail(check, "not-installed", f"{path} is of a clone that was cut off, and works by chance at best")
    if said == "missing":
        return _fail(check, "not-installed", f"{path} is not there, or cannot be run")
    code, _, text = said.partition(" ")
    if code != "0" or not re.search(r"\d+\.\d+", text):
        return _fail(check, "no-answer", f"{path} --version ended with exit code {code or '?'}: {text or 'nothing'}")
    return CheckResult(f"{PREFIX}.{check}", "pass", f"{text}, {path}")


def _names(check: str, kind: str, names: tuple[str, ...], answer: dict[str, str]) -> CheckResult:
    """Formulae or casks; `present`, `missing`, `unlinked`, or `gone` and what a cask's link leads to."""
    if not names:
        return _skip(check, f"no {check} were asked for")
    wrong, fault = [], "not-on-path"
    for name in names:
        state, _, place = answer.get(f"{kind}:{name}", "").partition(" ")
        if state in {"missing", "gone"}:
            fault = "not-installed"
        if state == "missing":
            wrong.append(f"{name} is not installed")
        elif state == "unlinked":
            wrong.append(f"{name} is installed but not linked, so no shell finds it")
        elif state == "gone":
            wrong.append(f"{place} of {name} is gone; bring it back with `brew reinstall --cask {name}`")
        elif state != "present":
            return _fail(check, "malformed", f"nothing was said of {name}")
    if wrong:
        return _fail(check, fault, "; ".join(wrong))
    return CheckResult(f"{PREFIX}.{check}", "pass", ", ".join(names))


def _skip(check: str, reason: str) -> CheckResult:
    return CheckResult(f"{PREFIX}.{check}", "skip", reason)


def _fail(check: str, fault: str, message: str) -> CheckResult:
    return failed(f"{PREFIX}.{check}", fault, message)
