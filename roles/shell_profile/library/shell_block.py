#!/usr/bin/python
"""Module `shell_block`: one managed block in a user's shell file, which otherwise stays as it is.

Options:
    path: the shell file; a symbolic link is followed, a missing file is made. "" means the one in the record.
    profile: names the block, and the record that notes the file.
    block: lines of the block; "" takes it away, and the file with it if it was made for the block and is empty.

Everything outside the block is kept to the byte, and so are owner and permissions. Runs on the target's Python
(3.8+).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils import lab_record
except ImportError:  # imported by a test, without Ansible's packaging
    import lab_record


class DamagedError(Exception):
    """The markers of the block do not pair; the message says where."""


def markers(profile: str) -> tuple[str, str]:
    """First and last line of a profile's block."""
    return f"# >>> metal-lab {profile} >>>", f"# <<< metal-lab {profile} <<<"


def edit(before: str, profile: str, block: str) -> str:
    """The file's text with exactly one block, or none for an empty `block`.

    Args:
        before: the file's text.
        profile: names the block.
        block: the block's lines, each ending with a newline.

    Raises:
        DamagedError: a marker stands without its partner.
    """
    begin, end = markers(profile)
    # Only \n ends a line for a shell; str.splitlines knows a dozen others.
    lines = re.findall(r"[^\n]*\n|[^\n]+", before)
    kept: list[str] = []
    place: int | None = None
    inside = 0
    for number, line in enumerate(lines, start=1):
        if line.strip() == begin:
            if inside:
                raise DamagedError(f"line {inside} begins a block, and so does line {number} before it ends")
            inside = number
            place = len(kept) if place is None else place
        elif line.strip() == end:
            if not inside:
                raise DamagedError(f"line {number} ends a block that does not begin")
            inside = 0
        elif not inside:
            kept.append(line)
    if inside:
        raise DamagedError(f"line {inside} begins a block that does not end")
    if not block:
        return "".join(kept)
    newline = "\r\n" if lines and lines[0].removesuffix("\n").endswith("\r") else "\n"
    if place is None:
        place = len(kept)
        if kept and not kept[-1].endswith("\n"):
            kept[-1] += "\n" if kept[-1].endswith("\r") else newline
    ours = f"{begin}\n{block}{end}\n".replace("\n", newline)
    return "".join([*kept[:place], ours, *kept[place:]])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "profile": {"type": "str", "required": True},
            "block": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        record = lab_record.read(options["profile"])
    except lab_record.RecordError as error:
        module.fail_json(str(error))
    named = options["path"] or record.get("shell", "")
    if not named:
        module.exit_json(changed=False, msg="The record names no shell file.")
    path = Path(os.path.realpath(named))
    # Bytes that are no UTF-8 come back as they were.
    before = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    try:
        after = edit(before, options["profile"], options["block"])
    except DamagedError as error:
        module.fail_json(
            f"{path}: the block of metal-lab is damaged: {error}. Remove its lines by hand (they are between "
            f"'{markers(options['profile'])[0]}' and '{markers(options['profile'])[1]}'), then run again."
        )
    noted = _noted(record, named, bool(options["block"]), path.exists())
    changed = before != after or noted != record
    if changed and not module.check_mode:
        # The record first: if this is cut off, uninstall still knows whose file it is.
        if record and noted != record:
            lab_record.write(options["profile"], noted)
        if before != after:
            _store(path, after, remove=not after and record.get("shell_created", False))
    shown = [_shown(text) for text in (before, after)]
    diff = [lab_record.part(path, *shown)] if before != after else []
    module.exit_json(changed=changed, diff=diff)


def _noted(record: dict[str, object], path: str, wanted: bool, exists: bool) -> dict[str, object]:
    """The record as it is to be. Where there is none (the role is used alone) there is nothing to note in."""
    rest = {key: value for key, value in record.items() if key not in ("shell", "shell_created")}
    if not record or not wanted:
        return rest
    created = bool(record.get("shell_created")) if record.get("shell") == path else not exists
    return {**rest, "shell": path, "shell_created": created}


def _store(path: Path, text: str, *, remove: bool) -> None:
    if remove:
        path.unlink()
        return
    content = text.encode("utf-8", "surrogateescape")
    if not path.exists():
        lab_record.replace(path, content)
        return
    old = path.stat()
    lab_record.replace(path, content, mode=old.st_mode & 0o7777)
    if (old.st_uid, old.st_gid) != (path.stat().st_uid, path.stat().st_gid):
        os.chown(path, old.st_uid, old.st_gid)


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


if __name__ == "__main__":
    main()
