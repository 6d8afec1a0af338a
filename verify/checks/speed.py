"""What a framework's benchmark measured, judged: right, noisy, too good to be true, throttled."""

import math
import statistics
from dataclasses import replace
from typing import Any

from .. import macos
from ..results.model import CheckResult, FrameworkReport, Matmul
from . import state, tolerance
from .advice import failed, warned
from .chips import Chip, Range

RESIDUAL_LIMIT = tolerance.PRODUCT
"""Of Freivalds' check, in units of rounding."""
NOISY = 0.1
ABOVE_PEAK = 1.05
"""A figure above the chip's highest stated peak by this factor was not waited for."""
FAR = 0.75
"""Share of what others measured on such a chip below which a figure is far from it; DCGM's thresholds for the products
that it knows are about such a share of what was measured (NVIDIA, dcgmi diag)."""
LARGE_N = 4096
"""Order of the products from which on such figures are."""
HALF_FASTER = 1.5
"""How many times as fast as fp32 half precision is at least where the neural accelerators are at work: 2.4 to 3.7 times
what it is without (MLX, bf16, 4096, M5 Max: mlx #3821)."""
DRAINED = 0.5
"""Fetching the last output takes at most this share of all repetitions' time, where each was waited for."""
COURSE_LIMIT_S = 1.0
THROTTLED = 0.85
"""Sustained speed at the end, as a share of that at the beginning, below which the machine throttles."""
ENDS = 0.25
"""Share of the windows that make the beginning, and the end."""


