"""What to do about each kind of failure: one advice per fault, which the report shows in the reader's language."""

from ..profile.names import DEFAULT
from ..results.model import CheckResult

ADVICE = {
    "unreachable": "Look at the machine, its address and the SSH key; then run this again.",
    "no-environment": "Run ./converge: it makes one.",
    "bad-record": "Run ./converge: it rewrites the record.",
    "wrong-platform": "On an Apple-silicon Mac, open the terminal without Rosetta; others need a profile of their own.",
    "translated": "Open the terminal without Rosetta (Get Info on it), then recreate the environment.",
    "too-old": "Update macOS.",
    "wrong-python": "Run ./converge; see also whether somebody made the environment by hand.",
    "wrong-versions": "Run ./converge: it reinstalls what differs from the lock.",
    "damaged": "Run ./converge: it reinstalls what differs from the lock.",
    "altered": "Run ./converge -e compare_content=true: it reads every file, and reinstalls what differs.",
    "other-release": "Take the .dist-info folders of these packages out of site-packages, and run ./converge.",
    "wrong-variables": "Run ./converge.",
    "not-on-path": "Run ./converge, and look in the shell's files for lines that undo what comes before them.",
    "not-installed": "Run ./converge: it installs what is missing of what was asked for.",
    "exception": "Run ./converge, which puts back what differs from the lock; if it stays, the message is a report.",
    "numpy-abi": "Run ./converge: it reinstalls the locked numpy and what was built for it.",
    "hang": "Close what else uses the GPU and run it again; a slow first import may need a larger --timeout.",
    "crash": "Run ./converge to mend the packages; if it crashes again, look into the system's crash reports.",
    "no-answer": "Run by hand what did not answer, and look at the connection to the machine.",
    "connection-lost": "See whether the machine sleeps, restarts or has left the network; then run this again.",
    "malformed": "Something in the environment disturbs the probe: look for sitecustomize.py and .pth files there.",
    "wrong-version": "Run ./converge: it installs the locked version. Look for PYTHONPATH if this stays.",
    "no-device": "Run ./converge; on a Mac, check that the framework's Metal plugin or build is installed.",
    "fallback-set": "Take PYTORCH_ENABLE_MPS_FALLBACK out of the environment and the shell's files.",
    "other-device": "Numbers from this framework say nothing about the device: look for settings that move its work.",
    "wrong-value": "Do not trust this framework's numbers here. Update macOS, run ./converge, and run the check again.",
    "not-finite": "NaN or infinity in place of numbers: do not trust this device. Update macOS, run ./converge.",
    "wrong-relu": "relu is wrong or left out: models compute something else. Update macOS, run ./converge.",
    "wrong-large": "Keep away from products above the named size on this device, or compute them on the CPU.",
    "no-learning": "Training on this device goes wrong: compare with the CPU before trusting it.",
    "not-synchronised": "Do not quote this figure: something returns before the work is done, a plugin or a setting.",
    "out-of-memory": "Close what else takes memory (Activity Monitor shows it), and run it again.",
    "slow": "Close what else uses the GPU, turn low-power mode off and run it again; then update the framework.",
    "no-accelerators": "Update macOS to 26.2 or newer, and install the framework's build for macOS 26.",
    "no-metal": "Run it in the session of who is logged in at the Mac's screen: others may see no GPU (mlx #3148).",
    "throttled": "Let air reach the machine, connect its power supply, turn low-power mode off, and run it again.",
    "virtual-limit": "Run it on a Mac itself: a virtual one cannot show this (runner-images #9918, #11899).",
    "unknown-chip": "Please report it, with this line and the output of `system_profiler SPDisplaysDataType`.",
    "low-power": "Connect the power supply and turn low-power mode off (System Settings > Battery), and run it again.",
    "hot": "Let the machine cool down, and run it again.",
    "short-of-memory": "Close what takes memory, or restart the machine, and run it again.",
    "busy": "End the other work on this machine, or wait for it, and run it again.",
    "diverges": "Models trained on this device differ from the CPU's: train on the CPU until an update mends it.",
    "memory-kept": "Long runs will fill the memory: restart the process now and then, and update the framework.",
    "two-openmp": "Load the second one in a process of its own. Do not set KMP_DUPLICATE_LIB_OK: results may be wrong.",
    "internal": "This is a fault of verify, not of the machine: please report it, with this message.",
    "incomplete": "Mend what the message names, then run it again: nothing can be said of this machine until then.",
    "noisy": "Close other programs, connect the power supply, let the machine cool down, and run it again.",
}

ELSEWHERE = {
    "no-environment": "Name the folder of a virtual or conda environment, its Python, or a project's folder.",
    "wrong-platform": "On an Apple-silicon Mac, open the terminal without Rosetta, and use a Python for arm64.",
    "translated": "Make the environment again with a Python for arm64, in a terminal without Rosetta.",
    "wrong-python": "Make the environment again with a Python for this machine.",
    "not-installed": "Install it into this environment, or leave it out of --frameworks.",
    "exception": "The message is the framework's own: install the package again, and look for its release notes.",
    "numpy-abi": "Install a numpy below 2 into this environment, or a newer release of what was built for 1.x.",
    "crash": "Install the framework's package again; if it crashes again, look into the system's crash reports.",
    "no-answer": "Run the environment's Python by hand: it must start, be 3.9 or newer, and be made for this machine.",
    "no-device": "On a Mac, install the framework's Metal plugin or build; look for variables that hide the device.",
    "wrong-value": "Do not trust this framework's numbers here. Update macOS and the framework, and run it again.",
    "not-finite": "NaN or infinity in place of numbers: do not trust this device. Update macOS and the framework.",
    "wrong-relu": "relu is wrong or left out: models compute something else. Update macOS and the framework.",
}
"""What to do where nobody converged the environment, in place of what says to."""


def current(fault: str, given: str) -> str:
    """The advice for a fault as it is worded now, whatever version of verify gave it; `given` where it has none."""
    return given if given == ELSEWHERE.get(fault) else ADVICE.get(fault, given)


def elsewhere(fault: str) -> str:
    """The advice for a fault of an environment that converging did not make."""
    return ELSEWHERE.get(fault, ADVICE[fault])


def addressed(advice: str, profile: str) -> str:
    """An advice as one types it for a profile: `./converge` alone is for the default one.

    Args:
        advice: in any language.
        profile: its name, or the path of an environment that was looked at without one.
    """
    if profile == DEFAULT or "/" in profile:
        return advice
    return advice.replace("./converge", f"./converge -e profile={profile}")


def failed(check: str, fault: str, message: str) -> CheckResult:
    """A check's failure, with the advice for its fault."""
    return CheckResult(check, "fail", message, ADVICE[fault], fault)


def warned(check: str, fault: str, message: str) -> CheckResult:
    """A check's warning, with the advice for its fault."""
    return CheckResult(check, "warn", message, ADVICE[fault], fault)
