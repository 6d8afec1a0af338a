"""At every threshold a value just inside and one just outside; every figure as it is computed by hand."""

from dataclasses import replace
from typing import Any

import pytest

from verify.checks import chips, numbers, packages, shell, speed, state, system, tolerance
from verify.checks.environment import EnvironmentJudge
from verify.checks.framework import FrameworkJudge, exact_operands, exact_result
from verify.checks.packages import Share
from verify.checks.plan import Plan
from verify.checks.speed import SpeedJudge
from verify.checks.state import State
from verify.probes.units import EXACT, RELATIVE, ROUNDING, SIGMA
from verify.profile import model as profiles
from verify.results.model import CheckResult, FrameworkReport, HostReport, verdict_of, worst
from verify.target.answers import Report
from verify.target.record import Conda, Homebrew, Record

M1 = chips.find("Apple M1", 8)
"""2.617 TFLOPS fp32, 5.235 TFLOPS fp16 at most, 68.25 GB/s."""


# --- speed


def product(**changes: Any) -> dict[str, Any]:
    """A product whose figures are round: 2 x 1000^3 in 1 ms are 2 TFLOPS."""
    good = {"n": 1000, "dtype": "float32", "seed": 1, "first_s": 0.5, "samples": [0.001] * 5, "device": "gpu:0"}
    return {**good, "drain_s": 0.0, "residuals": [0.1], **changes}


def timed(*products: dict[str, Any], chip: Any = M1) -> tuple[dict[str, tuple[str, str]], FrameworkReport]:
    report = FrameworkReport(required=True)
    data = {"asked": "gpu:0", "products": list(products), "lacking": {}, "numpy_tflops": 0.0}
    found = SpeedJudge("mlx", "gpu:0", chip, report).matmul(data)
    return {one.check.removeprefix("mlx."): (one.result, one.fault) for one in found}, report


def test_a_products_figures() -> None:
    samples = [0.004, 0.001, 0.002, 0.003, 0.005]
    found = speed.statistics_of(product(samples=samples, residuals=[0.3, 0.7, 0.1]))
    assert (found.min_s, found.p25_s, found.median_s, found.p75_s) == (0.001, 0.002, 0.003, 0.004)
    assert (found.tflops_low, found.tflops, found.tflops_high) == pytest.approx((0.5, 2 / 3, 1.0), rel=1e-14)
    assert found.residual == 0.7
    assert speed.statistics_of(product(residuals=[0.1, "nan"])).residual is None


@pytest.mark.parametrize(("high", "noisy"), [(11.0, False), (11.001, True)])
def test_noisy_is_a_spread_of_more_than_a_tenth(high: float, noisy: bool) -> None:
    assert speed.statistics_of(product(samples=[10.0, 10.0, 10.0, high, high])).noisy is noisy


@pytest.mark.parametrize(("residual", "result"), [(4.0, "pass"), (4.0001, "fail")])
def test_a_residual_at_its_limit(residual: float, result: str) -> None:
    assert timed(product(residuals=[residual]))[0]["matmul.value"][0] == result


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (0.0, 0.0, "residual at most 0.00, limit 4"),
        (0.5, 0.25, "residual at most 0.50, limit 4"),
        (5.0, 9.0, "the timed product is wrong: residual 5, limit 4 (float32, n=1000)"),
        ("nan", 9.0, "the timed product is wrong: residual not finite, limit 4 (float32, n=1000)"),
    ],
)
def test_the_first_wrong_product_is_told(first: Any, second: float, message: str) -> None:
    report = FrameworkReport(required=True)
    products = [product(residuals=[first]), product(n=2000, residuals=[second])]
    found = SpeedJudge("mlx", "gpu:0", None, report).matmul({"products": products, "lacking": {}})
    assert found[0].message == message


@pytest.mark.parametrize(
    ("dtype", "tflops", "result"),
    [("float32", 2.74, "pass"), ("float32", 2.76, "fail"), ("float16", 5.49, "pass"), ("float16", 5.50, "fail")],
)
def test_nothing_is_faster_than_the_chip_by_more_than_a_twentieth(dtype: str, tflops: float, result: str) -> None:
    slow = product(samples=[0.01] * 5)
    one = product(dtype=dtype, samples=[0.002 / tflops] * 5)
    found, report = timed(slow, one)
    assert found["matmul.speed"] == (result, "" if result == "pass" else "not-synchronised")
    assert report.matmul[1].share == pytest.approx(tflops / 2.617, rel=1e-3)
    assert timed(slow, one, chip=None)[0]["matmul.speed"] == ("pass", "")


RANGE = chips.Chip("X", 1, fp32_tflops=(10.0, 20.0), fp16_tflops=(10.0, 40.0), bandwidth_gb_s=(50.0, 100.0))
"""A chip of which sources say different things: what is too fast is so by the highest, a share is one of the lowest."""


