"""A probe's records are judged strictly: nothing that makes no sense passes."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.verify import macs, told
from tests.verify.told import CASE, GOOD, PRODUCT, SAMPLES
from verify.checks import chips, packages, speed, stages
from verify.checks.environment import EnvironmentJudge
from verify.checks.framework import FrameworkJudge, exact_operands, exact_result
from verify.checks.packages import Share
from verify.checks.speed import SpeedJudge
from verify.checks.walk import NOT_JUDGED, Asked, Check, Stage, walk
from verify.profile import model as profiles
from verify.results.model import CheckResult, FrameworkReport, HostReport
from verify.target.answers import Outcome, Report
from verify.target.record import parse
from verify.target.remote import ENVIRONMENT

M1 = chips.find("Apple M1", 8)


def without_relu() -> list[list[int]]:
    """a b of the exact operands, with nothing set to zero."""
    a, b = exact_operands()
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]


def judge(
    changes: dict[str, dict[str, Any]] | None = None,
    *,
    required: bool = True,
    written: list[dict[str, Any]] | None = None,
    **ended: Any,
) -> tuple[dict[str, CheckResult], FrameworkReport]:
    report = FrameworkReport(required=required)
    judge = FrameworkJudge("mlx", version="1.0", device="gpu", chip=M1, report=report)
    if written is None:
        written = told.records({stage: {**data, **(changes or {}).get(stage, {})} for stage, data in GOOD.items()})
    answer = told.outcome("framework", written, **ended)
    found = told.judged("framework", judge, answer, required=required, framework=["mlx"])
    assert [one.check for one in found] == stages.names(stages.of("framework", "full"), framework=["mlx"])
    return {one.check.removeprefix("mlx."): one for one in found}, report


@pytest.mark.parametrize(
    ("data", "result", "fault", "message"),
    [
        ({"error": 3.9, "said": ""}, "pass", "", "of 1024 x 2048 x 2048 in half precision, off by 3.9 "),
        ({"error": 4.1, "said": ""}, "fail", "wrong-large", "of 1024 x 2048 x 2048 in half precision, off by 4.1 "),
        ({"error": "inf", "said": ""}, "fail", "not-finite", "the product has another shape"),
        ({"error": None, "said": "the device has no bfloat16"}, "skip", "", "the device has no bfloat16"),
    ],
)
def test_a_large_product(data: dict[str, Any], result: str, fault: str, message: str) -> None:
    found = judge({"large": data})[0]["large"]
    assert (found.result, found.fault) == (result, fault)
    assert found.message.startswith(message)


def test_good_records() -> None:
    found, report = judge()
    assert {one.result for one in found.values()} == {"pass"}
    (product,) = report.matmul
    assert product.tflops == pytest.approx(2 * 1000**3 / sorted(SAMPLES)[10] / 1e12)
    assert product.p25_s <= product.median_s <= product.p75_s
    assert report.bandwidth is not None
    assert report.bandwidth["gb_s"] == pytest.approx(0.5 / sorted(SAMPLES)[10])
    assert report.course is not None
    assert report.course["seconds"] == pytest.approx(1.25)
    assert report.training is not None
    assert report.training.cpu_losses == GOOD["training"]["cpu_losses"]


def test_the_exact_result_is_that_of_long_multiplication() -> None:
    a, b = exact_operands()
    i, j = 5, 7
    entry = sum(a[i][k] * b[k][j] for k in range(len(b)))
    assert exact_result()[i][j] == max(0, entry)
    entries = [entry for row in exact_result() for entry in row]
    # relu has work to do, and every partial sum stays far below 2^24.
    assert entries.count(0) > len(entries) / 10
    assert len(set(entries)) > 20
    assert 5 * 6 * len(b) < 2**24


def product(**changes: Any) -> dict[str, dict[str, Any]]:
    """The stage of the products with another product."""
    return {"matmul": {"products": [{**PRODUCT, **changes}]}}


@pytest.mark.parametrize(
    ("changes", "check", "fault"),
    [
        ({"import": {"version": "1.1"}}, "version", "wrong-version"),
        ({"device": {"present": ["cpu"], "asked": ""}}, "device", "no-device"),
        ({"device": {"default": "cpu"}}, "device", "other-device"),
        ({"device": {"settings": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}}}, "device", "fallback-set"),
        ({"execute": {"ran_on": "cpu:0"}}, "placement", "other-device"),
        ({"execute": {"result": [[0] * 16 for _ in range(24)]}}, "value", "wrong-value"),
        ({"execute": {"result": [["nan"] * 16 for _ in range(24)]}}, "value", "not-finite"),
        ({"execute": {"result": without_relu()}}, "value", "wrong-relu"),
        ({"execute": {"result": [[-one for one in row] for row in without_relu()]}}, "value", "wrong-value"),
        ({"execute": {"result": exact_result()[:-1]}}, "value", "malformed"),
        ({"execute": {"result": [[*row, 0] for row in exact_result()]}}, "value", "malformed"),
        ({"execute": {"result": None}}, "value", "malformed"),
        (product(device="cpu:0"), "matmul.value", "other-device"),
        (product(residuals=[0.2, 4.1]), "matmul.value", "wrong-value"),
        (product(residuals=[0.2, "inf"]), "matmul.value", "wrong-value"),
        (product(residuals=[0.2, "nan"]), "matmul.value", "wrong-value"),
        (product(residuals=["nan", 0.2]), "matmul.value", "wrong-value"),
        (product(residuals=[]), "matmul.value", "malformed"),
        (product(residuals=[-0.1]), "matmul.value", "malformed"),
        (product(samples=[0.0] * 20), "matmul.value", "malformed"),
        (product(samples=SAMPLES[:4]), "matmul.value", "malformed"),
        (product(dtype="float16"), "matmul.value", "malformed"),
        (product(drain_s=0.2), "matmul.speed", "not-synchronised"),
        (product(samples=[1e-5] * 20, drain_s=1e-6), "matmul.speed", "not-synchronised"),
        ({"bandwidth": {"bytes": 10**10}}, "bandwidth", "not-synchronised"),
        ({"bandwidth": {"samples": [0.0] * 20}}, "bandwidth", "malformed"),
        ({"training": {"losses": [1.0, 0.9]}}, "training", "no-learning"),
        ({"training": {"losses": [1.0, "nan", 0.1]}}, "training", "no-learning"),
        ({"training": {"losses": []}}, "training", "malformed"),
        ({"training": {"losses": [0.0, 0.0]}}, "training", "no-learning"),
        ({"training": {"losses": [-1.0, -1.0]}}, "training", "malformed"),
        ({"training": {"losses": [0.1, 0.5, 1.0]}}, "training", "no-learning"),
        ({"training": {"cpu_losses": [1.0, 0.5, 0.2]}}, "training.cpu", "diverges"),
        ({"training": {"cpu_losses": [1.0, 0.5, "nan"]}}, "training.cpu", "diverges"),
        ({"training": {"cpu_losses": [1.0]}}, "training", "malformed"),
        ({"training": {"cpu_losses": [1.0, 0.5]}}, "training.cpu", "malformed"),
        ({"numbers": {"cases": []}}, "numbers", "malformed"),
        ({"numbers": {"cases": [{**CASE, "error": 4.5}]}}, "numbers", "wrong-value"),
        ({"numbers": {"cases": [{**CASE, "error": "inf", "finite": False}]}}, "numbers", "not-finite"),
        ({"numbers": {"cases": [{**CASE, "error": None, "said": "raised E: no"}]}}, "numbers", "exception"),
        ({"numbers": {"cases": [{**CASE, "error": None, "said": "not there"}]}}, "numbers", "malformed"),
        ({"memory": {"after": 4001000}}, "memory", "memory-kept"),
        ({"memory": {"after": "much"}}, "memory", "malformed"),
        ({"libraries": {"openmp": None}}, "openmp", "malformed"),
    ],
)
def test_each_failure_has_a_name(changes: dict[str, dict[str, Any]], check: str, fault: str) -> None:
    found, _ = judge(changes)
    bad = {name: one for name, one in found.items() if one.result not in ("pass", "skip")}
    assert {name: (one.result, one.fault) for name, one in bad.items()} == {check: ("fail", fault)}
    assert bad[check].advice


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"import": {"version": "1.1"}}, "version"),
        (product(drain_s=0.2), "matmul.speed"),
        ({"bandwidth": {"bytes": 10**10}}, "bandwidth"),
    ],
)
def test_after_what_is_only_slow_or_of_another_version_the_rest_is_still_told(
    changes: dict[str, dict[str, Any]], check: str
) -> None:
    assert {name for name, one in judge(changes)[0].items() if one.result != "pass"} == {check}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"device": {"default": "cpu"}}, "device"),
        ({"execute": {"ran_on": "cpu:0"}}, "placement"),
        ({"numbers": {"cases": [{**CASE, "error": 4.5}]}}, "numbers"),
        (product(device="cpu:0"), "matmul.value"),
        ({"training": {"losses": [1.0, 0.9]}}, "training"),
        ({"training": {"cpu_losses": [1.0, 0.5, 0.2]}}, "training.cpu"),
        ({"memory": {"after": 4001000}}, "memory"),
    ],
)
def test_after_what_is_wrong_the_rest_is_not_reached(changes: dict[str, dict[str, Any]], check: str) -> None:
    found, _ = judge(changes)
    later = list(found)[list(found).index(check) + 1 :]
    assert {(found[name].result, found[name].message) for name in later} == {
        ("skip", f"not reached: mlx.{check} failed")
    }


@pytest.mark.parametrize(
    ("answered", "note"),
    [
        ({"a": "pass", "b": "pass"}, False),
        # What a failure explains may be left out.
        ({"a": "fail"}, False),
        ({"a": "pass"}, True),
        ({"a": "pass", "b": "pass", "c": "pass"}, True),
        ({"a": "fail", "c": "pass"}, True),
    ],
)
def test_a_judge_that_answers_something_else_than_was_asked_is_a_fault_of_verify(
    answered: dict[str, str], note: bool
) -> None:
    noted: list[Exception] = []
    given = [CheckResult(name, result, "") for name, result in answered.items()]  # type: ignore[arg-type]
    stage = Stage("any", "one", (Check("a", ""), Check("b", "")), lambda *_: given, ("full",))
    later = Stage(
        "any", "exit", (Check("z", ""),), lambda *_: [CheckResult("z", "pass", "")], ("full",), recorded=False
    )
    answer = Outcome({"one": Report("end")}, "exit")
    found = walk(Asked([stage, later], {}, None, answer, 60.0, required=True), noted.append)
    assert [type(one) for one in noted] == [ValueError] * note
    if note:
        assert {(one.result, one.message) for one in found} == {("skip", NOT_JUDGED)}
    else:
        assert [one.result for one in found] == (["pass"] * 3 if "b" in answered else ["fail", "skip", "skip"])


@pytest.mark.parametrize(
    ("written", "check", "when"),
    [
        ([], "import", "before 'import'"),
        ([{"stage": "import", "event": "start"}], "import", "during 'import'"),
        (told.records(GOOD), "exit", "during 'exit'"),
    ],
)
def test_when_a_probe_was_killed_is_told(written: list[dict[str, Any]], check: str, when: str) -> None:
    found, _ = judge(written=written, ended="signal", status=11, signal="SIGSEGV")
    assert found[check].message == f"killed by SIGSEGV {when}"


def test_the_end_of_what_a_probe_wrote_is_shown() -> None:
    found, _ = judge(written=[], ended="timeout", evidence="\n" + "a" * 100 + "b" * 596 + "end.\n")
    assert found["import"].message.endswith("; it wrote: " + "b" * 596 + "end.")
    assert "it wrote" not in judge(written=[], ended="timeout", evidence=" \n")[0]["import"].message


def test_a_package_of_whose_files_nothing_is_said_is_not_as_locked() -> None:
    share = Share({"mlx": "1.0"}, ("mlx",))
    answer = packages.judge("mlx", share, {"installed": {"mlx": ["1.0"]}, "files": {}, "problems": {}})
    assert (answer.result, answer.message) == ("fail", "nothing was said of the files of mlx")


def test_two_openmp_runtimes_are_a_warning() -> None:
    found, _ = judge({"libraries": {"openmp": ["/a/libomp.dylib", "/b/libomp.dylib"]}})
    assert (found["openmp"].result, found["openmp"].fault) == ("warn", "two-openmp")
    assert "/b/libomp.dylib" in found["openmp"].message
    assert judge()[0]["openmp"].message == "one OpenMP runtime: /env/libomp.dylib"
    assert judge({"libraries": {"openmp": []}})[0]["openmp"].message == "no OpenMP runtime is loaded"


def test_what_cannot_be_told_is_skipped_with_the_reason() -> None:
    absent = {**CASE, "error": None, "said": "the framework has no sum"}
    found, report = judge(
        {
            "training": {"cpu_losses": None},
            "memory": {"before": None, "after": None},
            "numbers": {"cases": [CASE, absent]},
        }
    )
    skipped = {name: one.message for name, one in found.items() if one.result == "skip"}
    assert skipped == {"training.cpu": "the device is the CPU", "memory": "nobody counts the memory of gpu:0"}
    assert "not there: sum" in found["numbers"].message
    assert report.memory is None
    assert report.training is not None
    assert report.training.cpu_losses is None
    assert [one["result"] for one in report.numbers] == ["pass", "skip"]


def test_a_noisy_measurement_is_a_warning() -> None:
    found, report = judge(product(samples=[0.01] * 10 + [0.02] * 10))
    assert (found["matmul.speed"].result, found["matmul.speed"].fault) == ("warn", "noisy")
    assert found["training"].result == "pass"
    assert report.matmul[0].noisy


def test_every_product_is_a_share_of_the_chips_peak_or_of_the_best_on_the_machine() -> None:
    _, report = judge()
    assert report.matmul[0].share == pytest.approx(report.matmul[0].tflops / 2.617, rel=0.01)
    one, other = FrameworkReport(required=True), FrameworkReport(required=True)
    one.matmul = [replace(report.matmul[0], tflops=0.2)]
    other.matmul = [replace(report.matmul[0], tflops=0.05, dtype="float16")]
    speed.hold_against_best([one, other], 0.1)
    assert [each.matmul[0].share for each in (one, other)] == pytest.approx([1.0, 0.25])
    speed.hold_against_best([one, other], 0.4)
    assert one.matmul[0].yardstick_tflops == pytest.approx(0.4)


def test_a_chip_without_a_peak_judges_no_speed_and_says_so() -> None:
    report = FrameworkReport(required=True)
    fast = {**PRODUCT, "samples": [one / 1e6 for one in SAMPLES], "drain_s": 1e-9}
    found = SpeedJudge("mlx", "gpu:0", chips.find("Apple M6", 12), report).matmul(
        {**GOOD["matmul"], "products": [fast]}
    )
    assert [one.result for one in found] == ["pass", "pass"]
    assert found[1].message.endswith("; not judged: the peak of Apple M6 is not known")
    assert (report.matmul[0].yardstick_tflops, report.matmul[0].share) == (None, None)
    # The same figures on a chip whose peak is known are too good to be true.
    too_fast = SpeedJudge("mlx", "gpu:0", M1, FrameworkReport(required=True)).matmul(
        {**GOOD["matmul"], "products": [fast]}
    )
    assert [one.fault for one in too_fast] == ["", "not-synchronised"]
    # Its memory's bandwidth is known, and judged.
    slow = SpeedJudge("mlx", "gpu:0", chips.find("Apple M6", 12), report).bandwidth(GOOD["bandwidth"])
    assert "32% of the memory's 153" in slow[0].message


# Of actions/runner-images#9918 and #11899.
MPS_SAID = (
    "RuntimeError: MPS backend out of memory (MPS allocated: 0 bytes, other allocations: 0 bytes, max allowed: 7.93 GB"
    "). Tried to allocate 256 bytes on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit "
    "for memory allocations (may cause system failure).",
    "MPS backend out of memory (MPS allocated: 1024.00 MB). Tried to allocate 256 bytes on shared pool.",
)


def mps(said: str, *, virtual: bool, required: bool = True) -> dict[str, CheckResult]:
    """PyTorch's checks where looking for its device ends in an error."""
    written = [
        *told.records({"import": {"version": "1.0"}}),
        {"stage": "device", "event": "start"},
        {"stage": "device", "event": "error", "error": said, "trace": ""},
    ]
    judge = FrameworkJudge("pytorch", version="1.0", device="mps", chip=None, report=FrameworkReport(required=required))
    answer = told.outcome("framework", written)
    found = told.judged(
        "framework", judge, answer, level="quick", required=required, virtual=virtual, framework=["pytorch"]
    )
    return {one.check.removeprefix("pytorch."): one for one in found}


