#!/usr/bin/python
"""Module `homebrew_shellenv`: Homebrew's line in a user's start-up file. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import shlex
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, shell_lines, startup_file


def with_line(before: str, line: str) -> str:
    """A start-up file's text with a line of its own at its end, unless it is there."""
    lines = shell_lines.LINES.findall(before)
    if f"{line}\n" in lines:
        return before
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
    # As Homebrew's installer tells its users (Homebrew/install, install.sh, "Next steps").
    line = f'eval "$({shlex.quote(module.params["brew"])} shellenv)"'
    diff: dict[str, str] = {}
    try:
        diff = startup_file.change(
            Path(module.params["path"]), lambda text: with_line(text, line), apply=not module.check_mode
        )
    except startup_file.LeftError as error:
        module.warn(
            f"Homebrew's line was not added: {error}. Add it yourself where your login shell reads it, or set "
            f"homebrew_shellenv to false: {line}"
        )
    module.exit_json(changed=bool(diff), diff=diff)


if __name__ == "__main__":
    main()
