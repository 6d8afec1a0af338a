"""History: each run's result is kept, the last ones of each level and host."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.verify.report import samples
from tests.verify.report.samples import measured
from verify import __main__ as verify
from verify.results import history
from verify.results.files import serialize, write
from verify.results.model import CheckResult, HostReport

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def run(folder: Path, minute: int, host: str = "mac-1", level: str = "quick", profile: str = "ml-m1") -> Path:
    """A run's result, written and kept."""
    started = (NOON + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%SZ")
    report = HostReport(host, "local", profile, level, started, checks=[CheckResult("mlx.value", "pass", "right")])
    write(report, folder)
    return history.keep(report, serialize(report), folder)


def test_the_last_ones_of_each_level_are_kept(tmp_path: Path) -> None:
    full = run(tmp_path, 0, level="full")
    other, third = run(tmp_path, 0, host="mac-2"), run(tmp_path, 0, profile="current")
    kept = [run(tmp_path, minute) for minute in range(history.KEPT + 3)]
    assert full.exists()
    assert other.exists()
    assert third.exists()
    assert [one.exists() for one in kept] == [False] * 3 + [True] * history.KEPT
    assert kept[-1].read_bytes() == (tmp_path / "mac-1.ml-m1.json").read_bytes()


def test_the_one_before_is_of_the_same_host_profile_and_level(tmp_path: Path) -> None:
    first, second = run(tmp_path, 0), run(tmp_path, 10)
    run(tmp_path, 15, level="full")
    run(tmp_path, 15, host="mac-2")
    run(tmp_path, 15, profile="current")
    third = run(tmp_path, 20)
    assert history.before(tmp_path, "mac-1", "ml-m1", "2026-11-21T12:20:00Z", "quick") == second
    assert history.before(tmp_path, "mac-1", "ml-m1", "2026-11-21T12:10:00Z", "quick") == first
    assert history.before(tmp_path, "mac-1", "ml-m1", "2026-11-21T12:00:00Z", "quick") is None
    assert history.before(tmp_path, "mac-1", "ml-m1", "2026-11-21T13:00:00Z", "quick") == third
    assert history.before(tmp_path, "mac-3", "ml-m1", "2026-11-21T13:00:00Z", "quick") is None


def test_a_hostile_name_stays_in_the_folder(tmp_path: Path) -> None:
    kept = run(tmp_path, 0, host="../../<script>")
    assert kept.is_relative_to(tmp_path / "history")
    assert ".." not in kept.parts


def kept(path: Path, **changes: Any) -> Path:
    """A measured result in its place in the history."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measured(**{"host": "mac-1", **changes})), encoding="utf-8")
    return path


def test_what_was_kept_before_there_were_profiles_belongs_to_its_own(tmp_path: Path) -> None:
    folder = history.folder(tmp_path, "mac-1")
    for hour, profile in ((10, "ml-m1"), (11, "current")):
        started = f"2026-11-21T{hour}:00:00Z"
        kept(folder / f"20261121T{hour}0000Z-quick.json", started=started, level="quick", profile=profile)
    assert run(tmp_path, 0).parent == folder
    for profile, hour in (("ml-m1", 10), ("current", 11)):
        found = history.before(tmp_path, "mac-1", profile, "2026-11-21T12:00:00Z", "quick")
        assert found == folder / f"20261121T{hour}0000Z-quick.json"
    for minute in range(1, history.KEPT + 1):
        run(tmp_path, minute)
    assert [(folder / f"20261121T{hour}0000Z-quick.json").exists() for hour in (10, 11)] == [False, True]


def test_a_result_of_the_future_pushes_none_out_and_is_not_compared_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = history.folder(tmp_path, "mac-1")
    future = [
        kept(
            folder / f"{2900 + year}1121T120000Z-quick.ml-m1.json",
            started=f"{2900 + year}-11-21T12:00:00Z",
            level="quick",
        )
        for year in range(history.KEPT + 5)
    ]
    real = [run(tmp_path, minute) for minute in range(history.KEPT)]
    assert all(one.exists() for one in real)
    # One more: of the real ones the oldest goes.
    run(tmp_path, history.KEPT)
    assert [one.exists() for one in real] == [False] + [True] * (history.KEPT - 1)
    assert all(one.exists() for one in future)
    newest = history.before(tmp_path, "mac-1", "ml-m1", "2026-11-22T00:00:00Z", "quick")
    assert newest is not None
    assert newest not in future

    (path,) = samples.write(tmp_path, [measured(host="mac-1", level="quick", started="2026-11-21T12:05:30Z")])
    assert verify.main(["compare", str(path), "--lang", "en"]) in (0, 1)
    said = capsys.readouterr().out
    assert "2026-11-21T12:05:00Z" in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"started": "2926-11-21T00:00:00Z"}, "has not been yet"),
        ({"verdict": "unverified"}, "its checks do not say"),
        ({"host": "mac-2"}, "it is of the machine 'mac-2'"),
    ],
)
def test_an_earlier_result_that_lies_is_named_and_not_compared_with(
    changes: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = samples.write(
        tmp_path, [measured(host=name, started="2026-11-21T12:00:00Z") for name in ("mac-1", "mac-3")]
    )
    for name in ("mac-1", "mac-3"):
        kept(history.folder(tmp_path, name) / "20261121T110000Z-full.ml-m1.json", host=name)
    earlier = history.folder(tmp_path, "mac-1") / "20261121T110000Z-full.ml-m1.json"
    earlier.write_text(json.dumps({**measured(host="mac-1"), **changes}), encoding="utf-8")
    assert verify.main(["compare", str(paths[0].parent), "--lang", "en"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("mac-1: not compared: ")
    assert said in first
    assert second.startswith("mac-3: no regression (against mac-3")
