"""Two results of one machine, or a machine and its fleet: what became worse by more than the noise of the measuring.

A figure counts as worse when two things hold. Its better quartile is below the worse quartile of the older figure, so
that the two spreads do not touch; and its median is lower by at least what two runs on that machine differ by. That is
more than the repetitions within a run do: benchmarks/run_to_run.py measures it, noise.py keeps it. For a fleet the
older figure's spread is Tukey's lower fence of the other machines' medians, first quartile - 1.5 x interquartile range
(J. W. Tukey, Exploratory Data Analysis, 1977): below a quartile alone lies a quarter of every healthy fleet.
"""

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import noise
from .files import Stored, results_of
from .noise import ASSUMED, Noise

MIN_FLEET = 3
"""Other machines that a median is taken of, at least."""
OBSTACLES = {
    "chip-unknown": "the chip of one of them is not known",
    "other-chip": "the chips differ: %(old)s and %(new)s",
    "other-profile": "the profiles differ: %(old)s and %(new)s",
    "nothing-common": "no check and no figure is in both",
    "small-fleet": "%(count)s other machines with %(chip)s and the profile %(profile)s, needed are %(needed)s",
    "fleet-unmeasured": "it has no figure that %(needed)s other machines have as well",
    "only-old": "it is among the old results only",
    "only-new": "it is among the new results only",
    "no-earlier": "there is no earlier result of the profile %(profile)s and level %(level)s in %(folder)s",
    "unreadable": "%(file)s: %(reason)s",
}
"""Why nothing was compared, by kind."""
_FENCE = 1.5
_ORDER = {"pass": 0, "warn": 1, "fail": 2}


@dataclass(frozen=True, order=True)
class Measured:
    """What a figure is of: only figures of equal ones are compared.

    Attributes:
        framework, device: which computed it, and where.
        kind: matmul, bandwidth or sustained.
        dtype: of the numbers, "" where it makes no difference.
        n: order of the matrices, or bytes moved.
    """

    framework: str
    device: str
    kind: str
    dtype: str
    n: int


@dataclass(frozen=True)
class Figure:
    """A speed with its spread, in `unit`: the more, the better."""

    value: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class Slower:
    """A figure that became worse by more than the noise."""

    measured: Measured
    old: Figure
    new: Figure

    @property
    def change(self) -> float:
        """Of the median, as a share of the older one; below zero."""
        return self.new.value / self.old.value - 1


@dataclass(frozen=True)
class Worse:
    """A check whose result is worse than it was."""

    check: str
    fault: str
    old: str
    new: str


@dataclass(frozen=True)
class Obstacle:
    """Why a machine was not compared: the kind, and the values of its text in OBSTACLES."""

    kind: str
    values: dict[str, object] = field(default_factory=dict)


@dataclass
class Comparison:
    """A machine compared.

    Attributes:
        host, profile: of its result.
        against: what with: a host, or a chip with the number of other machines.
        since: start of the older result, "" for a fleet.
        noise: what was measured on the machine of what runs differ by; None where nothing was.
        slower, worse: the regressions.
        compared: how many figures and checks were compared.
        left_out: the figures that only one of both has.
        obstacle: why nothing was compared, or None.
    """

    host: str
    profile: str
    against: str = ""
    since: str = ""
    noise: Noise | None = None
    slower: list[Slower] = field(default_factory=list)
    worse: list[Worse] = field(default_factory=list)
    compared: int = 0
    left_out: list[Measured] = field(default_factory=list)
    obstacle: Obstacle | None = None

    @property
    def margin(self) -> float:
        """The share of the older figure by which a newer one must be lower."""
        return self.noise.share if self.noise else ASSUMED

    @property
    def regressed(self) -> bool:
        """Whether anything became worse."""
        return bool(self.slower or self.worse)


def chip(data: dict[str, Any]) -> tuple[str, int | None] | None:
    """What computes in a machine: name and cores (of the GPU where it has an entry); None where it is not known."""
    if data["chip"]:
        return str(data["chip"]["name"]), data["chip"]["gpu_cores"]
    machine = data["machine"]
    return (str(machine["cpu"]), machine["cores"]) if machine.get("cpu") else None


def figures(data: dict[str, Any]) -> dict[Measured, Figure]:
    """All figures of a result."""
    found: dict[Measured, Figure] = {}
    for name, one in data["frameworks"].items():
        device = one["device"]
        for product in one["matmul"]:
            spread = (product["tflops"], product["tflops_low"], product["tflops_high"])
            found[Measured(name, device, "matmul", product["dtype"], product["n"])] = Figure(*spread, "TFLOPS")
        if moved := one["bandwidth"]:
            spread = (moved["gb_s"], moved["gb_s_low"], moved["gb_s_high"])
            found[Measured(name, device, "bandwidth", "", moved["bytes"])] = Figure(*spread, "GB/s")
        if lasting := one["sustained"]:
            low, middle, high = statistics.quantiles(lasting["tflops"], n=4, method="inclusive")
            measured = Measured(name, device, "sustained", lasting["dtype"], lasting["n"])
            found[measured] = Figure(middle, low, high, "TFLOPS")
    return found