@pytest.mark.parametrize("said", MPS_SAID)
def test_what_a_virtual_mac_cannot_show_is_named_and_not_judged(said: str) -> None:
    found = mps(said, virtual=True)
    assert (found["import"].result, found["version"].result) == ("pass", "pass")
    assert (found["device"].result, found["device"].fault) == ("warn", "virtual-limit")
    reason = "not judged: this is a virtual Mac, whose GPU cannot do this"
    assert found["device"].message == f"{reason}: {said}"
    assert {
        (one.result, one.message) for name, one in found.items() if name not in ("import", "version", "device")
    } == {("skip", reason)}
    # Nothing of it is passed over on a Mac itself.
    real = mps(said, virtual=False)
    assert (real["device"].result, real["device"].fault) == ("fail", "out-of-memory")
    assert real["value"].message == "not reached: pytorch.device failed"


@pytest.mark.parametrize(
    "said",
    [
        "RuntimeError: MPS backend out of memory (MPS allocated: 6.00 GB). Tried to allocate 2.00 GB on private pool.",
        "RuntimeError: MPS backend out of memory (MPS allocated: 6.00 GB). Tried to allocate 4.00 KB on shared pool.",
        "RuntimeError: out of memory",
        "ImportError: no torch",
    ],
)
def test_any_other_error_is_a_failure_on_a_virtual_mac_too(said: str) -> None:
    assert mps(said, virtual=True)["device"].result == "fail"


