"""History: each run's result is kept, the last ones of each level and host."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from verify.results import history
from verify.results.files import serialize, write
from verify.results.model import CheckResult, HostReport

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def run(folder: Path, minute: int, host: str = "mac-1", level: str = "quick") -> Path:
    """A run's result, written and kept."""
    started = (NOON + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
    report = HostReport(host, "local", "ml-m1", level, started, checks=[CheckResult("mlx.value", "pass", "right")])
    write(report, folder)
    return history.keep(report, serialize(report), folder)


def test_the_last_ones_of_each_level_are_kept(tmp_path: Path) -> None:
    full = run(tmp_path, 0, level="full")
    other = run(tmp_path, 0, host="mac-2")
    kept = [run(tmp_path, minute) for minute in range(history.KEPT + 3)]
    assert full.exists()
    assert other.exists()
    assert [one.exists() for one in kept] == [False] * 3 + [True] * history.KEPT
    assert kept[-1].read_bytes() == (tmp_path / "mac-1.json").read_bytes()


def test_the_one_before_is_of_the_same_host_and_level(tmp_path: Path) -> None:
    first, second = run(tmp_path, 0), run(tmp_path, 10)
    run(tmp_path, 15, level="full")
    run(tmp_path, 15, host="mac-2")
    third = run(tmp_path, 20)
    assert history.before(tmp_path, "mac-1", "2026-11-21T12:20:00Z", "quick") == second
    assert history.before(tmp_path, "mac-1", "2026-11-21T12:10:00Z", "quick") == first
    assert history.before(tmp_path, "mac-1", "2026-11-21T12:00:00Z", "quick") is None
    assert history.before(tmp_path, "mac-1", "2026-11-21T13:00:00Z", "quick") == third
    assert history.before(tmp_path, "mac-3", "2026-11-21T13:00:00Z", "quick") is None


def test_a_hostile_name_stays_in_the_folder(tmp_path: Path) -> None:
    kept = run(tmp_path, 0, host="../../<script>")
    assert kept.is_relative_to(tmp_path / "history")
    assert ".." not in kept.parts
