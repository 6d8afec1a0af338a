"""One run over ten of which five go wrong, each in its way: the others are right, and the table tells why."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import FOLDER, HOSTS, NAMES, ROOT, Run, command, converge, environment, login
from macs import children, descendants, freeze, kill, thaw

from tests.helpers.waiting import LIMIT_S, wait_until

SITE = "/Users/ana/miniforge3/envs/ml-m1/lib/python3.11/site-packages"
LOCK = "/Users/ana/.local/share/metal-lab/run.lock"
FAULTS = {
    "all": {
        "hosts": {
            # Nothing listens there.
            "m01": {"ansible_port": 2299},
            "m04": {"ansible_become_password": "not that one"},
        }
    }
}


def spoil() -> None:
    """Bring the ten into the state in which the run finds them."""
    # m02 is at work with brew when its cable is cut.
    login("m02", "rm -r /opt/homebrew/Cellar/htop; : >/opt/.sim/calls")
    login("m02", "echo htop >/opt/.sim/hang-brew", root=True)
    login("m03", f"rm -r {SITE}/mlx")
    login("m03", "fallocate -l $(($(df -Pk /opt/.sim | awk 'NR == 2 { print $4 }') - 100))K /opt/.sim/fill", root=True)
    # m04 needs the password: only root can make Homebrew's folder.
    login("m04", "rm -r /opt/homebrew", root=True)
    # m05 is at its own nightly run, which holds the lock.
    login("m05", "nohup sleep 600 >/dev/null 2>&1 & echo $! >/tmp/night")
    who = "$(uname -n)/$(sysctl -n kern.bootsessionuuid)/$(cat /tmp/night)"
    lock = (ROOT / "plugins" / "plugin_utils" / "lock.sh").read_text(encoding="utf-8")
    assert "lock=taken" in login("m05", f'set -- take {LOCK} "{who}" "its own nightly run" "2 o\'clock" ""\n{lock}')
    login("m06", f"rm -r {SITE}/mlx")
    login("m07", "sed -i 's/metal_lab_part/another/' ~/.zshrc")


def run_with_a_cut(inventory: tuple[Path, ...]) -> tuple[Run, list[int]]:
    """Run, and cut m02's network while brew is at work there; returns the run and what is to be thawed."""
    process = subprocess.Popen(
        command(inventory=inventory),
        env=environment(),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until(lambda: "bundle install" in login("m02", "cat /opt/.sim/calls"), process)
    # No connection is closed, and nothing answers any more.
    silent = freeze(children(int((FOLDER / "m02.pid").read_text(encoding="utf-8")))[0])
    output = process.communicate(timeout=LIMIT_S)[0]
    return Run(process.returncode, output), silent


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The run over the spoiled ten; what was spoiled from outside is mended at the end of the first test."""
    faults = tmp_path_factory.mktemp("faults") / "faults.yml"
    faults.write_text(json.dumps(FAULTS), encoding="utf-8")
    spoil()
    run, silent = run_with_a_cut((HOSTS, faults))
    yield run
    thaw(silent)


def test_the_table_tells_the_five_stories_and_the_other_five_are_right(spoiled: Run) -> None:
    assert spoiled.code != 0
    rows = {name: spoiled.row(name) for name in NAMES}
    assert {name: state for name, (state, _) in rows.items()} == {
        "m01": "unreachable",
        "m02": "unreachable",
        "m03": "failed",
        "m04": "failed",
        "m05": "failed",
        "m06": "repaired",
        "m07": "repaired",
        "m08": "healthy",
        "m09": "healthy",
        "m10": "healthy",
    }, spoiled.output
    told = {name: note for name, (_, note) in rows.items()}
    assert "Connection refused" in told["m01"]
    assert "not responding" in told["m02"] or "timed out" in told["m02"]
    assert "No space left on device" in told["m03"]
    assert "sudo password" in told["m04"]
    assert "Another run is at work on this machine: that of its own nightly run, since 2 o'clock" in told["m05"]
    assert "10 machines: 3 healthy, 2 repaired, 3 failed, 2 unreachable" in spoiled.output


def test_after_repair_a_second_run_ends_with_all_ten_right(spoiled: Run) -> None:
    assert spoiled.code != 0
    silent = children(int((FOLDER / "m02.pid").read_text(encoding="utf-8")))[0]
    thaw([silent, *descendants(silent)])
    login("m02", "rm /opt/.sim/hang-brew", root=True)
    # The brew that the first run had started is at work still, and keeps everything else off the machine.
    kill(descendants(silent))
    login("m03", "rm /opt/.sim/fill", root=True)
    login("m05", "kill $(cat /tmp/night)")
    run = converge()
    assert run.code == 0, run.output
    states = {name: run.row(name)[0] for name in NAMES}
    # Nothing is done twice: those that were right are only looked at.
    assert states == {**dict.fromkeys(NAMES, "healthy"), "m02": "repaired", "m03": "repaired", "m04": "repaired"}, (
        run.output
    )
    # The first run's lock on m02, whose cable was cut, and that of m05's own run, killed: both are over for certain.
    assert run.output.count("Took over the lock of a run that has ended") == 2, run.output
    again = converge()
    assert {name: again.row(name)[0] for name in NAMES} == dict.fromkeys(NAMES, "healthy"), again.output


def test_a_wave_that_fails_too_often_keeps_the_next_from_beginning(tmp_path: Path) -> None:
    faults = tmp_path / "faults.yml"
    faults.write_text(json.dumps({"all": {"hosts": {"m01": FAULTS["all"]["hosts"]["m01"]}}}), encoding="utf-8")
    run = converge("-e", "wave=4", inventory=(HOSTS, faults))
    assert run.code != 0
    states = {name: run.row(name)[0] for name in NAMES}
    waves = {**dict.fromkeys(NAMES[:4], "healthy"), "m01": "unreachable", **dict.fromkeys(NAMES[4:], "not begun")}
    assert states == waves, run.output
    assert "1 of 4 failed (m01)" in run.row("m05")[1]
    tolerant = converge("-e", "wave=4", "-e", "wave_max_failed=25", inventory=(HOSTS, faults))
    assert tolerant.code != 0
    assert [name for name in NAMES if tolerant.row(name)[0] != "healthy"] == ["m01"], tolerant.output