def test_a_kind_of_numbers_that_is_lacking_is_told() -> None:
    found, _ = judge({"matmul": {"lacking": {"bfloat16": "no such numbers"}}})
    assert "no bfloat16: no such numbers" in found["matmul.value"].message


def test_the_courses_test_never_fails() -> None:
    found, report = judge({"course": {"samples": [], "reason": "it would take about 14 s here"}})
    assert found["course"].result == "skip"
    assert report.course is None
    assert "over the course's 1 s" in judge()[0]["course"].message
    assert "under the course's 1 s" in judge({"course": {"samples": [0.2, 0.2]}})[0]["course"].message


@pytest.mark.parametrize(
    "said",
    [
        "RuntimeError: MPS backend out of memory (MPS allocated: 18.00 GB)",
        "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 400000000 bytes.",
        "RuntimeError: [metal::malloc] Attempting to allocate 40000000000 bytes",
        "MemoryError: ",
        "RuntimeError: [enforce fail at alloc_cpu.cpp:130] DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_a_lack_of_memory_has_its_own_name(said: str) -> None:
    records: list[dict[str, Any]] = []
    for stage, data in list(GOOD.items())[:5]:
        records += [{"stage": stage, "event": "start"}, {"stage": stage, "event": "end", "seconds": 1.0, "data": data}]
    records += [
        {"stage": "matmul", "event": "start"},
        {"stage": "matmul", "event": "error", "error": said, "trace": ""},
    ]
    found, _ = judge(written=records)
    assert (found["matmul.value"].result, found["matmul.value"].fault) == ("fail", "out-of-memory")


def sustained(speeds: list[int]) -> CheckResult:
    report = FrameworkReport(required=True)
    windows = [{"products": one, "seconds": 2.0} for one in speeds]
    data = {"n": 1000, "dtype": "float32", "window_s": 2.0, "windows": windows, "registry": ["", ""]}
    (answer,) = SpeedJudge("mlx", "gpu:0", None, report).sustained(data)
    assert report.sustained is not None
    return answer


def test_a_machine_that_slows_down_throttles() -> None:
    assert sustained([100, 101, 99, 100, 98, 97, 96, 97]).result == "pass"
    slower = sustained([100, 100, 90, 80, 70, 60, 60, 60])
    assert (slower.result, slower.fault) == ("warn", "throttled")
    assert "60%" in slower.message
    assert "80% of the first speed" in sustained([100, 90, 80]).message


def test_optional_turns_a_failure_into_a_warning() -> None:
    found, _ = judge({"execute": {"ran_on": "cpu:0"}}, required=False)
    assert (found["placement"].result, found["placement"].fault) == ("warn", "other-device")
    assert found["training"].result == "skip"


@pytest.mark.parametrize(
    ("outcome", "fault", "said"),
    [
        ({"ended": "timeout"}, "hang", "60 s"),
        ({"ended": "signal", "status": 6, "signal": "SIGABRT"}, "crash", "SIGABRT"),
        ({"ended": "exit", "status": 3}, "no-answer", "exit code 3"),
        ({"ended": "no-answer", "status": 1}, "no-answer", "before 'import'"),
        ({"ended": "malformed", "status": 1}, "malformed", "cannot be read"),
        ({"ended": "lost", "status": -1}, "connection-lost", "the connection broke"),
    ],
)
def test_a_probe_that_reports_nothing(outcome: dict[str, Any], fault: str, said: str) -> None:
    found, _ = judge(written=[], evidence="last words", **outcome)
    assert (found["import"].result, found["import"].fault) == ("fail", fault)
    assert said in found["import"].message
    assert "last words" in found["import"].message
    assert {one.result for name, one in found.items() if name != "import"} == {"skip"}


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        # mlx/backend/metal/device.cpp, load_device, since 0.32: the import raises it.
        (
            {},
            "[metal::load_device] No Metal device available. This typically occurs in headless, sandboxed, or virtual",
        ),
        # Before that, Foundation's words in mlx #3148 and #3397, and an abort.
        (
            {"ended": "signal", "status": 6, "signal": "SIGABRT"},
            "*** Terminating app due to uncaught exception 'NSRangeException', reason: "
            "'*** -[__NSArray0 objectAtIndex:]: index 0 beyond bounds for empty array'",
        ),
    ],
)
@pytest.mark.parametrize("virtual", [True, False])
def test_a_session_in_which_no_metal_device_is_visible_is_named(
    ended: dict[str, Any], said: str, virtual: bool
) -> None:
    records: list[dict[str, Any]] = [{"stage": "import", "event": "start"}]
    if not ended:
        records.append({"stage": "import", "event": "error", "error": f"RuntimeError: {said}", "trace": ""})
    judge = FrameworkJudge("mlx", version="1.0", device="gpu", chip=M1, report=FrameworkReport(required=True))
    answer = told.outcome("framework", records, evidence=said, **ended)
    first, *others = told.judged("framework", judge, answer, level="quick", virtual=virtual, framework=["mlx"])
    assert (first.result, first.fault) == (("warn", "virtual-limit") if virtual else ("fail", "no-metal"))
    assert "no Metal device is visible to this process" in first.message
    assert {one.result for one in others} == {"skip"}


