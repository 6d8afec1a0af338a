#!/usr/bin/python
"""Module `conda_init`: conda's own block in a shell's start-up file. Runs on the target's Python (3.8+).

`conda init` itself comments out lines of the user's (`export PATH=".../conda/bin:$PATH"`, `source .../bin/activate` of
any virtual environment), turns CRLF into LF, and dies of bytes that are no UTF-8 (seen with conda 26.3.2).
"""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, shell_lines, startup_file, terminal
from ..module_utils.terminal import CONDA_FIRST, CONDA_LAST

# As `conda init` writes it, which knows it again by its first and last line (conda/conda, conda/core/initialize.py).
_BLOCK = f"""{CONDA_FIRST}
# !! Contents within this block are managed by 'conda init' !!
__conda_setup="$('ROOT/bin/conda' 'shell.SHELL' 'hook' 2> /dev/null)"
if [ $? -eq 0 ]; then
    eval "$__conda_setup"
else
    if [ -f "ROOT/etc/profile.d/conda.sh" ]; then
        . "ROOT/etc/profile.d/conda.sh"
    else
        export PATH="ROOT/bin:$PATH"
    fi
fi
unset __conda_setup
{CONDA_LAST}
"""
_OURS = re.compile(r"# >>> metal-lab \S+ >>>")


def block(root: str, shell: str) -> str:
    """conda's block for a shell, zsh or bash."""
    return _BLOCK.replace("SHELL", shell).replace("ROOT", root)


def with_block(before: str, text: str) -> str:
    """A start-up file's text with conda's block at its end; before ours, where that stands by itself.

    Args:
        before: the file.
        text: the block.
    """
    lines = shell_lines.LINES.findall(before)
    free = shell_lines.by_themselves(before)
    place = next((at for at, line in enumerate(lines) if free[at] and _OURS.fullmatch(line.strip())), len(lines))
    # An empty line before and after it is conda's own way; the former also ends what needs an end.
    goes_on = "\n" if place and startup_file.missing_ends(lines[place - 1]) > 1 else ""
    return "".join([*lines[:place], f"{goes_on}\n{text}\n", *lines[place:]])


def half_block(text: str) -> int:
    """The line of a marker of conda's without its partner, 0 for none.

    `conda init` would take all from it to the next partner for its own block.
    """
    open_at = 0
    for number, line in enumerate(shell_lines.LINES.findall(text), start=1):
        marker = line.strip()
        if marker == CONDA_FIRST:
            if open_at:
                return open_at
            open_at = number
        elif marker == CONDA_LAST:
            if not open_at:
                return number
            open_at = 0
    return open_at


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
    root, shell, zdotdir = (module.params[name] for name in ("root", "shell", "zdotdir"))
    files = terminal.startup_files(shell, Path.home(), zdotdir, login=terminal.is_login())
    named = terminal.main_file(shell, files)
    diff: dict[str, str] = {}
    if named is None:
        module.warn(
            f"conda's own block was not written: your login shell is {shell}, and only zsh and bash are handled. "
            f"`{root}/bin/conda init {shell}` may know it. The environment works without it."
        )
    elif not _is_known(root, shell, zdotdir):
        try:
            diff = startup_file.change(named, lambda text: _edit(text, named, root, shell), apply=not module.check_mode)
        except startup_file.LeftError as error:
            module.warn(
                f"conda's own block was not written: {error}. Mend that and run again, or set miniforge_init to false. "
                "The environment works without it."
            )
    module.exit_json(changed=bool(diff), diff=diff)


def _edit(before: str, named: Path, root: str, shell: str) -> str:
    """A start-up file's text with conda's block.

    Raises:
        LeftError: it would not do there what it is for.
    """
    if re.search(r"[\"'$`\\]", root):
        raise startup_file.LeftError(f"the name {root} would mean something to a shell")
    if half := half_block(before):
        raise startup_file.LeftError(f"{named} has half a block of conda's, in line {half}")
    return with_block(before, block(root, shell))


def _is_known(root: str, shell: str, zdotdir: str) -> bool:
    """Whether a new terminal knows this conda already: by its block, or by lines of the user's own."""
    if terminal.knows_conda(root, shell, Path.home(), zdotdir):
        return True
    found = terminal.ask()
    program = found.variables.get("CONDA_EXE", "") if found.conda else ""
    return terminal.knows_conda(root, shell, Path.home(), zdotdir, program)


if __name__ == "__main__":
    main()
