"""What people read for the names that programs read: checks, faults, results. Their languages: verify/report/locale."""

from functools import cache

from ..checks.stages import TABLE
from ..profile import model
from ..profile.model import BASE
from ..results.model import INTERNAL
from .language import Language

CHECKS = {
    **{check.name: check.title for stage in TABLE for check in stage.checks},
    INTERNAL: "verify itself went through",
}
"""Title by check; {framework} and {set} stand for what it is of."""

FAULTS = {
    "unreachable": "Unreachable",
    "no-environment": "No environment",
    "bad-record": "Record that cannot be used",
    "wrong-platform": "Wrong platform",
    "translated": "Runs under Rosetta",
    "too-old": "macOS too old",
    "wrong-python": "Wrong Python",
    "wrong-versions": "Wrong package versions",
    "damaged": "Damaged files",
    "altered": "Altered files",
    "other-release": "Wheel for another macOS",
    "wrong-variables": "Wrong variables",
    "not-on-path": "Not in new terminals",
    "not-installed": "Not installed",
    "exception": "Error",
    "numpy-abi": "Built for another NumPy",
    "hang": "Did not end in time",
    "crash": "Crashed",
    "no-answer": "No answer",
    "connection-lost": "Connection lost",
    "malformed": "Unreadable answer",
    "wrong-version": "Wrong version",
    "no-device": "Device missing",
    "fallback-set": "Fallback to the CPU is on",
    "other-device": "Computed elsewhere",
    "wrong-value": "Wrong value",
    "not-finite": "Not a number",
    "wrong-relu": "relu wrong or ignored",
    "wrong-large": "Wrong above a size",
    "no-learning": "Did not learn",
    "diverges": "Differs from the CPU",
    "memory-kept": "Memory kept",
    "two-openmp": "Two OpenMP runtimes",
    "noisy": "Noisy figures",
    "not-synchronised": "Timing that did not wait",
    "out-of-memory": "Out of memory",
    "slow": "Far slower than others of its kind",
    "no-accelerators": "Neural accelerators unused",
    "no-metal": "No Metal device in this session",
    "throttled": "Slows down under load",
    "virtual-limit": "Limit of a virtual Mac",
    "unknown-chip": "Unknown chip",
    "low-power": "Low-power mode",
    "hot": "Too hot",
    "short-of-memory": "Short of memory",
    "busy": "Busy with other work",
    "internal": "Fault of verify",
    "incomplete": "Not looked at to the end",
}
"""Title by fault."""

RESULTS = {"pass": "pass", "warn": "warn", "fail": "fail", "skip": "skip"}
"""A check's result in words."""

VERDICTS = {"healthy": "healthy", "unhealthy": "unhealthy", "unverified": "could not be verified"}
"""A machine's verdict in words."""


def against(profile: str, language: Language) -> str:
    """What a result was held against: its profile, or the path of an environment that was looked at without one."""
    return language.gettext("%(path)s, no profile", path=profile) if "/" in profile else profile


@cache
def frameworks() -> dict[str, str]:
    """How the profiles' frameworks write their own names, in the order in which they are shown."""
    return model.titles()


def framework(name: str) -> str:
    """How a framework writes its own name; its name where no profile has it."""
    return frameworks().get(name, name)


DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""Short names of kinds of numbers, in the order in which they are shown."""


BASE_TITLE = "Base"
"""How the set of base packages is called."""


def check(name: str, language: Language) -> str:
    """Title of a check, with what it is of; the check's own name where it has no title."""
    group, _, rest = name.partition(".")
    if group in frameworks() and f"{{framework}}.{rest}" in CHECKS:
        return f"{framework(group)}: {language.lookup(CHECKS[f'{{framework}}.{rest}'])}"
    if f"{group}.{{set}}" in CHECKS and rest in (BASE, *frameworks()):
        title = language.lookup(BASE_TITLE) if rest == BASE else framework(rest)
        return f"{title}: {language.lookup(CHECKS[f'{group}.{{set}}'])}"
    return language.lookup(CHECKS[name]) if name in CHECKS else name