def test_a_crash_after_the_last_stage_is_a_failure() -> None:
    found, _ = judge(ended="signal", status=11, signal="SIGSEGV")
    assert {name: one.fault for name, one in found.items() if one.result != "pass"} == {"exit": "crash"}


def test_an_exception_is_shown() -> None:
    records = [
        {"stage": "import", "event": "start"},
        {"stage": "import", "event": "error", "error": "ImportError: no", "trace": ""},
    ]
    found, _ = judge(written=records)
    assert found["import"].fault == "exception"
    assert "ImportError: no" in found["import"].message


@pytest.mark.parametrize(
    ("stage", "changes", "bad"),
    [
        ("python", {"version": "2.7.18"}, {"environment.python"}),
        ("machine", {"translated": True}, {"environment.platform"}),
        ("packages", {"installed": {}}, {"packages.base", "packages.mlx"}),
        ("variables", {"stored": {"": {}}}, {"environment.variables"}),
        ("shell", {"brew": ""}, {"shell.homebrew"}),
        ("shell", {"conda": False}, {"shell.conda"}),
        ("shell", {"active": ""}, {"shell.login"}),
    ],
)
def test_of_an_environment_everything_is_told_whatever_is_wrong(
    stage: str, changes: dict[str, Any], bad: set[str]
) -> None:
    loaded = profiles.load("ml-m1")
    mac = macs.Mac(loaded)
    sets = ["base", "mlx"]
    shares = packages.shares(loaded, loaded.lock(macs.PLATFORM), sets)
    report = HostReport("mac", "mac", "ml-m1", "full", "2026-11-21T00:00:00Z")
    record = parse(json.dumps(mac.record), "ml-m1")
    found = mac.stages[ENVIRONMENT]
    found[stage] = {**found[stage], **changes}
    subject = EnvironmentJudge(loaded, record, macs.PLATFORM, shares, report)
    answers = told.judged(ENVIRONMENT, subject, told.outcome(ENVIRONMENT, told.records(found)), set=sets)
    assert {one.check for one in answers if one.result != "pass"} == bad


def test_memory_is_held_against_the_slowest_that_a_chip_of_that_name_has() -> None:
    report = FrameworkReport(required=True)
    assert M1 is not None
    chip = replace(M1, bandwidth_gb_s=(100.0, 120.0))
    judge = FrameworkJudge("mlx", version="1.0", device="gpu", chip=chip, report=report)
    judge.bandwidth(Report("end", 1.0, GOOD["bandwidth"]))
    assert report.bandwidth is not None
    assert report.bandwidth["yardstick_gb_s"] == 100.0
    assert report.bandwidth["share"] == pytest.approx(report.bandwidth["gb_s"] / 100.0)


def test_what_is_not_answered_names_the_first_failure_of_its_stage() -> None:
    names = ("a.one", "a.two", "a.three")

    def judged(_: object, __: Report) -> list[CheckResult]:
        return [CheckResult(name, "fail", "broken") for name in names[:2]]

    stage = Stage("a", "stage", tuple(Check(name, name) for name in names), judged, ("quick",))
    found = walk(
        Asked([stage], {}, None, Outcome({"stage": Report("end", 1.0, {})}, "exit"), 1.0, required=True), print
    )
    assert [(one.check, one.message) for one in found[2:]] == [("a.three", "not reached: a.one failed")]