@pytest.mark.parametrize(("faster", "result"), [(1.0, "pass"), (1.0 + 1e-9, "fail")])
def test_the_highest_peak_and_a_twentieth_is_the_last_that_passes(faster: float, result: str) -> None:
    seconds = 2 * 1000**3 / 21e12 / faster
    found, report = timed(product(samples=[seconds] * 5), chip=RANGE)
    assert found["matmul.speed"][0] == result
    assert report.matmul[0].share == pytest.approx(2.1)
    assert report.matmul[0].yardstick_tflops == 10
    judge = SpeedJudge("mlx", "gpu:0", RANGE, report)
    (bandwidth,) = judge.bandwidth({"bytes": 105 * 10**9, "samples": [1 / faster] * 5})
    assert bandwidth.result == result
    assert report.bandwidth is not None
    assert report.bandwidth["share"] == pytest.approx(2.1)
    assert bandwidth.message == (
        "105 GB/s through memory, 210% of the memory's 50"
        if result == "pass"
        else "105 GB/s are more than the 100 of the machine's memory"
    )


def test_a_product_that_is_too_fast_is_told_with_what_the_chip_can_reach() -> None:
    report = FrameworkReport(required=True)
    data = {"products": [product(samples=[2 / 30000] * 5)], "lacking": {}}
    message = SpeedJudge("mlx", "gpu:0", RANGE, report).matmul(data)[1].message
    assert message == "30 TFLOPS (float32, n=1000) are more than the 20 that X can reach"


def told_speed(
    chip: chips.Chip | None, *tflops: tuple[str, int, float], macos: str = "26.2", wheel: str | None = None
) -> Any:
    """The check of speed, for products of kinds and orders that reached so much."""
    report = FrameworkReport(required=True, version="0.32.4", settings={"wheel": wheel} if wheel else {})
    made = [product(dtype=dtype, n=n, samples=[2 * n**3 / one / 1e12] * 5) for dtype, n, one in tflops]
    judge = SpeedJudge("mlx", "gpu:0", chip, report, macos)
    return judge.matmul({"products": made, "lacking": {}})[1]


M2, M5 = chips.find("Apple M2", 10), chips.find("Apple M5", 10)


@pytest.mark.parametrize(
    ("n", "tflops", "result", "said"),
    [
        # In silence, before there were figures of others: 0.85 of 3.6 TFLOPS.
        (8192, 0.85, "warn", "42% of what others measured on Apple M2 (2 TFLOPS): 0.85 TFLOPS"),
        (8192, 1.499, "warn", "75% of what"),
        (8192, 1.501, "pass", "75% of what others measured on Apple M2 (2 TFLOPS)"),
        (8192, 3.0, "pass", "150% of what others"),
        # Too small to be held against others' large ones.
        (2048, 0.85, "pass", "n=2048, 5 samples, seed 1"),
    ],
)
def test_what_is_far_below_what_others_reached_is_told(n: int, tflops: float, result: str, said: str) -> None:
    found = told_speed(M2, ("float32", n, tflops))
    assert (found.result, found.fault) == (result, "slow" if result == "warn" else "")
    assert said in found.message
    assert ("others" in found.message) == (n > 2048)


def test_a_chip_of_which_nobodys_figures_are_known_is_named() -> None:
    found = told_speed(M5, ("float32", 4096, 0.5), ("float16", 4096, 5.0))
    assert (found.result, found.message.split("; ")[-1]) == (
        "pass",
        "nobody's figures of Apple M5 are known to hold it against",
    )


@pytest.mark.parametrize(("gb_s", "result"), [(67.4, "warn"), (67.6, "pass")])
def test_a_bandwidth_far_below_what_others_reached_is_told(gb_s: float, result: str) -> None:
    judge = SpeedJudge("mlx", "gpu:0", M2, FrameworkReport(required=True))
    (found,) = judge.bandwidth({"bytes": 10**9, "samples": [1 / gb_s] * 5})
    assert (found.result, found.fault) == (result, "slow" if result == "warn" else "")
    assert ("75% of what others measured on Apple M2 (90 GB/s)" in found.message) == (result == "warn")


@pytest.mark.parametrize(
    ("macos", "wheel", "cause"),
    [
        ("26.1", "macosx_26_0_arm64", "macOS is 26.1, needed is 26.2"),
        ("27.0", "macosx_14_0_arm64", "its wheel is one for macosx_14_0_arm64, without their kernels"),
        ("26.2", "macosx_26_0_arm64", "mlx 0.32.4 does not use them"),
        ("26.2", None, "mlx 0.32.4 does not use them"),
    ],
)
def test_half_precision_that_is_no_faster_has_a_likely_cause(macos: str, wheel: str | None, cause: str) -> None:
    found = told_speed(
        M5, ("float32", 4096, 3.0), ("float16", 4096, 3.5), ("bfloat16", 4096, 3.2), macos=macos, wheel=wheel
    )
    assert (found.result, found.fault) == ("warn", "no-accelerators")
    assert found.message.startswith(
        "half precision is no faster than fp32, 3.5 and 3 TFLOPS at n=4096 (float16), though Apple M5 has neural "
        f"accelerators: {cause}; "
    )


