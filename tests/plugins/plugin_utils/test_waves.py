"""Waves: the next one is not begun when too much of the one before failed."""

import pytest
from ansible_collections.metal_lab.macs.plugins.plugin_utils.waves import refusal, split

HOSTS = [f"h{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        ([], [10]),
        ([4], [4, 4, 2]),
        ([1, 3], [1, 3, 3, 3]),
        ([1, "20%", "50%"], [1, 2, 5, 2]),
        (["100%"], [10]),
        ([0], [10]),
        ([1, 0], [1, 9]),
        (["1%"], [1] * 10),
    ],
)
def test_the_waves_are_those_of_serial(sizes: list[int | str], lengths: list[int]) -> None:
    waves = split(HOSTS, sizes)
    assert [len(wave) for wave in waves] == lengths
    assert [host for wave in waves for host in wave] == HOSTS


def test_the_first_wave_always_begins() -> None:
    assert refusal("h0", HOSTS, [], [5], 0) == ""


@pytest.mark.parametrize(
    ("failed", "limit", "begins"), [(0, 0, True), (1, 0, False), (1, 20, True), (2, 20, False), (1, 19.9, False)]
)
def test_the_share_of_the_wave_before_decides(failed: int, limit: float, begins: bool) -> None:
    said = refusal("h5", HOSTS, HOSTS[failed:], [5], limit)
    assert (said == "") is begins
    if not begins:
        names = ", ".join(HOSTS[:failed])
        assert f"of the wave before, {failed} of 5 failed ({names}), and wave_max_failed allows {limit:g} %" in said


def test_a_wave_before_that_one_does_not_count() -> None:
    assert refusal("h9", HOSTS, HOSTS[3:], [3], 0) == ""
