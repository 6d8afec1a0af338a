"""The shells that may be /bin/sh, as far as this machine has them."""

import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def shells() -> dict[str, str]:
    """Each shell's command line by name, without the script.

    A Mac's /bin/sh is a bash that goes by POSIX because of the name it is called by, and many a user's shell is zsh,
    which reads scripts as sh where it is told to.
    """
    found = {name: shutil.which(name) for name in ("dash", "bash", "zsh", "busybox")}
    lines = {"dash": f"{found['dash']}", "zsh": f"{found['zsh']} --emulate sh", "busybox": f"{found['busybox']} sh"}
    if found["bash"]:
        called_sh = Path(tempfile.mkdtemp(prefix="metal-lab-sh-")) / "sh"
        called_sh.symlink_to(found["bash"])
        lines["bash"] = str(called_sh)
    return {name: lines[name] for name, path in found.items() if path}
