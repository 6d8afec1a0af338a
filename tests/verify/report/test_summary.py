"""The summary on the terminal, word by word: the verdict, the largest product, and what to do."""

from pathlib import Path
from typing import Any

import pytest

from verify.checks.advice import ADVICE
from verify.report import language, summary
from verify.results.model import CheckResult, FrameworkReport, HostReport, Matmul

SPOKEN = language.choose("en")


def told(report: HostReport, *, colour: bool = False) -> list[str]:
    """The lines about a host."""
    text = summary.host(report, SPOKEN, colour=colour)
    assert text.endswith("\n\n")
    return [line.rstrip() for line in text[:-2].split("\n")]


def product(dtype: str, n: int, tflops: float, *, noisy: bool = False) -> Matmul:
    return Matmul(dtype, n, 1, 0.1, [0.1], 0.1, 0.1, 0.1, 0.1, tflops, tflops - 1, tflops + 2, noisy, 0.5)


def report(*checks: CheckResult, **changes: Any) -> HostReport:
    internal = CheckResult("internal", "pass", "through")
    made = HostReport("mac[1]", "10.0.0.1", "ml-m1", "full", "2026-11-21T07:00:00Z", 12.6)
    made.checks = [CheckResult("environment.reachable", "pass", "it answered"), *checks, internal]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


MACHINE = {"cpu": "Apple M1", "system": "Darwin", "os_version": "14.4"}


def test_a_healthy_machine() -> None:
    assert told(report(machine=MACHINE)) == [
        "mac[1]: HEALTHY, every required check passed  (Apple M1, Darwin 14.4; ml-m1; full; 13 s)"
    ]
    assert told(report()) == ["mac[1]: HEALTHY, every required check passed  (ml-m1; full; 13 s)"]
    virtual = told(report(machine={**MACHINE, "cpu": "Apple M1 (Virtual)", "virtual": True}))
    assert "(virtual Mac, Apple M1 (Virtual), Darwin 14.4; ml-m1;" in " ".join(virtual)


def test_a_machine_that_nothing_is_said_of() -> None:
    assert told(report(checks=[CheckResult("a", "pass", "")])) == [
        "mac[1]: COULD NOT BE VERIFIED, nothing is said of it  (ml-m1; full; 13 s)"
    ]


def test_frameworks_and_findings() -> None:
    frameworks = {
        "mlx": FrameworkReport(
            True,
            "fail",
            "0.32.4",
            "gpu:0",
            matmul=[
                product("float32", 512, 9),
                product("float32", 2048, 3, noisy=True),
                product("float32", 1024, 4),
                product("float16", 4096, 7),
            ],
        ),
        "pytorch": FrameworkReport(False, "pass", "2.1", matmul=[product("float32", 512, 5)]),
        "jax": FrameworkReport(False, "skip"),
        "tensorflow": FrameworkReport(True, "warn", matmul=[product("float16", 512, 5)]),
    }
    checks = [
        CheckResult("mlx.value", "fail", "7 instead [red]of[/] 6", "x", "wrong-value"),
        CheckResult("pytorch.value", "pass", "6"),
        CheckResult("tensorflow.value", "skip", "not reached"),
        CheckResult("tensorflow.numbers", "warn", "so-so", "x", "noisy"),
        CheckResult("mlx.learns", "fail", "no", "x", "no-learning"),
    ]
    lines = told(report(*checks, frameworks=frameworks))
    assert lines[:5] == [
        "mac[1]: UNHEALTHY, 2 failed  (ml-m1; full; 13 s)",
        "framework    version   device   value         fp32 TFLOPS (quartiles)      verdict",
        "mlx          0.32.4    gpu:0    wrong-value   3.00 (2.00 to 5.00, noisy)   fail",
        "pytorch      2.1       -        exact         5.00 (4.00 to 7.00)          pass (optional)",
        "tensorflow   -         -        -             -                            warn",
    ]
    words = " ".join(" ".join(lines[5:]).split())
    assert words == " ".join(
        [
            f"fail mlx.value [wrong-value]: 7 instead [red]of[/] 6 {ADVICE['wrong-value']}",
            f"warn tensorflow.numbers [noisy]: so-so {ADVICE['noisy']}",
            f"fail mlx.learns [no-learning]: no {ADVICE['no-learning']}",
        ]
    )
    assert [line[:5] for line in lines[5:] if line.startswith("     ")]


def test_lines_are_as_wide_on_every_terminal() -> None:
    lines = told(report(CheckResult("mlx.value", "fail", "#" * 300, "x", "wrong-value")))
    assert max(map(len, lines)) == 110
    assert "".join(lines).count("#") == 300


def test_colours_where_they_are_shown() -> None:
    frameworks = {"mlx": FrameworkReport(True, "pass", "0.32.4")}
    lines = told(report(frameworks=frameworks), colour=True)
    assert lines[0] == "mac[1]: \x1b[1;32mHEALTHY\x1b[0m, every required check passed  (ml-m1; full; 13 s)"
    assert "\x1b[32mpass " in lines[-1]
    bad = CheckResult("mlx.value", "fail", ":smile: 1", "x", "wrong-value")
    lines = told(report(bad), colour=True)
    assert lines[0].startswith("mac[1]: \x1b[1;31mUNHEALTHY\x1b[0m, 1 failed")
    assert lines[1] == "\x1b[1;31mfail mlx.value [wrong-value]: \x1b[0m:smile: 1"


def test_where_the_results_are() -> None:
    here = Path.cwd()
    paths = [here / "results" / f"{name}.json" for name in ("a", "b")]
    assert summary.places(paths, None, SPOKEN) == "Results: results/a.json, results/b.json\n"
    assert summary.places(paths[:1], here / "report.html", SPOKEN) == "Results: results/a.json\nReport: report.html\n"


def test_a_machine_that_cannot_be_shown() -> None:
    internal = CheckResult("internal", "fail", "verify failed [b]here[/b]", "x", "internal")
    made = report(checks=[CheckResult("a", "pass", "well"), internal])
    assert summary.unshown(made, SPOKEN, colour=False) == "mac[1]: COULD NOT BE VERIFIED\nverify failed [b]here[/b]\n\n"
    assert "\x1b[1;31mCOULD NOT BE VERIFIED\x1b[0m" in summary.unshown(made, SPOKEN, colour=True)


@pytest.mark.parametrize(("place", "said"), [("results/mac.json", "results/mac.json"), ("../x", None), ("", ".")])
def test_paths_as_one_would_type_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, said: str | None
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = (tmp_path / "here" / place).resolve()
    assert summary.near(path) == (said or str(path))


def test_an_advice_to_converge_names_the_profile_that_is_not_the_default() -> None:
    damaged = CheckResult("packages.base", "fail", "torn", ADVICE["altered"], "altered")
    assert "     Run ./converge -e compare_content=true: it" in told(report(damaged))[2]
    assert (
        "     Run ./converge -e profile=current -e compare_content=true: it"
        in told(report(damaged, profile="current"))[2]
    )
    crash = CheckResult("mlx.import", "fail", "it crashed", ADVICE["crash"], "crash")
    assert "     Run ./converge to mend" in told(report(crash, profile="/home/me/env"))[2]