@pytest.mark.parametrize(
    ("chip", "products"),
    [
        # Used: half as fast again, in one kind of numbers.
        (M5, [("float32", 4096, 3.0), ("float16", 4096, 4.6), ("bfloat16", 4096, 3.0)]),
        # Not comparable: small, of other orders, or of one kind alone.
        (M5, [("float32", 2048, 3.0), ("float16", 2048, 3.0)]),
        (M5, [("float32", 8192, 3.0), ("float16", 4096, 3.0)]),
        (M5, [("float32", 4096, 3.0)]),
        # Without any.
        (M2, [("float32", 4096, 2.0), ("float16", 4096, 2.0)]),
    ],
)
def test_where_nothing_tells_against_the_neural_accelerators(
    chip: chips.Chip | None, products: list[tuple[str, int, float]]
) -> None:
    assert told_speed(chip, *products, macos="14.0").result == "pass"


@pytest.mark.parametrize(("drain_s", "result"), [(0.0025, "pass"), (0.0026, "fail")])
def test_fetching_takes_at_most_half_of_the_time_of_all_repetitions(drain_s: float, result: str) -> None:
    assert timed(product(drain_s=drain_s))[0]["matmul.speed"][0] == result


def test_the_largest_product_is_the_one_that_is_told() -> None:
    report = FrameworkReport(required=True)
    data = {"products": [product(n=2000), product(), product(n=500)], "lacking": {}}
    message = SpeedJudge("mlx", "gpu:0", None, report).matmul(data)[1].message
    assert message == "16 TFLOPS (quartiles 16 to 16), fp32, n=2000, 5 samples, seed 1"


@pytest.mark.parametrize(("gb_s", "result"), [(71.6, "pass"), (71.7, "fail")])
def test_bandwidth(gb_s: float, result: str) -> None:
    report = FrameworkReport(required=True)
    samples = [0.9 / gb_s, 1 / gb_s, 1 / gb_s, 1 / gb_s, 1.25 / gb_s]
    judge = SpeedJudge("mlx", "gpu:0", M1, report)
    (found,) = judge.bandwidth({"bytes": 10**9, "samples": [0.8 / gb_s, *samples[1:4], 1.25 / gb_s]})
    assert found.result == result
    assert report.bandwidth is not None
    assert report.bandwidth["gb_s"] == pytest.approx(gb_s, rel=1e-12)
    assert report.bandwidth["share"] == pytest.approx(gb_s / 68.25)
    assert f"{gb_s:.3g} GB/s" in found.message
    judge.bandwidth({"bytes": 10**9, "samples": [0.1, 0.2, 0.3, 0.4, 0.5]})
    assert (report.bandwidth["gb_s_low"], report.bandwidth["gb_s_high"]) == pytest.approx((2.5, 5.0), rel=1e-12)


@pytest.mark.parametrize(("seconds", "word"), [(0.9999, "under"), (1.0, "over")])
def test_the_courses_second(seconds: float, word: str) -> None:
    report = FrameworkReport(required=True)
    data = {"n": 1000, "samples": [seconds, seconds], "reason": ""}
    (found,) = SpeedJudge("mlx", "gpu:0", None, report).course(data)
    assert f", {word} the course's" in found.message
    assert report.course == {
        "n": 1000,
        "seconds": seconds,
        "products": 2,
        "honest_tflops": pytest.approx(0.002 / seconds, rel=1e-14, abs=0),
    }


@pytest.mark.parametrize(("last", "result"), [(85, "pass"), (84.9, "warn")])
def test_a_machine_throttles_below_its_share(last: float, result: str) -> None:
    report = FrameworkReport(required=True)
    windows = [{"products": round(one * 10), "seconds": 5.0} for one in (100, 100, 100, 100, 1, 1, last, last)]
    data = {"n": 1000, "dtype": "float32", "window_s": 5.0, "windows": windows, "registry": ["", ""]}
    (found,) = SpeedJudge("mlx", "gpu:0", None, report).sustained(data)
    assert found.result == result
    assert report.sustained is not None
    assert report.sustained["ratio"] == pytest.approx(last / 100)
    assert report.sustained["tflops"][:2] == pytest.approx([0.4, 0.4], rel=1e-14, abs=0)
    assert f"{last / 100:.0%} of the first speed after 40 s (0.4 to {last / 250:.3g} TFLOPS)" in found.message


def test_what_a_notebook_drew_stands_beside_its_sustained_speed() -> None:
    lines = ('      "PowerTelemetryData" = {{"SystemLoad"={}}}\n', '      "Temperature" = {}\n')
    registry = [lines[0].format(watts) + lines[1].format(celsius) for watts, celsius in ((12000, 2985), (31819, 3625))]
    data = {"n": 1000, "dtype": "float32", "window_s": 5.0, "windows": [{"products": 9, "seconds": 5.0}] * 8}
    (found,) = SpeedJudge("mlx", "gpu:0", None, FrameworkReport(required=True)).sustained(
        {**data, "registry": registry}
    )
    assert found.message.endswith(" TFLOPS), 29.9 to 36.2 degrees Celsius of the battery, 12 to 31.8 W drawn")


# --- numbers and their limits


