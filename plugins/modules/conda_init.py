#!/usr/bin/python
"""Module `conda_init`: have conda write its block for a shell. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, lab_record, regular
from ..module_utils.conda import Conda, CondaError


def start_file(shell: str, zdotdir: str) -> Path:
    """Where conda writes (conda/conda, conda/core/initialize.py)."""
    if shell == "zsh":
        return Path(zdotdir or Path.home()) / ".zshrc"
    if shell == "fish":
        return Path.home() / ".config" / "fish" / "config.fish"
    return Path.home() / (".bash_profile" if sys.platform == "darwin" else ".bashrc")


def read(place: Path) -> str:
    """What a start-up file holds, whatever its bytes are."""
    return regular.text(place, "surrogateescape") if place.exists() else ""


def obstacle(place: Path) -> str:
    """Why conda cannot write there; empty if it can. conda itself dies of the one, and asks for sudo for the other."""
    try:
        read(place).encode()
    except UnicodeEncodeError:
        return "has bytes in it that are not UTF-8. Save it as UTF-8"
    except OSError as error:
        return f"cannot be read ({error.strerror}). Make it readable"
    real = place.resolve()
    # conda makes the folders that are missing.
    existing = next(one for one in (real, *real.parents) if one.exists())
    return "" if os.access(existing, os.W_OK) else "may not be written by this user. Give it to this user"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "shell": {"type": "str", "required": True},
            "zdotdir": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    options = module.params
    place = start_file(options["shell"], options["zdotdir"])
    wrong = obstacle(place)
    if wrong:
        module.warn(
            f"conda's own block was not written: {place} {wrong}, then run again, or set miniforge_init to false. The "
            "environment works without it."
        )
        module.exit_json(changed=False)
    before = read(place)
    conda = Conda(module, Path(options["root"]))
    if module.check_mode:
        diff = lab_record.part(place, before, f"{before}(conda's block)\n")
        module.exit_json(changed=True, diff=diff)
    try:
        conda.init(options["shell"], options["zdotdir"])
    except CondaError as error:
        module.fail_json(msg=str(error))
    after = read(place)
    module.exit_json(changed=after != before, diff=lab_record.part(place, before, after))


if __name__ == "__main__":
    main()
