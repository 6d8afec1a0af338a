#!/usr/bin/python
"""Module `homebrew_shellenv`: Homebrew's line in a user's start-up file. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, lab_record, shell_lines, startup_file


def with_line(before: str, line: str) -> str:
    """A start-up file's text with a line of its own at its end."""
    lines = shell_lines.LINES.findall(before)
    ends = startup_file.missing_ends(lines[-1]) if lines else 0
    return "".join([before, *["\n"] * ends, line, "\n"])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "brew": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    named = Path(module.params["path"])
    # As Homebrew's installer tells its users (Homebrew/install, install.sh, "Next steps").
    line = f'eval "$({shlex.quote(module.params["brew"])} shellenv)"'
    wrong = startup_file.obstacle(named)
    before = startup_file.read(named)
    result: dict[str, Any] = {"changed": False}
    if not wrong and line not in before.split("\n"):
        after = with_line(before, line)
        diff = lab_record.part(named, startup_file.shown(before), startup_file.shown(after))
        result = {"changed": True, "diff": diff}
        if not module.check_mode:
            try:
                startup_file.write(Path(os.path.realpath(named)), after)
            except OSError as error:
                wrong, result = f"{named} could not be written ({error.strerror})", {"changed": False}
    if wrong:
        module.warn(
            f"Homebrew's line was not added: {wrong}. Add it yourself where your login shell reads it, or set "
            f"homebrew_shellenv to false: {line}"
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