@pytest.mark.parametrize(
    ("unit", "k", "limit"),
    [
        (EXACT, 7, 0.0),
        (ROUNDING, 1, 1.0),
        (ROUNDING, 4, 2.5),
        (ROUNDING, 7, 4.0),
        (ROUNDING, 8, 4.0),
        (SIGMA, 1, 6.0),
        # 16/2 + 8 + 2 x 16 + 6 x sqrt(k)/2
        (RELATIVE, 100, 78.0),
        (RELATIVE, 4, 54.0),
    ],
)
def test_limits_by_hand(unit: str, k: int, limit: float) -> None:
    assert tolerance.limit(unit, k) == limit


def case(error: Any, **changes: Any) -> dict[str, Any]:
    good = {"case": "sum", "dtype": "float32", "k": 7, "unit": ROUNDING, "error": error, "finite": True, "said": ""}
    return numbers.cases([{**good, **changes}])[0]


def test_an_error_at_its_limit() -> None:
    assert case(4.0)["result"] == "pass"
    assert case(4.0001)["result"] == "fail"
    assert case(-0.1)["result"] == "fail"
    assert case(0.0)["result"] == "pass"
    assert case("inf")["message"] == "the result has another shape or cannot be had again from the same seed"
    assert case(None)["message"] == "it did not run"
    assert case(None)["result"] == "skip"
    assert case(1.0)["message"] == "1 eps of norms, limit 4"


def matmuls(*wrong: int) -> tuple[str, str]:
    every = [("fail" if n in wrong else "pass", n) for n in (16, 100, 257, 512, 1024, 2048)]
    return numbers.verdict(
        [{"case": f"matmul-{n}", "result": one, "message": "x", "error": 9.0 * (one == "fail")} for one, n in every]
    )


def test_products_wrong_from_a_size_on() -> None:
    assert matmuls(2048)[0] == "wrong-large"
    assert matmuls(100, 257, 512, 1024, 2048)[1].startswith("products are right up to n = 16 and wrong from n = 100")
    assert matmuls(512, 2048)[0] == "wrong-value"
    assert matmuls(16, 100, 257, 512, 1024, 2048)[0] == "wrong-value"


@pytest.mark.parametrize(
    ("last", "fault"), [(0.5 + 0.0269, ""), (0.5 + 0.0271, "diverges"), (0.5 - 0.0271, "diverges")]
)
def test_a_loss_within_the_band_of_the_cpus(last: float, fault: str) -> None:
    # 5 % of the CPU's 0.5 and 0.2 % of its first, 1.0.
    assert numbers.training([1.0, last], [1.0, 0.5])[0] == fault


def test_the_step_at_which_a_loss_is_furthest_from_the_cpus_is_told() -> None:
    fault, message = numbers.training([1.0, 0.9, 0.51], [1.0, 0.5, 0.5])
    assert fault == "diverges"
    assert message.startswith("furthest from the CPU's at step 1: 0.9, on the CPU 0.5 (")
    # At the band's edge, from both ends of it.
    assert [numbers.training([0.0, last], [0.0, 20.0])[0] for last in (21.0, 21.001, 19.0, 18.999)] == [
        *("", "diverges"),
        *("", "diverges"),
    ]


def test_equal_losses_of_nothing_do_not_diverge() -> None:
    assert numbers.training([0.0, 0.0], [0.0, 0.0])[0] == ""


@pytest.mark.parametrize(("after", "fault"), [(5_999_999, ""), (6_000_000, "memory-kept")])
def test_memory_is_kept_from_one_matrix_on(after: int, fault: str) -> None:
    found, message = numbers.memory(2_000_000, after, 4_000_000, 5)
    assert found == fault
    assert message == "+4.0 MB in use after 5 products, 4.0 MB each"


def test_much_memory_is_told_as_exactly_as_little() -> None:
    message = numbers.memory(10**12, 3 * 10**12, 4 * 10**12, 5)[1]
    assert message == "+2000000.0 MB in use after 5 products, 4000000.0 MB each"


# --- a framework


def framework(stage: str, data: dict[str, Any], *, by_default: bool = True) -> list[CheckResult]:
    report = FrameworkReport(required=True)
    judge = FrameworkJudge("mlx", version="1.0", device="gpu", chip=None, report=report, by_default=by_default)
    found: list[CheckResult] = getattr(judge, stage)(Report("end", 1.0, data))
    return found


def test_the_operands_stay_what_they_are() -> None:
    a, b = exact_operands()
    assert [row[:5] for row in a[:2]] == [[-5, -2, 1, 4, -4], [2, 5, -3, 0, 3]]
    assert [row[:4] for row in b[:2]] == [[-6, 3, -1, -5], [-1, -5, 4, 0]]
    assert (len(a), {len(row) for row in a}, len(b), {len(row) for row in b}) == (24, {40}, 40, {16})


def test_a_device_that_is_missing_or_not_the_default() -> None:
    seen: dict[str, Any] = {"present": [], "default": "cpu", "settings": {}, "asked": ""}
    assert framework("devices", seen)[0].message == "no device 'gpu': it sees none"
    beside = {**seen, "present": ["cpu", "gpu"]}
    assert "it sees cpu, tpu" in framework("devices", {**seen, "present": ["cpu", "tpu"]})[0].message
    assert framework("devices", beside)[0].fault == "other-device"
    assert framework("devices", beside, by_default=False)[0].result == "pass"