class SpeedJudge:
    """Judges the stages of one framework's benchmark, and notes the figures in its report.

    Args:
        name: the framework.
        device: where the work was to be done, as the framework names it.
        chip: the machine's, None where it has none or an unknown one.
        report: to fill.
        macos: its version.
    """

    def __init__(self, name: str, device: str, chip: Chip | None, report: FrameworkReport, macos: str = "") -> None:
        self._name = name
        self._device = device
        self._chip = chip
        self._report = report
        self._macos = macos

    def matmul(self, data: dict[str, Any]) -> list[CheckResult]:
        """The checks matmul.value and matmul.speed."""
        measured = [(one, statistics_of(one)) for one in data["products"]]
        if elsewhere := [one["device"] for one, _ in measured if one["device"] != self._device]:
            message = f"asked for {self._device}, but the result is on {elsewhere[0]}"
            return [self._failed("matmul.value", "other-device", message)]
        self._report.matmul = [self._against_chip(product) for _, product in measured]
        lacking = "".join(f"; no {dtype}: {reason}" for dtype, reason in data["lacking"].items())
        wrong = [one for one in self._report.matmul if one.residual is None or one.residual > RESIDUAL_LIMIT]
        if wrong:
            one = wrong[0]
            size = "not finite" if one.residual is None else f"{one.residual:.3g}"
            message = f"the timed product is wrong: residual {size}, limit {RESIDUAL_LIMIT:g} ({one.dtype}, n={one.n})"
            return [self._failed("matmul.value", "wrong-value", message)]
        worst = max(one.residual or 0.0 for one in self._report.matmul)
        value = self._passed("matmul.value", f"residual at most {worst:.2f}, limit {RESIDUAL_LIMIT:g}{lacking}")
        return [value, self._speed([one for one, _ in measured])]

    def _against_chip(self, product: Matmul) -> Matmul:
        peak = self._chip.peak(product.dtype) if self._chip else None
        if peak is None:
            return product
        return replace(product, yardstick_tflops=peak[0], share=product.tflops / peak[0])

    def _speed(self, raw: list[dict[str, Any]]) -> CheckResult:
        products = self._report.matmul
        best = max((one for one in products if one.dtype == "float32"), key=lambda one: one.n)
        message = (
            f"{best.tflops:.3g} TFLOPS (quartiles {best.tflops_low:.3g} to {best.tflops_high:.3g}), fp32, "
            f"n={best.n}, {len(best.samples_s)} samples, seed {best.seed}"
        )
        if self._chip and self._chip.fp32_tflops is None:
            message += f"; not judged: the peak of {self._chip.name} is not known"
        if untrue := self._not_waited_for(raw):
            return untrue
        if best.noisy:
            spread = (best.p75_s - best.p25_s) / best.median_s
            return warned(f"{self._name}.matmul.speed", "noisy", f"noisy, spread {spread:.0%}: {message}")
        if slow := self._half_precision(products):
            return warned(f"{self._name}.matmul.speed", "no-accelerators", f"{slow}; {message}")
        if not self._chip or best.n < LARGE_N:
            return self._passed("matmul.speed", message)
        held = self._held(best.tflops, self._chip.reached_tflops, "TFLOPS")
        if best.tflops < FAR * (self._chip.reached_tflops or (0.0, 0.0))[0]:
            return warned(f"{self._name}.matmul.speed", "slow", f"{held}: {message}")
        return self._passed("matmul.speed", f"{message}; {held}")

    def _not_waited_for(self, raw: list[dict[str, Any]]) -> CheckResult | None:
        """The failure of a timing that stopped before its work was done."""
        for one, product in zip(raw, self._report.matmul, strict=True):
            drain_s, spent_s = one["drain_s"], sum(product.samples_s)
            if drain_s > DRAINED * spent_s:
                return self._failed(
                    "matmul.speed",
                    "not-synchronised",
                    f"the timing did not wait for the work: all {len(product.samples_s)} products ({product.dtype}, "
                    f"n={product.n}) seemed to take {spent_s:.3g} s, then fetching the last took {drain_s:.3g} s",
                )
            peak = self._chip.peak(product.dtype) if self._chip else None
            if self._chip and peak and product.tflops > ABOVE_PEAK * peak[1]:
                return self._failed(
                    "matmul.speed",
                    "not-synchronised",
                    f"{product.tflops:.3g} TFLOPS ({product.dtype}, n={product.n}) are more than the "
                    f"{peak[1]:.3g} that {self._chip.name} can reach",
                )
        return None

    def _held(self, value: float, reached: Range | None, unit: str) -> str:
        """A figure beside what others reached on such a chip."""
        assert self._chip
        if reached is None:
            return f"nobody's figures of {self._chip.name} are known to hold it against"
        others = f"{reached[0]:.3g}" if reached[0] == reached[1] else f"{reached[0]:.3g} to {reached[1]:.3g}"
        return f"{value / reached[0]:.0%} of what others measured on {self._chip.name} ({others} {unit})"

    def _half_precision(self, products: list[Matmul]) -> str:
        """What tells that the chip's neural accelerators are not used, with the likely cause; "" where nothing does."""
        if not self._chip or not self._chip.neural:
            return ""
        by_n = {one.n: one.tflops for one in products if one.dtype == "float32" and one.n >= LARGE_N}
        pairs = [(one.n, one.tflops, by_n[one.n], one.dtype) for one in products if one.n in by_n]
        n, half, single, dtype = max((one for one in pairs if one[3] != "float32"), default=(0, 0.0, 0.0, ""))
        if not n or half >= HALF_FASTER * single:
            return ""
        wheel = self._report.settings.get("wheel") or ""
        if macos.parse_version(self._macos) < macos.NEURAL:
            cause = f"macOS is {self._macos}, needed is {macos.show_version(macos.NEURAL)}"
        elif wheel and not wheel.startswith("macosx_26"):
            cause = f"its wheel is one for {wheel}, without their kernels"
        else:
            cause = f"{self._name} {self._report.version} does not use them"
        return (
            f"half precision is no faster than fp32, {half:.3g} and {single:.3g} TFLOPS at n={n} ({dtype}), though "
            f"{self._chip.name} has neural accelerators: {cause}"
        )

    def bandwidth(self, data: dict[str, Any]) -> list[CheckResult]:
        """The check bandwidth."""
        low, median, high = quartiles(data["samples"])
        size = data["bytes"]
        peak = self._chip.bandwidth_gb_s if self._chip else None
        gb_s = size / median / 1e9
        self._report.bandwidth = {
            "bytes": size,
            "samples_s": data["samples"],
            "median_s": median,
            "gb_s": gb_s,
            "gb_s_low": size / high / 1e9,
            "gb_s_high": size / low / 1e9,
            "yardstick_gb_s": peak[0] if peak else None,
            "share": gb_s / peak[0] if peak else None,
        }
        if peak and gb_s > ABOVE_PEAK * peak[1]:
            message = f"{gb_s:.3g} GB/s are more than the {peak[1]:.3g} of the machine's memory"
            return [self._failed("bandwidth", "not-synchronised", message)]
        share = f", {gb_s / peak[0]:.0%} of the memory's {peak[0]:.3g}" if peak else ""
        message = f"{gb_s:.3g} GB/s through memory{share}"
        reached = self._chip.reached_gb_s if self._chip else None
        if reached and gb_s < FAR * reached[0]:
            return [warned(f"{self._name}.bandwidth", "slow", f"{self._held(gb_s, reached, 'GB/s')}: {message}")]
        return [self._passed("bandwidth", message)]

    def course(self, data: dict[str, Any]) -> list[CheckResult]:
        """The check course: reported beside the others, and never a failure (docs/course.md)."""
        if not data["samples"]:
            return [CheckResult(f"{self._name}.course", "skip", f"n={data['n']}: {data['reason']}")]
        seconds = statistics.median(data["samples"])
        n = data["n"]
        self._report.course = {
            "n": n,
            "seconds": seconds,
            "products": len(data["samples"]),
            "honest_tflops": 2 * n**3 / seconds / 1e12,
        }
        verdict = "under" if seconds < COURSE_LIMIT_S else "over"
        message = f"{n} x {n} in {seconds:.2f} s, {verdict} the course's {COURSE_LIMIT_S:g} s; timed to its end"
        return [self._passed("course", message)]

    def sustained(self, data: dict[str, Any]) -> list[CheckResult]:
        """The check sustained."""
        n, windows = data["n"], data["windows"]
        figures = [2 * n**3 * one["products"] / one["seconds"] / 1e12 for one in windows]
        ends = max(1, int(len(figures) * ENDS))
        ratio = statistics.mean(figures[-ends:]) / statistics.mean(figures[:ends])
        self._report.sustained = {
            "dtype": data["dtype"],
            "n": n,
            "window_s": data["window_s"],
            "tflops": figures,
            "ratio": ratio,
        }
        spent = sum(one["seconds"] for one in windows)
        message = f"{ratio:.0%} of the first speed after {spent:.0f} s ({figures[0]:.3g} to {figures[-1]:.3g} TFLOPS)"
        for read, unit in ((state.battery_c, "degrees Celsius of the battery"), (state.power_w, "W drawn")):
            before, after = (read(one) for one in data["registry"])
            if before is not None and after is not None:
                message += f", {before:.3g} to {after:.3g} {unit}"
        if ratio < THROTTLED:
            return [warned(f"{self._name}.sustained", "throttled", f"slower as time goes on: {message}")]
        return [self._passed("sustained", message)]

    def _passed(self, check: str, message: str) -> CheckResult:
        return CheckResult(f"{self._name}.{check}", "pass", message)

    def _failed(self, check: str, fault: str, message: str) -> CheckResult:
        return failed(f"{self._name}.{check}", fault, message)


