"""Killed, or cut off from the network: nothing works beside what is left, and after its end the next run converges."""

import os
import signal
import subprocess

import pytest
from macs import BY_HAND, FRESH, ROOT, Run, command, converge, end_leftovers, environment, freeze, server_of, thaw

from tests.helpers.waiting import LIMIT_S, wait_until


def kill_when(ready: str, *arguments: str) -> None:
    """Start a run over the fresh Mac and kill its process group once a command succeeds there."""
    process = subprocess.Popen(
        command("--limit", "fresh", *arguments),
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: FRESH.run(f"({ready}) >/dev/null 2>&1 && echo yes", check=False), process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# What hangs, where it hangs (so that the moment is a certain one), what was taken away before, and when to kill.
MOMENTS = {
    "in the installer of Miniforge": ("hang-miniforge", "install", "~/miniforge3", "test -d ~/miniforge3/bin"),
    "in conda create": (
        "hang-conda",
        "linking",
        "~/miniforge3/envs/ml-m1",
        "test -d ~/miniforge3/envs/ml-m1/conda-meta",
    ),
    "in brew bundle": (
        "hang-brew",
        "htop",
        "/opt/homebrew/Cellar/htop",
        "grep -q 'brew bundle install' /opt/.sim/calls",
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_it_converges_once_its_leftovers_have_ended(moment: str) -> None:
    hang, place, gone, ready = MOMENTS[moment]
    FRESH.calls()
    FRESH.run(f"rm -rf {gone}")
    FRESH.run(f"echo {place} >/opt/.sim/{hang}", root=True)
    try:
        kill_when(ready)
    finally:
        FRESH.run(f"rm /opt/.sim/{hang}", root=True)
    # What the killed run had started is at work still.
    beside = converge("--limit", "fresh")
    assert beside.code != 0
    assert "something else changes this machine at this moment" in " ".join(beside.output.split()), beside.output
    end_leftovers("fresh")
    run = converge("--limit", "fresh")
    assert run.code == 0, run.output
    assert converge("--limit", "fresh").recap("fresh")["changed"] == 0


def test_one_mac_that_loses_its_network_in_the_middle_does_not_stop_the_others() -> None:
    BY_HAND.run("rm -r /opt/homebrew/Cellar/htop; echo htop >/tmp/place")
    BY_HAND.run("cp /tmp/place /opt/.sim/hang-brew", root=True)
    BY_HAND.calls()
    process = subprocess.Popen(
        command("--limit", "fresh,by-hand"),
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Looked for, not taken: a line that is written while lines are taken away is lost.
    wait_until(lambda: BY_HAND.run("grep 'brew bundle install' /opt/.sim/calls", check=False), process)
    # Nothing answers any more, and no connection is closed either: what a cut cable looks like.
    silent = freeze(server_of("by-hand"))
    try:
        output = process.communicate(timeout=LIMIT_S)[0]
    finally:
        thaw(silent)
    run = Run(process.returncode, output)
    assert run.recap("by-hand")["unreachable"] == 1, output
    assert (run.recap("fresh")["failed"], run.recap("fresh")["unreachable"]) == (0, 0), output
    BY_HAND.run("rm /opt/.sim/hang-brew", root=True)
    end_leftovers("by-hand")
    again = converge()
    assert again.code == 0, again.output
    assert converge().recap("by-hand")["changed"] == 0
