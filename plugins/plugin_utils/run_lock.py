"""The machine's lock, which keeps two runs apart: what lock.sh is told on the target, and what it says."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from ansible.utils.display import Display

from ...verify import text
from ...verify.errors import UserError
from .action import Action

SCRIPT = Path(__file__).resolve().with_name("lock.sh")
LOCK = '"${XDG_DATA_HOME:-$HOME/.local/share}/metal-lab/run.lock"'
"""Where the lock is on the target, as shell text; the folder is the one of facts.sh and module_utils/lab_record.py."""


def machine() -> str:
    """This machine since it was last started, as lock.sh names the target; a container has its own numbers."""
    if sys.platform == "darwin":
        line = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        boot = subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
    else:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        boot += f"/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 (the link's text, which is no path)
    return f"{os.uname().nodename}/{boot}"


def commands(action: Literal["take", "look", "release"], *, dead: str = "", profile: str = "") -> str:
    """lock.sh with its arguments set, to be given to a shell on the target.

    Args:
        action: what to do.
        dead: id of a run that has ended for certain, "" for none.
        profile: which the run is about, "" for none.
    """
    # A task runs in a process of its own; its parent is the run.
    run, here = os.getppid(), machine()
    about = f", profile {profile}" if profile else ""
    who = f"{getpass.getuser()} on {here.partition('/')[0]} (process {run}{about})"
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    given = shlex.join([f"{here}/{run}", who, now, dead])
    return f"set -- {action} {LOCK} {given}\n{SCRIPT.read_text(encoding='utf-8')}"


def is_over(held: str) -> bool:
    """Whether a run has ended for certain: it was started on this machine, and its process is gone."""
    place, _, process = held.rpartition("/")
    if place != machine() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def parse(output: str) -> dict[str, str]:
    """Read lock.sh's answer.

    Raises:
        UserError: it is cut off; the message shows what was seen.
    """
    # Who holds a lock may have written anything into it, and it is shown.
    lines = output.split("\n")
    found = {
        name: text.line(value)
        for name, _, value in (line.partition("=") for line in lines)
        if re.fullmatch("lock(_[a-z_]+)?", name)
    }
    if found.get("lock_end") != "1" or "lock" not in found:
        raise UserError(f"The machine's answer about its lock is not complete. It said:\n{text.plain(output)}")
    return found


def obstacle(answer: dict[str, str]) -> str:
    """Why the run may not begin, and what to do; "" where it may."""
    state, lock = answer["lock"], answer["lock_at"]
    if state == "held":
        return (
            f"Another run is at work on this machine: that of {answer['lock_who']}, since {answer['lock_since']}. "
            f"Wait for its end. If it has ended (a machine switched off, a broken connection), take its lock away, "
            f"on this machine: rm '{lock}'"
        )
    if state == "busy":
        return (
            "Another run takes this machine over at this moment. Run again in a while; if this stays so, take away "
            f"what is left of it, on this machine: rm -r '{lock}' '{lock}.over'"
        )
    if state == "odd":
        return f"The lock {lock} is no file. Needed: a file, or nothing. Move it away: mv '{lock}' '{lock}.odd'"
    if state == "unwritable":
        return (
            f"The lock {lock} cannot be written. Needed: some room on its disk, and a folder that is yours. "
            f"Look at it with: df -h ~; ls -ld '{os.path.dirname(lock)}'"  # noqa: PTH120 (a path of the target's)
        )
    return ""


def ask(action: Action, script: str, *words: str) -> str:
    """Run a script on an action's target by its POSIX shell, in one round trip, and return what it printed.

    Args:
        action: whose connection and environment to use.
        script: what to run.
        words: its arguments.

    Raises:
        UserError: it ended with another exit code than 0; the message shows what it said.
    """
    # The play's `environment` reaches a raw command only when it is put before it.
    line = f"{action._compute_environment_string()} /bin/sh -s -- {shlex.join(words)}".strip()
    done = action.shell(line, script)
    if done["rc"] != 0:
        said = text.plain(f"{done['stdout']}\n{done['stderr']}").strip()
        raise UserError(f"A script on the machine ended with exit code {done['rc']}. It said:\n{said}")
    return str(done["stdout"])


def take(action: Action, profile: str = "") -> str:
    """What to run on an action's target so that the lock is this run's; in check mode it is only looked at."""
    return commands("look" if action.checking else "take", profile=profile)


def settle(action: Action, output: str, profile: str = "") -> str:
    """Why the machine is another run's, from what `take` said there; "" where it is ours.

    A run that is over for certain loses its lock.

    Raises:
        UserError: the answer is cut off.
    """
    answer = parse(output)
    if answer["lock"] == "held" and not action.checking and is_over(answer["lock_id"]):
        answer = parse(ask(action, commands("take", dead=answer["lock_id"], profile=profile)))
    if left_by := answer.get("lock_left_by"):
        Display().display(f"Took over the lock of a run that has ended without giving it back: {left_by}.")
    return obstacle(answer)
