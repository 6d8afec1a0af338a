"""Starts and ends what the lab's tests need: this machine's cache folder, the world outside, and simulated Macs.

lab.py check     say what is missing to run it here; exit code 2 if something is
lab.py up        the world outside, and a small disk for the cache
lab.py down      end everything and leave nothing behind
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

# Beside other simulations on this machine; read when the modules below are loaded.
os.environ.setdefault("METAL_LAB_NETWORK", "10.78.0")

import simulate
from machine import SimulationError, missing_packages, run, settle
from network import must_be_free, wait_for

HERE = Path(__file__).resolve().parent
FOLDER = Path("/tmp/metal-lab-lab")  # noqa: S108 (molecule.yml names it)
OUTSIDE, MACS, CACHE = FOLDER / "outside", FOLDER / "macs", FOLDER / "cache"
OUTSIDE_PORT = 8443
CACHE_DISK_GB = 2


def check() -> None:
    """Say everything that is missing at once.

    Raises:
        SimulationError: something is.
    """
    settle()
    if missing := missing_packages("molecule-lab"):
        raise SimulationError(f"The lab needs Debian's packages too: apt-get install {' '.join(missing)}")
    simulate.check_machine()


def up() -> None:
    """Start the world outside, and give the cache a disk of its own."""
    settle()
    CACHE.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"size={CACHE_DISK_GB}g,mode=755", "tmpfs", CACHE)
    run(sys.executable, HERE / "outside.py", "make", OUTSIDE)
    line = [sys.executable, str(HERE / "outside.py"), "serve", str(OUTSIDE), str(OUTSIDE_PORT)]
    must_be_free("127.0.0.9", OUTSIDE_PORT)
    with (FOLDER / "outside.log").open("wb") as log:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (FOLDER / "outside.pid").write_text(f"{process.pid}\n", encoding="utf-8")
    wait_for("127.0.0.9", OUTSIDE_PORT, FOLDER / "outside.log")
    pins = json.loads((OUTSIDE / "pins.json").read_text(encoding="utf-8"))
    outside = f"https://127.0.0.9:{OUTSIDE_PORT}"
    variables = {
        "homebrew_commit": pins["commit"],
        "miniforge_checksums": {"MacOSX-arm64": pins["installer"], "Linux-x86_64": pins["installer"]},
        "lab_cache_authorities": str(OUTSIDE / "authorities.pem"),
        "lab_cache_homebrew_api": f"{outside}/api",
        "lab_cache_homebrew_bottles": f"{outside}/v2",
        "lab_cache_homebrew_git": str(OUTSIDE / "stand-ins" / "web" / "brew.git"),
        "lab_cache_miniforge": f"{outside}/github",
        "lab_cache_conda": f"{outside}/conda",
    }
    (FOLDER / "lab.yml").write_text(json.dumps({"all": {"vars": variables}}), encoding="utf-8")


def start_macs(*names: str) -> None:
    """Start Macs from nothing, each in a network in which there is nothing but the cache."""
    end_macs()
    simulate.up(MACS, simulate.roster(list(names), isolated=True), isolated=True, base=None)
    inventory = json.loads((MACS / "hosts.yml").read_text(encoding="utf-8"))
    # Where things come from is what is tested here.
    for name in ("homebrew_git_remote", "miniforge_mirror", "homebrew_commit", "miniforge_checksums"):
        del inventory["all"]["vars"][name]
    (FOLDER / "macs.yml").write_text(json.dumps(inventory), encoding="utf-8")


def end_macs() -> None:
    """End the Macs, where there are any."""
    if MACS.exists():
        simulate.down(MACS)


def stop_cache() -> None:
    """Kill the cache as a power cut would."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            # nginx writes its own words over its command line.
            if f"-p {CACHE}/" in line.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                master = int(line.parent.name)
                workers = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="utf-8").split()
                for one in (master, *map(int, workers)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(one, signal.SIGKILL)


def down() -> None:
    """End everything."""
    settle()
    end_macs()
    stop_cache()
    with contextlib.suppress(OSError):
        number = int((FOLDER / "outside.pid").read_text(encoding="utf-8"))
        if str(FOLDER) in Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8"):
            os.kill(number, signal.SIGKILL)
    if CACHE.is_mount():
        # nginx's processes may still be about to end; the disk goes with the last of them.
        run("umount", "--lazy", CACHE)
    shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    try:
        {"check": check, "up": up, "down": down}[sys.argv[1]]()
    except SimulationError as error:
        print(f"lab: {error}", file=sys.stderr)
        sys.exit(2)