@pytest.mark.parametrize(("before", "after"), [(None, 1), (1, None)])
def test_memory_that_is_half_counted_is_not_judged(before: int | None, after: int | None) -> None:
    data = {"asked": "gpu:0", "before": before, "after": after, "array": 4, "times": 5}
    assert framework("memory", data)[0].result == "skip"


@pytest.mark.parametrize(("last", "result"), [(0.4999, "pass"), (0.5, "fail")])
def test_a_training_learns_where_the_loss_falls_to_half(last: float, result: str) -> None:
    found = framework("training", {"seed": 1, "losses": [1.0, 0.9, last], "cpu_losses": None})[0]
    assert found.result == result
    assert f"loss 1 to {last:.3g} in 3 steps, 1.0 s" in found.message


def test_the_first_wrong_entry_is_told() -> None:
    result: list[list[Any]] = [list(row) for row in exact_result()]
    wanted = result[2][3]
    result[2][3] = result[23][15] = -1
    found = framework("execute", {"asked": "gpu:0", "ran_on": "gpu:0", "result": result})[0]
    assert found.message == f"2 of 384 entries are wrong, the first [2, 3]: -1 instead of {wanted}"
    result[23][15] = "nan"
    assert framework("execute", {"asked": "gpu:0", "ran_on": "gpu:0", "result": result})[0].fault == "not-finite"


def test_a_curve_of_the_cpus_that_is_not_finite_is_not_kept() -> None:
    report = FrameworkReport(required=True)
    judge = FrameworkJudge("mlx", version="1.0", device="gpu", chip=None, report=report)
    judge.training(Report("end", 1.0, {"seed": 1, "losses": [1.0, 0.1], "cpu_losses": [1.0, "nan"]}))
    assert report.training is not None
    assert (report.training.losses, report.training.cpu_losses) == ([1.0, 0.1], None)


# --- the machine


@pytest.mark.parametrize(
    ("seen", "result"),
    [
        (State(load_1m=4.0), "pass"),
        (State(load_1m=4.01), "warn"),
        (State(swap_used_bytes=100), "pass"),
        (State(swap_used_bytes=101), "warn"),
        (State(memory_pressure="warning"), "warn"),
        (State(memory_pressure="normal"), "pass"),
        (State(thermal_pressure="nominal"), "pass"),
        (State(low_power_mode=False, power_source="battery"), "pass"),
    ],
)
def test_a_calm_machine(seen: State, result: str) -> None:
    assert state.judge(seen, 8, 1000).result == result


def test_what_the_tools_say_is_read_exactly() -> None:
    said = {
        **dict.fromkeys(("battery", "power", "thermal", "memory", "pressure", "gpu", "registry", "model"), ""),
        "swap": "total = 2.00M  used = 1.50M  free = 0.50M",
        "wired": "3\n",
        "virtual": "1\n",
        "boot": "{ sec = 100, usec = 0 }",
    }
    data = {"said": said, "files": {}, "load": 0.0, "now": 100.5}
    assert state.read(data) == State(
        swap_used_bytes=1572864, load_1m=0.0, wired_limit_bytes=3145728, virtual_machine=True, uptime_s=0.5
    )
    assert state.model({"said": {"model": "x" * 150}}) == "x" * 100
    # A clock that was set back since the start.
    assert state.read({**data, "now": 99.0}).uptime_s is None
    assert state.read({**data, "now": 100.0}).uptime_s == 0.0
    thermal = "com.apple.system.thermalpressurelevel {}\n"
    levels = [state.read({**data, "said": {**said, "thermal": thermal.format(one)}}).thermal_pressure for one in (4, 5)]
    assert levels == ["sleeping", None]


def test_the_chip_in_words() -> None:
    assert chips.find("Apple M1", None) is None
    range_ = chips.Chip("X", 1, (1.0, 2.0), (2.0, 4.0), (100.0, 100.0))
    assert (chips._text((1.0, 2.0)), chips._text(range_.bandwidth_gb_s)) == ("1 to 2", "100")
    assert range_.peak("float32") == (1.0, 2.0)
    assert range_.peak("bfloat16") == range_.peak("float16") == (2.0, 4.0)
    said = chips.judge("Darwin", "X", None, "15.0", virtual=False).message
    assert said == "no figures for 'X' with unknown GPU cores (macOS 15.0)"


# --- the environment


LOADED = profiles.load("ml-m1")
MAC = "darwin-arm64"
RECORD = Record("ml-m1", "uv", "/env", ("mlx",), "")


def environment(stage: str, data: dict[str, Any], record: Record = RECORD) -> CheckResult:
    report = HostReport("mac", "mac", "ml-m1", "setup", "2026-11-21T00:00:00Z")
    judge = EnvironmentJudge(LOADED, record, MAC, {}, report)
    (found,) = getattr(judge, stage)(Report("end", 1.0, data))
    assert isinstance(found, CheckResult)
    return found


def machine(os_version: str) -> CheckResult:
    facts = {"system": "Darwin", "machine": "arm64", "cpu": "Apple M1", "cores": 8, "memory_bytes": 1}
    return environment("machine", {**facts, "os_version": os_version, "translated": False})


