"""Result files: after the schema or not written, under names that are safe anywhere."""

import errno
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verify.checks.advice import ADVICE
from verify.documents import MalformedError
from verify.results import files, history
from verify.results.files import SCHEMA, file_name, write
from verify.results.model import INTERNAL, CheckResult, FrameworkReport, HostReport, Matmul


def report(*checks: CheckResult) -> HostReport:
    return HostReport("mac-1", "ssh://mac-1", "ml-m1", "quick", "2026-11-21T00:00:00Z", checks=list(checks))


SOUND = CheckResult(INTERNAL, "pass", "nothing went wrong")


def test_written_and_read_again(tmp_path: Path) -> None:
    made = report(CheckResult("mlx.value", "pass", "right, é"), SOUND)
    made.frameworks["mlx"] = FrameworkReport(
        required=True,
        matmul=[Matmul("float32", 512, 1, 0.3, [0.1] * 20, 0.1, 0.1, 0.1, 0.1, 2.0, 2.0, 2.0, False, None)],
    )
    path = write(made, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name] == ["mac-1.ml-m1.json"]
    data = json.loads(path.read_text(encoding="utf-8"))
    # A person may read it too.
    assert "é" in path.read_text(encoding="utf-8")
    assert data["schema"] == 3
    assert data["verdict"] == "healthy"
    assert data["checks"][0]["check"] == "mlx.value"


@pytest.mark.parametrize(
    "check",
    [
        CheckResult("mlx", "pass", "no dot in its name"),
        CheckResult("mlx.value", "fail", "no advice", fault="hang"),
        CheckResult("mlx.value", "fail", "no fault", advice="do"),
        CheckResult("mlx.value", "fail", "unknown fault", "do", "bad luck"),
        CheckResult("mlx.value", "skip", ""),
        CheckResult("mlx.value", "pass", "fine", "advice for nothing"),
    ],
)
def test_what_breaks_the_schema_is_not_written(tmp_path: Path, check: CheckResult) -> None:
    with pytest.raises(MalformedError):
        write(report(check), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_fault_can_be_written() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert set(schema["$defs"]["check"]["properties"]["fault"]["enum"]) == {"", *ADVICE}


def test_a_report_without_checks_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(MalformedError):
        write(report(), tmp_path)


def test_file_names() -> None:
    assert file_name("lab-mac1.example", "ml-m1") == "lab-mac1.example.ml-m1.json"
    assert file_name("a.b", "c") != file_name("a", "b.c")
    hostile = ["../../etc/passwd", "a/b", "a_b", "a b", ".hidden", "..", "Mac", "mac", "MAC", "é", "x" * 300, "\x00"]
    names = [file_name(one, other) for one in hostile for other in hostile]
    assert len({one.casefold() for one in names}) == len(hostile) ** 2
    for name in names:
        assert Path(name).name == name
        assert not name.startswith((".", "-"))
        assert len(name) < 250
        assert name.isascii()


@pytest.mark.parametrize(("result", "verdict"), [("fail", "unhealthy"), ("warn", "healthy"), ("skip", "unverified")])
def test_the_verdict(result: str, verdict: str) -> None:
    assert report(CheckResult("mlx.value", result, "x"), SOUND).verdict == verdict  # type: ignore[arg-type]


def test_what_is_told_of_a_file_that_cannot_be_written_is_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        files.replace(tmp_path / "mac.json", b"{}")
    assert list(tmp_path.iterdir()) == []


def test_an_old_result_that_another_run_has_let_go_of_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [tmp_path / f"2020010{day}T000000Z-quick.json" for day in range(1, 10)] * history.KEPT
    monkeypatch.setattr(history, "_all", lambda *_: old)
    assert history.keep(report(), b"{}", tmp_path).read_bytes() == b"{}"


def test_the_result_of_a_version_that_knew_one_profile_goes_with_its_own(tmp_path: Path) -> None:
    text = files.serialize(report(CheckResult("mlx.value", "pass", "right"), SOUND))
    old = tmp_path / "mac-1.json"
    old.write_bytes(text.replace(b"ml-m1", b"current"))
    write(report(SOUND), tmp_path)
    assert [one.path.name for one in files.gather(tmp_path)[0]] == ["mac-1.json", "mac-1.ml-m1.json"]
    for content in (text, b"{"):
        old.write_bytes(content)
        write(report(SOUND), tmp_path)
        assert not old.exists()
    # mac-1 with the profile a is not the machine mac-1.a.
    (tmp_path / "mac-1.a.json").write_bytes(text.replace(b'"ml-m1"', b'"a"'))
    files.forget(tmp_path, "mac-1.a", "a")
    files.forget(tmp_path, "mac-1", "ml-m1")
    assert [one.name for one in tmp_path.iterdir()] == ["mac-1.a.json"]


def test_clocks_may_differ_by_five_minutes() -> None:
    text = files.serialize(report(CheckResult("mlx.value", "pass", "right"), SOUND)).decode()
    made = datetime(2026, 11, 21, tzinfo=UTC)
    assert files.understand(text, made - timedelta(minutes=5))["host"] == "mac-1"
    with pytest.raises(MalformedError):
        files.understand(text, made - timedelta(minutes=5, seconds=1))


def test_a_framework_that_was_not_reached_is_a_result_too(tmp_path: Path) -> None:
    made = report(SOUND)
    made.frameworks["mlx"] = FrameworkReport(required=True)
    written = json.loads(write(made, tmp_path).read_text(encoding="utf-8"))["frameworks"]["mlx"]
    assert (written["seconds"], written["result"], written["version"]) == (0.0, "skip", "")
