"""Ten Macs from nothing, at the same time, through the cache: what one of them costs comes from outside, once."""

import subprocess

import lab
import network
import runs

ALLOWED = 1.05


def test_the_macs_reach_nothing_but_the_lab() -> None:
    lab.start_macs("alone")
    routes = subprocess.run(
        ["ip", "-n", f"{network.PREFIX}alone", "route"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert [route.split()[0] for route in routes] == [f"{network.LAB}.0/24"]


def test_ten_macs_fetch_once_what_one_fetches() -> None:
    runs.empty_cache()
    runs.all_are_well(runs.converge("alone"), "alone")
    one = runs.from_outside()
    runs.empty_cache()
    lab.start_macs(*runs.TEN)
    runs.all_are_well(runs.converge(*runs.TEN), *runs.TEN)
    ten = runs.from_outside()
    given = sum(answer["sent"] for answer in runs.answers())
    print(
        f"\nfrom outside: one Mac {one} bytes, ten Macs {ten} bytes ({ten / one:.3f}); given to the ten: {given} bytes"
    )
    # One Mac's wheels of the base packages and MLX are well above this.
    assert one > 100_000_000
    assert ten <= ALLOWED * one


def test_a_second_run_asks_the_cache_for_no_file() -> None:
    before = sum(1 for answer in runs.answers() if answer["uri"] != "/health")
    run = runs.converge(*runs.TEN)
    runs.all_are_well(run, *runs.TEN)
    assert {one["changed"] for one in run.counts().values()} == {0}, run.output
    assert sum(1 for answer in runs.answers() if answer["uri"] != "/health") == before