def test_macos_at_its_floor() -> None:
    floor = LOADED.platform(MAC).macos_floor
    assert floor == "14.4"
    assert machine(floor).result == "pass"
    assert machine("14.10").result == "pass"
    for older in ("14.3.9", "13.7", "what is this"):
        assert (machine(older).result, machine(older).fault) == ("fail", "too-old")


def python(**changes: Any) -> CheckResult:
    good = {"version": f"{LOADED.python}.9", "machine": "arm64", "translated": False}
    return environment("python", {**good, "prefix": "/env", "wanted_prefix": "/env", **changes})


def test_a_python_of_another_place_machine_or_version() -> None:
    assert python().result == "pass"
    assert python(prefix="/other").message == "its Python belongs to /other, not to /env"
    assert python(machine="x86_64").message == "a Python for x86_64 on arm64"
    assert python(version=f"{LOADED.python}0.1").fault == "wrong-python"


def test_variables_are_those_of_the_sets_and_no_others() -> None:
    record = replace(RECORD, frameworks=("tensorflow", "jax"))
    wanted = {name: LOADED.frameworks[name].environment for name in record.frameworks}
    good = {"base": LOADED.base.environment, **wanted}
    assert environment("variables", {"stored": good}, record).result == "pass"
    strange = {**good, "jax": {**wanted["jax"], "MINE": "1"}}
    assert "MINE is stored for jax" in environment("variables", {"stored": strange}, record).message
    # conda keeps all in one place, a user's own among them.
    shared = {"": {key: value for one in good.values() for key, value in one.items()} | {"MINE": "1"}}
    assert environment("variables", {"stored": shared}, record).result == "pass"
    seven = {**good, "jax": {**wanted["jax"], **{f"V{n}": "1" for n in range(7)}}}
    message = environment("variables", {"stored": seven}, record).message
    assert message.endswith("V4 is stored for jax, but not in the profile; and 2 more")
    five = {**good, "jax": {**wanted["jax"], **{f"V{n}": "1" for n in range(5)}}}
    assert "more" not in environment("variables", {"stored": five}, record).message


# --- packages


def packaged(versions: dict[str, list[str]], problems: dict[str, int] | None = None) -> CheckResult:
    data = {
        "installed": versions,
        "files": dict.fromkeys(versions, 3),
        "content": False,
        "problems": {
            name: {"count": count, "altered": 0, "first": ["x.py is missing"]}
            for name, count in (problems or {}).items()
        },
    }
    share = Share({"one": "1.0", "two": "2.0"}, ("one",))
    return packages.judge("base", share, data)


def test_packages_at_their_versions() -> None:
    right = packaged({"one": ["1.0"], "two": ["2.0.0"]})
    assert right.result == "pass"
    assert right.message.startswith("one 1.0; 2 packages as locked, 6 files ")
    for wrong, said in (
        ({"one": ["1.0"]}, "two 2.0 is missing"),
        ({"one": ["1.1"], "two": ["2.0"]}, "one is 1.1, locked is 1.0"),
        ({"one": ["nonsense"], "two": ["2.0"]}, "one is nonsense, locked is 1.0"),
        ({"one": ["1.0", "1.0"], "two": ["2.0"]}, "one is there 2 times (1.0, 1.0), locked is 1.0"),
    ):
        found = packaged(wrong)
        assert (found.result, found.fault, found.message) == ("fail", "wrong-versions", said)


def test_damage_is_counted_beyond_what_is_named() -> None:
    versions = {"one": ["1.0"], "two": ["2.0"]}
    found = packaged(versions, {"one": 7})
    assert (found.fault, found.message) == ("damaged", "one: x.py is missing; and 2 more")
    assert packaged(versions, {"one": 5}).message == "one: x.py is missing"
    altered = {"one": {"count": 2, "altered": 1, "first": ["x.py has other content"]}}
    data = {"installed": versions, "content": True, "files": {"one": 3, "two": 4}, "problems": altered}
    share = Share({"one": "1.0", "two": "2.0"}, ("one",))
    assert packages.judge("base", share, data).fault == "altered"
    assert packages.judge("base", share, {**data, "problems": {}}).message.endswith(
        "7 files with their recorded content (SHA-256)"
    )
    untold = packages.judge("base", share, {**data, "problems": {}, "files": {"one": 3}})
    assert (untold.result, untold.message) == ("fail", "nothing was said of the files of two")
    # What another set has is not this one's.
    assert packaged(versions, {"three": 1}).result == "pass"


