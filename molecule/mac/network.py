"""Where simulated Macs are reached: on loopback addresses of this machine, or each in a network of its own.

On loopback they share this machine's network. In networks of their own (`isolated`) each has one interface, on a
bridge on which this machine has the first address; nothing forwards, so that no Mac reaches anything but this machine
and its neighbours: a lab without internet.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

from machine import SimulationError, run

LOOPBACK = os.environ.get("METAL_LAB_LOOPBACK", "127.0.0")
LAB = os.environ.get("METAL_LAB_NETWORK", "10.77.0")
"""The first three numbers of addresses. The variables give a second simulation on this machine its own."""
_OWN = f"mlab{LAB.split('.')[1]}"
BRIDGE = f"{_OWN}-lab"
FIRST = 11
"""Last number of the first Mac's address; the one before it serves what they download."""
LAST = 254
PREFIX = f"{_OWN}-"


def address(number: int, *, isolated: bool) -> str:
    """Address of the Mac with this number, from 0."""
    return f"{LAB if isolated else LOOPBACK}.{FIRST + number}"


def server_address(*, isolated: bool) -> str:
    """Where this machine serves what the Macs download."""
    return f"{LAB}.1" if isolated else f"{LOOPBACK}.{FIRST - 1}"


def make_bridge() -> None:
    """Make the lab's bridge."""
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{LAB}.1/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def join(name: str, where: str) -> list[str]:
    """Make a Mac's network and join it to the bridge; returns what to put before a command to run in it.

    Args:
        name: the Mac's.
        where: its address.
    """
    space, outer = PREFIX + name, f"{_OWN}-{where.rpartition('.')[2]}"
    run("ip", "netns", "add", space)
    run("ip", "link", "add", outer, "type", "veth", "peer", "name", "en0", "netns", space)
    run("ip", "link", "set", outer, "master", BRIDGE, "up")
    inside = ["ip", "-n", space]
    run(*inside, "link", "set", "lo", "up")
    run(*inside, "address", "add", f"{where}/24", "dev", "en0")
    run(*inside, "link", "set", "en0", "up")
    return ["ip", "netns", "exec", space]


def remove() -> None:
    """Take the bridge and the Macs' networks away, where there are any."""
    for space in sorted(Path("/run/netns").glob(f"{PREFIX}*")):
        run("ip", "netns", "delete", space.name)
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        run("ip", "link", "delete", BRIDGE)


def must_be_free(where: str, port: int) -> None:
    """Refuse an address that somebody else serves, who would be taken for what is started there.

    Raises:
        SimulationError: it cannot be had.
    """
    with socket.socket() as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            mine.bind((where, port))
            mine.listen()
        except OSError as error:
            raise SimulationError(f"{where}:{port} is needed, and cannot be had: {error.strerror}") from error


def wait_for(where: str, port: int, log: Path) -> None:
    """Wait until something listens, at most a minute.

    Raises:
        SimulationError: nothing does; the message holds the log.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((where, port), timeout=1):
            return
        time.sleep(0.1)
    raise SimulationError(f"Nothing listens on {where}:{port}. Its log says:\n{log.read_text(encoding='utf-8')}")