def quartiles(times: list[float]) -> tuple[float, float, float]:
    """First quartile, median and third of times in seconds."""
    low, median, high = statistics.quantiles(times, n=4, method="inclusive")
    return low, median, high


def statistics_of(data: dict[str, Any]) -> Matmul:
    """The figures of one timed product.

    Args:
        data: as verify/probes/benchmark.py measured it.
    """
    n: int = data["n"]
    samples: list[float] = data["samples"]
    low, median, high = quartiles(samples)
    residuals = [float(one) for one in data["residuals"]]

    def tflops(seconds: float) -> float:
        return 2.0 * n**3 / seconds / 1e12

    return Matmul(
        dtype=data["dtype"],
        n=n,
        seed=data["seed"],
        first_s=data["first_s"],
        samples_s=samples,
        median_s=median,
        p25_s=low,
        p75_s=high,
        min_s=min(samples),
        tflops=tflops(median),
        tflops_low=tflops(high),
        tflops_high=tflops(low),
        noisy=(high - low) / median > NOISY,
        # Not max() alone, which may lose a NaN.
        residual=max(residuals) if all(math.isfinite(one) for one in residuals) else None,
    )


def hold_against_best(reports: list[FrameworkReport], numpy_tflops: float) -> None:
    """On a machine without figures for its chip: every product's share of the best float32 one on it.

    Args:
        reports: of the machine's frameworks, which are changed.
        numpy_tflops: what numpy's own library reached in the same run.
    """
    single = [one.tflops for report in reports for one in report.matmul if one.dtype == "float32"]
    best = max([numpy_tflops, *single])
    for report in reports:
        report.matmul = [replace(one, yardstick_tflops=best, share=one.tflops / best) for one in report.matmul]