@pytest.mark.parametrize(
    ("releases", "macos", "said"),
    [
        (["14.0"], 14, ""),
        (["14.0"], 26, "one is the wheel for macOS 14, and for macOS 26 there is that for 26"),
        (["15.0"], 27, "one is the wheel for macOS 15, and for macOS 27 there is that for 26"),
        (["26.0"], 27, ""),
        (["26.0"], 15, "one is the wheel for macOS 26, and for macOS 15 there is that for 15"),
        (["14.0"], 13, ""),  # for which there is none
        (["14.0"], 0, ""),  # no Mac
        ([], 26, ""),  # no wheel
        (["14.0", "26.0"], 26, ""),
    ],
)
def test_a_wheel_for_another_macos(releases: list[str], macos: int, said: str) -> None:
    """After an upgrade an environment keeps its wheels. Of packages with one wheel for all nothing is said."""
    data = {
        **{"installed": {"one": ["1.0"], "two": ["2.0"]}, "content": True, "files": {"one": 3, "two": 4}},
        **{"releases": {"one": releases, "two": ["11.0"]}, "problems": {}},
    }
    share = Share({"one": "1.0", "two": "2.0"}, ("one",))
    found = packages.judge("base", share, data, {"one": (14, 15, 26), "other": (14, 26)}, macos)
    assert (found.result, found.fault) == (("warn", "other-release") if said else ("pass", ""))
    assert found.message == said or not said
    damaged = {**data, "problems": {"two": {"count": 1, "altered": 0, "first": ["x.py is missing"]}}}
    assert packages.judge("base", share, damaged, {"one": (14, 15, 26)}, macos).fault == "damaged"


# --- a new shell, Homebrew and conda


ASKED = Record(
    "ml-m1",
    "uv",
    "/env",
    (),
    "/home/.zshrc",
    Homebrew("/opt/homebrew", ("htop",), ("editor",), shellenv=True),
    Conda("/conda", init=True),
)
SAID = {
    "shell": "/bin/zsh",
    "error": "",
    "python": "/env/bin/python",
    "prefix": "/real/env",
    "brew": "/opt/homebrew/bin/brew",
    "homebrew": "/opt/homebrew",
    "active": "/real/env",
    "wanted": "/real/env",
    "conda": True,
    "initialised": True,
}


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        ({}, "", ""),
        ({"brew": ""}, "homebrew", "brew is not found and HOMEBREW_PREFIX is /opt/homebrew"),
        ({"homebrew": ""}, "homebrew", "brew is /opt/homebrew/bin/brew and HOMEBREW_PREFIX is not set"),
        ({"homebrew": "/usr/local"}, "homebrew", "HOMEBREW_PREFIX is /usr/local (its file: /home/.zshrc)"),
        ({"initialised": False}, "conda", "no start-up file of /bin/zsh has the block of `/conda/bin/conda init`"),
        ({"conda": False}, "conda", "knows no command conda"),
        ({"python": "", "prefix": ""}, "login", "`python` in a new /bin/zsh is not found, not that of /env (its file"),
        ({"python": "/usr/bin/python3", "prefix": "/usr"}, "login", "is /usr/bin/python3, not that of /env"),
        ({"active": ""}, "login", "the active environment is none, not /real/env"),
    ],
)
def test_what_a_new_shell_finds(change: dict[str, Any], check: str, said: str) -> None:
    found = shell.judge(ASKED, {**SAID, **change})
    assert [one.check for one in found if one.result == "fail"] == ([f"shell.{check}"] if check else [])
    assert all(said in one.message for one in found if one.result == "fail")


def test_new_terminals_may_be_in_another_profiles_environment() -> None:
    """Where the record says so; what counts then is that they are."""
    other = Record("current", "conda", "/c/envs/current", (), "/home/.zshrc")
    asked = replace(ASKED, prefix="/my env", shell="", other=other)
    place = "/c/envs/current"
    there = {**SAID, "python": f"{place}/bin/python", "prefix": place, "wanted": place, "active": ""}
    *_, login = shell.judge(asked, there)
    assert (login.result, login.message) == (
        "pass",
        "new terminals open in current, and take /c/envs/current/bin/python; for this one: "
        "for part in '/my env/etc/metal-lab'/*.sh; do . \"$part\"; done",
    )
    for prefix in ("", "/usr", "/my env"):
        *_, login = shell.judge(asked, {**there, "prefix": prefix})
        assert (login.result, login.fault) == ("fail", "not-on-path")
        assert login.message.endswith("not that of /c/envs/current (its file: /home/.zshrc)")
    # Whose record has the block is to have the terminals.
    *_, login = shell.judge(replace(ASKED, other=other), {**there, "wanted": "/env"})
    assert login.result == "fail"


def test_a_shell_without_an_answer_is_told_once_and_only_to_who_asked() -> None:
    silent = {"shell": "/bin/zsh", "error": "timed out"}
    assert [one.result for one in shell.judge(ASKED, silent)] == ["fail", "skip", "skip"]
    alone = replace(ASKED, homebrew=None)
    assert [one.result for one in shell.judge(alone, silent)] == ["skip", "fail", "skip"]
    nobody = replace(ASKED, homebrew=replace(ASKED.homebrew, shellenv=False), conda=None, shell="")  # type: ignore[type-var]
    assert [one.result for one in shell.judge(nobody, {})] == ["skip"] * 3


BROUGHT = {
    "homebrew": "0 Homebrew 6.0.18",
    "conda": "0 conda 26.3.2",
    "formula:htop": "present",
    "cask:editor": "present",
}