def compare(old: Stored, new: Stored) -> Comparison:
    """A newer result against an older one, of the same machine or of one with the same chip."""
    host, profile = new.data["host"], new.data["profile"]
    measured = noise.of(results_of(new.path), host, profile)
    made = Comparison(host, profile, old.data["host"], old.data["started"], measured)
    made.obstacle = _difference(old.data, new.data)
    if made.obstacle:
        return made
    judge_figures(made, figures(old.data), figures(new.data))
    before = {one["check"]: one for one in old.data["checks"]}
    for one in new.data["checks"]:
        earlier = before.get(one["check"])
        if earlier is None or "skip" in (one["result"], earlier["result"]):
            continue
        made.compared += 1
        if _ORDER[one["result"]] > _ORDER[earlier["result"]]:
            made.worse.append(Worse(one["check"], one["fault"], earlier["result"], one["result"]))
    if not made.compared:
        made.obstacle = Obstacle("nothing-common")
    return made


def against_fleet(one: Stored, fleet: Iterable[Stored]) -> Comparison:
    """A machine against the median of the fleet's other machines with the same chip and profile."""
    host, profile = one.data["host"], one.data["profile"]
    made = Comparison(host, profile, noise=noise.of(results_of(one.path), host, profile))
    kind = chip(one.data)
    if kind is None:
        made.obstacle = Obstacle("chip-unknown")
        return made
    alike = [other for other in fleet if (other.data["profile"], chip(other.data)) == (profile, kind)]
    others = [other for other in alike if other.data["host"] != host]
    made.against = f"{len(others)} x {_said(kind)}"
    if len(others) < MIN_FLEET:
        values = {"count": len(others), "chip": _said(kind), "profile": profile, "needed": MIN_FLEET}
        made.obstacle = Obstacle("small-fleet", values)
        return made
    gathered: dict[Measured, list[Figure]] = {}
    for other in others:
        for measured, figure in figures(other.data).items():
            gathered.setdefault(measured, []).append(figure)
    medians = {measured: _fenced(group) for measured, group in gathered.items() if len(group) >= MIN_FLEET}
    judge_figures(made, medians, figures(one.data))
    if not made.compared:
        made.obstacle = Obstacle("fleet-unmeasured", {"needed": MIN_FLEET})
    return made


def _said(kind: tuple[str, int | None]) -> str:
    name, cores = kind
    return name if cores is None else f"{name} ({cores})"


def _difference(old: dict[str, Any], new: dict[str, Any]) -> Obstacle | None:
    """Why two results cannot be compared."""
    if old["profile"] != new["profile"]:
        return Obstacle("other-profile", {"old": old["profile"], "new": new["profile"]})
    before, now = chip(old), chip(new)
    if before is None or now is None:
        # Of a machine that did not answer there is its failure only, and that is worth telling.
        return None if old["host"] == new["host"] else Obstacle("chip-unknown")
    return None if before == now else Obstacle("other-chip", {"old": _said(before), "new": _said(now)})


def judge_figures(made: Comparison, old: dict[Measured, Figure], new: dict[Measured, Figure]) -> None:
    """Compare the figures of what both have measured; notes in `made` what is slower, and what one of both lacks."""
    made.left_out = sorted(old.keys() ^ new.keys())
    for measured in sorted(old.keys() & new.keys()):
        made.compared += 1
        before, now = old[measured], new[measured]
        if now.high < before.low and now.value < before.value * (1 - made.margin):
            made.slower.append(Slower(measured, before, now))


def _fenced(group: list[Figure]) -> Figure:
    low, middle, high = statistics.quantiles([one.value for one in group], method="inclusive")
    reach = _FENCE * (high - low)
    return Figure(middle, low - reach, high + reach, group[0].unit)


def pairs(old: list[Stored], new: list[Stored]) -> Iterator[tuple[Stored, Stored]]:
    """The results of the same host and profile in both; two single results are one pair, whatever they are of."""
    if len(old) == len(new) == 1:
        yield old[0], new[0]
        return
    before = {(one.data["host"], one.data["profile"]): one for one in old}
    for one in new:
        if earlier := before.get((one.data["host"], one.data["profile"])):
            yield earlier, one
