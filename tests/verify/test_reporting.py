"""What a probe writes of its stages: each line before or after what it tells of, and the first failure ends it."""

import json
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from verify.probes import reporting


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """What is written of stages by name."""

    def written(**stages: Callable[[], Any]) -> list[dict[str, Any]]:
        monkeypatch.setitem(sys.modules, "tried", SimpleNamespace(stages=lambda given: list(given.items())))
        reading, writing = os.pipe()
        with os.fdopen(reading, encoding="utf-8") as lines:
            reporting.start("tried", writing, stages)
            os.close(writing)
            return [json.loads(line) for line in lines]

    return written


def test_a_stage_is_told_with_its_time_and_its_data(
    records: Callable[..., list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([10.0, 11.23456, 20.0, 20.5])
    monkeypatch.setattr(reporting, "time", SimpleNamespace(perf_counter=lambda: next(now)))
    found = records(one=lambda: {"a": (1, [float("nan")]), 2: {"b": float("-inf")}}, two=dict)
    assert found == [
        {"stage": "one", "event": "start"},
        {"stage": "one", "event": "end", "seconds": 1.2346, "data": {"a": [1, ["nan"]], "2": {"b": "-inf"}}},
        {"stage": "two", "event": "start"},
        {"stage": "two", "event": "end", "seconds": 0.5, "data": {}},
    ]


def test_the_first_failure_is_told_in_short_and_is_the_last_line(
    records: Callable[..., list[dict[str, Any]]],
) -> None:
    def fails() -> Any:
        raise ValueError("é" * 2000 + "." * 2000)

    started, failed = records(one=fails, two=dict)
    assert (started["event"], failed["event"]) == ("start", "error")
    assert failed["error"] == "ValueError: " + "é" * 1500
    # The end of it says where.
    assert len(failed["trace"]) == 3000
    assert failed["trace"].endswith("." * 2000 + "\n")