@pytest.mark.parametrize(
    ("change", "check", "fault", "said"),
    [
        ({}, "", "", ""),
        ({"homebrew": "missing"}, "homebrew", "not-installed", "/opt/homebrew/bin/brew is not there"),
        ({"homebrew": "1 Homebrew 6.0.18"}, "homebrew", "no-answer", "exit code 1: Homebrew 6.0.18"),
        ({"homebrew": "0 Homebrew"}, "homebrew", "no-answer", "exit code 0: Homebrew"),
        ({"homebrew": "0 brew, version 8.0", "conda": "0 27.1"}, "", "", ""),
        ({"homebrew": ""}, "homebrew", "no-answer", "exit code ?: nothing"),
        ({"conda": "missing"}, "conda", "not-installed", "/conda/bin/conda is not there"),
        ({"homebrew": "cut-off"}, "homebrew", "not-installed", "/opt/homebrew/bin/brew is of a clone that was cut off"),
        ({"formula:htop": "missing"}, "formulae", "not-installed", "htop is not installed"),
        ({"formula:htop": "unlinked"}, "formulae", "not-on-path", "htop is installed but not linked"),
        (
            {"cask:editor": "gone /Applications/E.app"},
            "casks",
            "not-installed",
            "/Applications/E.app of editor is gone",
        ),
        ({"cask:editor": ""}, "casks", "malformed", "nothing was said of editor"),
    ],
)
def test_what_homebrew_and_conda_brought(change: dict[str, str], check: str, fault: str, said: str) -> None:
    found = system.judge(ASKED, Report("end", data={**BROUGHT, **change}))
    bad = [(one.check, one.fault) for one in found if one.result == "fail"]
    assert bad == ([(f"system.{check}", fault)] if check else [])
    assert all(said in one.message for one in found if one.result == "fail")


def test_only_what_was_asked_for_is_asked() -> None:
    assert system.questions(replace(ASKED, homebrew=None, conda=None)) == []
    assert system.questions(ASKED) == ["/opt/homebrew", "/conda", "formula:htop", "cask:editor"]
    assert system.questions(replace(ASKED, homebrew=None)) == ["", "/conda"]
    assert system.questions(replace(ASKED, conda=None)) == ["/opt/homebrew", "", "formula:htop", "cask:editor"]
    found = system.judge(replace(ASKED, homebrew=None), Report("end", data=BROUGHT))
    assert [one.result for one in found] == ["skip", "skip", "skip", "pass"]
    bare = replace(ASKED, homebrew=Homebrew("/opt/homebrew", (), (), shellenv=False), conda=None)
    assert [one.result for one in system.judge(bare, Report("end", data=BROUGHT))] == ["pass", "skip", "skip", "skip"]


# --- a run


def plan(level: str, timeout_s: float | None = None) -> Plan:
    return Plan(LOADED, level, ("mlx", "jax"), timeout_s, 100.0)


def test_measurements_take_less_where_the_machines_time_is_short() -> None:
    whole = {"matmul_s": 20.0, "bandwidth_s": 2.0, "course_s": 10.0}
    # 32 s of measurements and 25 beside them for each.
    assert plan("full").measure_s(0, 5) == whole
    assert plan("full").measure_s(14, 5) == whole
    assert plan("full").measure_s(95, 5) == {"matmul_s": 10.0, "bandwidth_s": 1.0, "course_s": 5.0}
    assert plan("full").measure_s(243, 1) == whole
    # However late it is, something is measured.
    assert plan("full").measure_s(299, 1) == {"matmul_s": 5.0, "bandwidth_s": 0.5, "course_s": 2.5}
    # What another one soaked is not of this time: mlx and jax are asked.
    assert plan("soak").measure_s(340, 1) == whole
    assert plan("soak").measure_s(359, 1)["matmul_s"] == 10.0


def test_the_time_that_is_left_for_a_probe() -> None:
    assert plan("quick").limit_s(0) == 120
    assert plan("quick").limit_s(59) == 61
    assert plan("quick").limit_s(61) == 60
    assert plan("full").limit_s(30) == 270
    # A hundred seconds for each of two frameworks beside the level's own, and never less than one of them needs.
    assert plan("soak").limit_s(0) == 500
    assert plan("soak").limit_s(480) == 160
    assert plan("setup").limit_s(0) == 60
    assert plan("full", timeout_s=7.0).limit_s(290) == 7
    assert plan("quick").candidates == ("mlx", "jax")
    assert replace(plan("quick"), frameworks=None).candidates == tuple(LOADED.frameworks)


def test_a_verdict_needs_everything_looked_at() -> None:
    sound = ("internal", "pass")
    assert verdict_of([("a", "pass"), ("b", "warn"), ("c", "skip"), sound]) == "healthy"
    assert verdict_of([("a", "pass"), ("b", "fail"), sound]) == "unhealthy"
    assert verdict_of([("a", "pass")]) == "unverified"
    assert verdict_of([("a", "fail"), ("internal", "fail")]) == "unverified"
    assert verdict_of([]) == "unverified"
    assert worst(["pass", "warn", "skip"]) == "warn"
    assert worst(["pass", "fail", "warn"]) == "fail"
    assert worst(["skip", "pass"]) == "pass"
    assert worst([]) == "skip"
