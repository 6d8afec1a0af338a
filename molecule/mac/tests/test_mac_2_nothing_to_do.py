"""A run that finds everything in place: what it starts on a Mac."""

from macs import FRESH, MACS, converge


def test_it_starts_one_brew_and_no_conda() -> None:
    for mac in MACS:
        mac.calls()
    run = converge()
    assert run.code == 0, run.output
    for mac in MACS:
        assert run.recap(mac.name)["changed"] == 0, run.output
        # conda's own lines in a start-up file are no part of a run: nobody logs in by a login shell.
        assert [call.split()[:3] for call in mac.calls()] == [["brew", "bundle", "check"]]


def test_in_check_mode_neither_and_not_a_file_is_touched() -> None:
    before = FRESH.state()
    run = converge("--check", "--diff", "--limit", "fresh")
    assert (run.code, run.recap("fresh")["changed"]) == (0, 0), run.output
    assert FRESH.state() == before
