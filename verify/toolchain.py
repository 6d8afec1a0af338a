"""Is the toolchain of ./converge whole? For ./converge alone, which starts this file with that toolchain's own Python.

Usage: toolchain.py note|check FOLDER. The shared lock of the open file 9 is taken first, and kept where the answer is
`whole`, for what ./converge becomes; any other answer says what is wrong. `note` keeps which packages there are, when
they have just been installed; `check` looks whether all of them are there with all their files, by size.
"""

import fcntl
import importlib.util
import sys
from pathlib import Path

LOCK = 9
NOTE = "controller.packages"


def main(action: str, prefix: Path) -> str:
    """Look at the toolchain in a folder; returns `whole`, or one line about what is not.

    Args:
        action: note or check.
        prefix: the folder.
    """
    # By its path: nothing of what is looked at is imported, and this takes a tenth of a second.
    place = Path(__file__).resolve().parent / "probes" / "distributions.py"
    spec = importlib.util.spec_from_file_location("distributions", place)
    assert spec is not None
    assert spec.loader is not None
    distributions = sys.modules["distributions"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(distributions)
    site = prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    installed = {one.folder.name: one for one in distributions.installed(site)}
    if action == "note":
        (prefix / NOTE).write_text("".join(f"{name}\n" for name in installed), encoding="utf-8")
    noted = (prefix / NOTE).read_text(encoding="utf-8").splitlines()
    if missing := [name for name in noted if name not in installed] or ([] if noted else ["all"]):
        return f"{missing[0]} is missing"
    inspector = distributions.Inspector(prefix, site, content=False)
    for name in noted:
        if lines := inspector.inspect(installed[name]).lines():
            return f"{lines[0]} ({name})"
    return "whole"


if __name__ == "__main__":
    fcntl.flock(LOCK, fcntl.LOCK_SH)
    try:
        answer = main(sys.argv[1], Path(sys.argv[2]))
    except (OSError, ValueError) as error:
        answer = str(error)
    if answer != "whole":
        fcntl.flock(LOCK, fcntl.LOCK_UN)
    sys.stdout.write(f"{answer}\n")
