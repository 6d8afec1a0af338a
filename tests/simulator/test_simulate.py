"""The simulation's command line: which Macs it is asked for, and where they are."""

import pytest
import simulate
from machine import SimulationError


def test_macs_have_addresses_in_their_order() -> None:
    macs = simulate.roster(["fresh", "by-hand=by-hand"], isolated=False)
    assert [(mac.name, mac.address, mac.past) for mac in macs] == [
        ("fresh", "127.0.0.11", ""),
        ("by-hand", "127.0.0.12", "by-hand"),
    ]
    assert simulate.roster(["lab-01"], isolated=True)[0].address == "10.77.0.11"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["fresh", "fresh"], "comes twice"),
        (["fresh=hand-made"], "No past is called 'hand-made'"),
        ([f"mac-{number}" for number in range(244)], "At most 243 Macs"),
    ],
)
def test_a_list_that_cannot_be_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        simulate.roster(given, isolated=False)
