"""Figures and facts on the page: each in its cell, the largest product as the largest, and charts as drawn."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.verify.report.samples import measured, stored
from verify.checks.advice import ADVICE
from verify.report import charts, labels, language, view
from verify.report.charts import Bar, Line
from verify.report.facts import facts
from verify.report.measurements import Table, largest, measures

SPOKEN = language.choose("en")
NONE = "\N{EN DASH}"
DRAWN = Path(__file__).resolve().parent / "charts"


def product(dtype: str, n: int, tflops: float, *, share: float | None = None, noisy: bool = False) -> dict[str, Any]:
    spread = {"tflops": tflops, "tflops_low": tflops - 0.25, "tflops_high": tflops + 0.5}
    return {"dtype": dtype, "n": n, "first_s": n / 10000, "noisy": noisy, "share": share, **spread}


def framework(**parts: Any) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("bandwidth", "course", "sustained", "training", "memory"))
    return {"result": "pass", "required": True, "matmul": [], "numbers": [], **empty, **parts}


MATMUL = [
    product("float16", 4096, 9.0, share=0.81),
    product("float32", 512, 5.0),
    product("float32", 2048, 3.0, share=0.5, noisy=True),
    product("float32", 1024, 4.0),
    product("float16", 256, 12.0),
]


def tables(data: dict[str, Any]) -> dict[str, Table]:
    return {one.caption: one for one in measures(data, SPOKEN).tables}


def of(**frameworks: dict[str, Any]) -> dict[str, Any]:
    return {"yardstick": None, "frameworks": frameworks}


def test_the_largest_product_of_each_kind_is_the_one_of_the_largest_matrices() -> None:
    """Whichever is the fastest, and in whatever order they come."""
    assert [(one["dtype"], one["n"]) for one in largest({"matmul": MATMUL})] == [("float32", 2048), ("float16", 4096)]
    assert [one["n"] for one in largest({"matmul": MATMUL[::-1]})] == [2048, 4096]
    assert largest({"matmul": []}) == []
    first, second = product("float32", 512, 1.0), product("float32", 512, 2.0)
    assert largest({"matmul": [first, second]}) == [first]


def test_nothing_measured_nothing_shown() -> None:
    made = measures(of(mlx=framework(), jax=framework(training={"losses": [], "cpu_losses": None})), SPOKEN)
    assert (made.figures, made.tables) == ([], [])


@pytest.mark.parametrize(
    ("yardstick", "note"),
    [
        (None, ""),
        ("chip", "Percentages: share of the chip's theoretical peak."),
        ("blas", "Percentages: share of the fastest library on this machine's CPU, in the same run."),
    ],
)
def test_products(yardstick: str | None, note: str) -> None:
    data = {**of(mlx=framework(matmul=MATMUL), other=framework(matmul=MATMUL[:1])), "yardstick": yardstick}
    made = measures(data, SPOKEN)
    (figure,) = made.figures
    assert (figure.caption, figure.note) == ("Speed of the largest product of each kind of number", note)
    alternative = "Bar chart of TFLOPS. MLX fp32 3.00 · 50%; MLX fp16 9.00 · 81%; other fp16 9.00 · 81%."
    assert f'aria-label="{alternative}"' in figure.picture
    root = ElementTree.fromstring(figure.picture)  # noqa: S314 - ours
    texts = [one.text for one in root.iter("text")]
    assert texts.index("other fp16") < texts.index("MLX fp16") < texts.index("MLX fp32")
    assert "TFLOPS, with quartiles" in texts
    assert [one.get("class") for one in root.iter("rect")] == ["fp16", "fp16", "fp32"]
    (table,) = made.tables
    assert table.caption == "Every product that was timed"
    assert table.columns == ["Framework", "Numbers", "n", "TFLOPS", "Quartiles", "Spread", "Share", "First call"]
    assert table.rows == [
        ["MLX", "fp16", "4096", "9.00", "8.75 to 9.50", "calm", "81%", "0.410 s"],
        ["MLX", "fp32", "512", "5.00", "4.75 to 5.50", "calm", NONE, "0.0512 s"],
        ["MLX", "fp32", "2048", "3.00", "2.75 to 3.50", "noisy", "50%", "0.205 s"],
        ["MLX", "fp32", "1024", "4.00", "3.75 to 4.50", "calm", NONE, "0.102 s"],
        ["MLX", "fp16", "256", "12.0", "11.8 to 12.5", "calm", NONE, "0.0256 s"],
        ["other", "fp16", "4096", "9.00", "8.75 to 9.50", "calm", "81%", "0.410 s"],
    ]


def test_the_other_tables() -> None:
    mlx = framework(
        bandwidth={"gb_s": 60.0, "gb_s_low": 55.0, "gb_s_high": 61.0, "share": 0.9},
        course={"n": 1000, "seconds": 0.25, "honest_tflops": 1.5},
        numbers=[
            {"case": "softmax", "dtype": "float32", "error": 1.5e-7, "tolerance": 1e-6, "result": "pass"},
            {"case": "sum", "dtype": "int8", "error": None, "tolerance": None, "result": "fail"},
        ],
        training={"losses": [0.5, 0.25, 0.125], "cpu_losses": [0.5, 0.375, 0.0625]},
        memory={"before_bytes": 1_500_000, "after_bytes": 2_000_000_000},
    )
    jax = framework(
        bandwidth={"gb_s": 6.0, "gb_s_low": 5.0, "gb_s_high": 7.0, "share": None},
        training={"losses": [2.0, 1.0], "cpu_losses": None},
    )
    made = tables(of(mlx=mlx, jax=jax))
    assert {caption: (one.columns, one.rows) for caption, one in made.items()} == {
        "Memory bandwidth": (
            ["Framework", "Bandwidth", "Quartiles", "Share"],
            [["MLX", "60.0 GB/s", "55.0 to 61.0", "90%"], ["JAX", "6.00 GB/s", "5.00 to 7.00", NONE]],
        ),
        "The course's one-second test, honestly timed": (
            ["Framework", "n", "Time of one product", "TFLOPS"],
            [["MLX", "1000", "0.250 s", "1.50"]],
        ),
        "Numbers against a float64 reference": (
            ["Framework", "Operation", "Numbers", "Error", "Allowed", "Result"],
            [["MLX", "softmax", "fp32", "1.5E-7", "1.0E-6", "pass"], ["MLX", "sum", "int8", NONE, NONE, "fail"]],
        ),
        "A short training run": (
            ["Framework", "Loss at the start", "Loss at the end", "At the end on the CPU", "Steps"],
            [["MLX", "0.500", "0.125", "0.0625", "3"], ["JAX", "2.00", "1.00", NONE, "2"]],
        ),
        "Memory on the device, before and after the work": (
            ["Framework", "Before", "After"],
            [["MLX", "1.5 MB", "2 GB"]],
        ),
    }


def test_sustained_speed_is_a_line_where_there_are_two_points() -> None:
    lasting = {"tflops": [2.0, 1.0, 1.5], "ratio": 0.75, "window_s": 2.0, "dtype": "float32"}
    short = {"tflops": [9.0], "ratio": 1.0, "window_s": 2.0, "dtype": "float16"}
    assert measures(of(jax=framework(sustained=short)), SPOKEN).figures == []
    half = {**lasting, "tflops": [4.0, 4.0], "dtype": "float16", "ratio": 1.0}
    data = of(mlx=framework(sustained=lasting), jax=framework(sustained=short), pytorch=framework(sustained=half))
    (figure,) = measures(data, SPOKEN).figures
    assert figure.caption == "Sustained speed"
    assert figure.note == "Percentages: speed at the end as a share of the speed at the beginning."
    picture = str(figure.picture)
    said = "Line chart of TFLOPS over time. Speed at the end as a share of the beginning: MLX, 75%; PyTorch, 100%."
    assert f'aria-label="{said}"' in picture
    root = ElementTree.fromstring(picture)  # noqa: S314 - ours
    texts = [one.text for one in root.iter("text")]
    for text in ("seconds", "TFLOPS, fp16, fp32", "MLX, 75%", "PyTorch, 100%"):
        assert text in texts
    # The course begins after the first window, and the scale ends a tenth above the highest point.
    alone = charts.lines(
        [Line("MLX, 75%", [(2.0, 2.0), (4.0, 1.0), (6.0, 1.5)]), Line("PyTorch, 100%", [(2.0, 4.0), (4.0, 4.0)])],
        alternative=said,
        axes=("seconds", "TFLOPS, fp16, fp32"),
        number=SPOKEN.short,
    )
    assert alone == picture


BARS = [
    Bar("MLX <fp32>", 10.0, 9.0, 14.0, "10.0 · 50%", "fp32"),
    Bar("a framework fp16", 3.0, 2.5, 3.25, "3.00", "fp16"),
]
LINES = [
    Line("MLX & co, 75%", [(1.0, 2.0), (2.0, 1.0), (3.0, 1.5)]),
    Line("JAX", [(1.0, 0.5), (3.0, 0.75)]),
    Line("a third whose label is longer than forty letters are", [(1.0, 1.0), (3.0, 1.25)]),
]


def test_charts_are_drawn_as_those_that_were_looked_at() -> None:
    """Two charts as files: where one is to look differently, draw it anew, look at it, and keep it."""
    drawn = {
        "bars.svg": charts.bars(BARS, alternative='said "so"', axis="TFLOPS", number=SPOKEN.short),
        "lines.svg": charts.lines(
            LINES, alternative="said", axes=("seconds", "TFLOPS"), number=language.choose("pt").short
        ),
    }
    for name, picture in drawn.items():
        assert str(picture).replace("><", ">\n<") + "\n" == (DRAWN / name).read_text(encoding="utf-8")


def test_a_hosts_facts() -> None:
    machine = {"cpu": "Apple M1", "cores": 8, "gpu_cores": 7, "memory_bytes": 16_000_000_000, "model": "Macmini9,1"}
    machine |= {"system": "Darwin", "os_version": "14.4.1", "translated": False}
    chip = {"fp32_tflops": [2.3, 2.6], "fp16_tflops": [5.0, 5.0], "bandwidth_gb_s": [68.0, 68.0]}
    state = {
        "power_source": "battery",
        "low_power_mode": True,
        "thermal_pressure": "nominal",
        "memory_pressure": "warn",
        "memory_free_percent": 55,
        "swap_used_bytes": 0,
        "load_1m": 1.5,
        "wired_limit_bytes": 12_000_000_000,
        "virtual_machine": False,
        "uptime_s": 7200,
    }
    assert facts({"machine": machine, "chip": chip, "state": state}, SPOKEN) == [
        ("Processor", "Apple M1"),
        ("Processor cores", "8"),
        ("GPU cores", "7"),
        ("Memory", "16 GB"),
        ("Model", "Macmini9,1"),
        ("System", "Darwin 14.4.1"),
        ("Peak fp32", "2.30 to 2.60 TFLOPS"),
        ("Peak fp16", "5 TFLOPS"),
        ("Peak bandwidth", "68 GB/s"),
        ("Power", "battery"),
        ("Low-power mode", "yes"),
        ("Thermal pressure", "nominal"),
        ("Memory pressure", "warn"),
        ("Free memory", "55%"),
        ("Swap in use", "0 B"),
        ("Load over a minute", "1.5"),
        ("Memory the GPU may keep", "12 GB"),
        ("Virtual machine", "no"),
        ("Rosetta", "no"),
        ("Up for", "2 hours"),
    ]
    assert facts({"machine": {}, "chip": None, "state": None}, SPOKEN) == []
    assert facts({"machine": {**machine, "model": ""}, "chip": None, "state": None}, SPOKEN)[4][0] == "System"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 hours"),
        (3600, "1 hour"),
        (1801, "1 hour"),
        (47 * 3600, "47 hours"),
        (47.4 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (71 * 3600, "2 days"),
        (72 * 3600, "3 days"),
    ],
)
def test_how_long_a_machine_is_up(seconds: float, said: str) -> None:
    state = {"uptime_s": seconds, "power_source": "ac"}
    assert facts({"machine": {}, "chip": None, "state": state}, SPOKEN) == [("Power", "power supply"), ("Up for", said)]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_999, "1000 kB"),
        (1_000_000, "1 MB"),
        (123_456_789, "123 MB"),
        (10**12, "1 TB"),
        (10**15, "1000 TB"),
        (-2_000_000, "-2 MB"),
    ],
)
def test_sizes_in_decimal_units(count: float, said: str) -> None:
    assert SPOKEN.size(count) == said


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("mlx.value", f"MLX: {labels.CHECKS['{framework}.value']}"),
        ("packages.mlx", f"MLX: {labels.CHECKS['packages.{set}']}"),
        ("packages.base", f"Base: {labels.CHECKS['packages.{set}']}"),
        ("mlx.nonsense", "mlx.nonsense"),
        ("packages.nonsense", "packages.nonsense"),
        ("other.value", "other.value"),
        ("internal", "verify itself went through"),
    ],
)
def test_titles_of_checks(name: str, title: str) -> None:
    assert labels.check(name, SPOKEN) == title


def answer(check: str, result: str, fault: str = "") -> dict[str, Any]:
    return {"check": check, "result": result, "message": f"{check} said", "fault": fault, "advice": "as it said"}


@pytest.mark.parametrize(
    ("results", "verdict", "state", "word"),
    [
        (("pass", "skip"), "healthy", "pass", "healthy"),
        (("pass", "warn"), "healthy", "warn", "healthy, with warnings"),
        (("warn", "fail"), "unhealthy", "fail", "unhealthy"),
        (("pass", "pass"), "unverified", "unverified", "could not be verified"),
        (("fail", "warn"), "unverified", "unverified", "could not be verified"),
    ],
)
def test_what_the_page_says_of_a_host(
    tmp_path: Path, results: tuple[str, str], verdict: str, state: str, word: str
) -> None:
    data = measured()
    one = stored(tmp_path, data)
    one.data.update(verdict=verdict, checks=[answer(f"c{number}", result) for number, result in enumerate(results)])
    shown = view.host(one, SPOKEN, "")
    assert (shown.state, shown.verdict) == (state, word)
    assert shown.when.endswith(" UTC")
    assert (shown.started, shown.took) == (data["started"], "175")
    assert [(check.name, check.message) for check in shown.checks] == [("c0", "c0 said"), ("c1", "c1 said")]


def test_what_is_wrong_comes_the_worst_first(tmp_path: Path) -> None:
    one = stored(tmp_path, measured())
    one.data["checks"] = [
        answer("a", "warn", "noisy"),
        answer("b", "pass"),
        answer("mlx.value", "fail", "wrong-value"),
        answer("d", "skip"),
        answer("e", "warn", "unknown"),
        answer("f", "fail", "hang"),
    ]
    spoken = language.choose("pt")
    found = view.host(one, spoken, "").findings
    assert [(item.check, item.result, item.fault) for item in found] == [
        ("mlx.value", "fail", "wrong-value"),
        ("f", "fail", "hang"),
        ("a", "warn", "noisy"),
        ("e", "warn", "unknown"),
    ]
    assert (found[0].advice, found[0].advice_tag) == (spoken.lookup(ADVICE["wrong-value"]), "pt-PT")
    assert (found[0].title, found[0].message) == ("Valor errado", "mlx.value said")
    assert (found[3].advice, found[3].advice_tag, found[3].title) == ("as it said", "en", "unknown")
    one.data["profile"], one.data["checks"] = "current", [answer("a", "fail", "damaged")]
    assert view.host(one, spoken, "").findings[0].advice.startswith("Executa ./converge -e profile=current")


def test_hosts_that_need_a_person_come_first(tmp_path: Path) -> None:
    hosts = []
    states = [("c", "pass"), ("b", "warn"), ("a", "pass"), ("d", "fail"), ("f", "unverified"), ("e", "unverified")]
    for name, state in states:
        one = view.host(stored(tmp_path, measured()), SPOKEN, "")
        one.title, one.state = name, state  # type: ignore[assignment]
        hosts.append(one)
    assert [one.title for one in sorted(hosts, key=view.urgency)] == ["e", "f", "d", "b", "a", "c"]


@pytest.mark.parametrize(
    ("chip", "cpu", "said"),
    [
        ({"name": "Apple M1", "gpu_cores": 8}, "Apple M1", "Apple M1, 8 GPU cores"),
        ({"name": "Apple M1", "gpu_cores": None}, "other", "Apple M1"),
        (None, "AMD EPYC", "AMD EPYC"),
        (None, None, ""),
    ],
)
def test_what_computes_in_a_host(tmp_path: Path, chip: dict[str, Any] | None, cpu: str | None, said: str) -> None:
    one = stored(tmp_path, measured())
    one.data["chip"] = chip and {**chip, "fp32_tflops": None}
    one.data["machine"] = {**one.data["machine"], "cpu": cpu} if cpu else {}
    assert view.host(one, SPOKEN, "").chip == said


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"matmul": MATMUL}, ("pass", "pass", "3.00 TFLOPS", "50%")),
        ({"matmul": MATMUL[:2]}, ("pass", "pass", "5.00 TFLOPS", "")),
        ({"matmul": MATMUL[:1]}, ("pass", "pass", "", "")),
        ({"required": False}, ("pass", "pass (optional)", "", "")),
        ({"required": False, "result": "fail"}, ("fail", "fail (optional)", "", "")),
        ({"required": False, "result": "skip"}, ("skip", "skip", "", "")),
    ],
)
def test_a_framework_in_the_table_of_all(
    tmp_path: Path, parts: dict[str, Any], expected: tuple[str, str, str, str]
) -> None:
    one = stored(tmp_path, measured())
    one.data["frameworks"] = {"mlx": framework(**parts)}
    cell = view.host(one, SPOKEN, "").cells["mlx"]
    assert (cell.result, cell.word, cell.speed, cell.share) == expected
