#!/usr/bin/python
"""Module `shell_block`: one managed block in a user's start-up files. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, lab_record, regular, shell_lines

BACKUP = ".before-metal-lab"
CONDA_FIRST = "# >>> conda initialize >>>"
CONDA_LAST = "# <<< conda initialize <<<"
"""The lines around conda's own block (conda/conda, conda/core/initialize.py)."""
_MARKER = re.compile(r"# (>>>|<<<) metal-lab (\S+) \1")
# The line that Homebrew's installer and the course tell to add (Homebrew/install, install.sh, "Next steps").
_SHELLENV = re.compile(r'eval "\$\(/[^\s"()$`]*/brew shellenv\)"')


class DamagedError(Exception):
    """The markers of a profile's block do not pair; the message says where."""

    def __init__(self, message: str, profile: str) -> None:
        super().__init__(message)
        self.profile = profile


class Change(NamedTuple):
    """A start-up file as it is and as it is to be.

    Attributes:
        named: its path as shells read it.
        path: the same with symbolic links followed.
        before: its text, "" where it is not there.
        after: its text as it is to be.
        adopted: whether lines of the user's go.
    """

    named: str
    path: Path
    before: str
    after: str
    adopted: bool

    @property
    def backup(self) -> Path:
        """Where the copy of it goes: beside the link, not beside what it leads to."""
        return Path(self.named + BACKUP)


def markers(profile: str) -> tuple[str, str]:
    """First and last line of a profile's block."""
    return f"# >>> metal-lab {profile} >>>", f"# <<< metal-lab {profile} <<<"


def edit(before: str, profile: str, block: str, *, alone: bool = False) -> str:
    """The file's text with exactly one block, after conda's own, or with none for an empty `block`.

    Args:
        before: the file's text.
        profile: names the block.
        block: the block's lines, each ending with a newline.
        alone: whether other profiles' blocks go too.

    Raises:
        DamagedError: a marker stands without its partner.
    """
    lines = shell_lines.LINES.findall(before)
    kept: list[str] = []
    place: int | None = None
    inside, owner = 0, ""
    for number, line in enumerate(lines, start=1):
        marker = _MARKER.fullmatch(line.strip())
        if marker is None or not (alone or marker[2] == profile):
            if not inside:
                kept.append(line)
        elif marker[1] == ">>>":
            if inside:
                raise DamagedError(f"line {inside} begins a block, and so does line {number} before it ends", owner)
            inside, owner = number, marker[2]
            place = len(kept) if place is None else place
        elif inside and marker[2] == owner:
            inside = 0
        else:
            raise DamagedError(f"line {number} ends a block that does not begin", marker[2])
    if inside:
        raise DamagedError(f"line {inside} begins a block that does not end", owner)
    if not block:
        return "".join(kept)
    if place is None:
        place = len(kept)
    else:
        # conda's block puts its base environment first again.
        place = max([place, *(at for at, line in enumerate(kept, start=1) if line.strip() == CONDA_LAST)])
    newline = "\r\n" if lines and lines[0].removesuffix("\n").endswith("\r") else "\n"
    if place and not kept[place - 1].endswith("\n"):
        kept[place - 1] += "\n" if kept[place - 1].endswith("\r") else newline
    begin, end = markers(profile)
    ours = f"{begin}\n{block}{end}\n".replace("\n", newline)
    return "".join([*kept[:place], ours, *kept[place:]])


def adopt(before: str, activations: list[str]) -> str:
    """The file's text without the lines that our block replaces, and without repetitions of Homebrew's.

    Taken out are lines that stand by themselves, from their first column, outside blocks between `# >>> … >>>` and
    `# <<< … <<<`: `conda activate NAME`, and each repetition of an `eval "$(… brew shellenv)"`.

    Args:
        before: the file's text.
        activations: the names that mean our environment.
    """
    ours = {f"conda activate {name}" for name in activations}
    seen: set[str] = set()
    kept: list[str] = []
    in_block = False
    for line, free in zip(shell_lines.LINES.findall(before), shell_lines.by_themselves(before)):  # noqa: B905 (3.10+)
        text = line.rstrip(" \t\r\n")
        if re.fullmatch(r"# (>>> .* >>>|<<< .* <<<)", text):
            in_block = text.startswith("# >>>")
        elif free and not in_block:
            if text in ours or text in seen:
                continue
            if _SHELLENV.fullmatch(text):
                seen.add(text)
        kept.append(line)
    return "".join(kept)


def place_of(path: str, files: list[str]) -> str:
    """The file for the block: `path`, or the last of those read after it that has conda's own block."""
    later = files[files.index(path) :] if path in files else []
    return next((one for one in reversed(later) if CONDA_FIRST in _read(Path(one))), path)


def plan(target: str, files: list[str], profile: str, block: str, activations: list[str]) -> list[Change]:
    """What is to become of each file; the one with the block comes first.

    Args:
        target: the file for the block.
        files: the others, in which a block of ours is one too many.
        profile, block: as of `edit`; with a block, those of other profiles go.
        activations: as of `adopt`.

    Raises:
        DamagedError: the block's markers do not pair; the message names the file.
    """
    changes: dict[Path, Change] = {}
    for named in [target, *files]:
        path = Path(os.path.realpath(named))
        if path in changes:
            continue
        before = _read(path)
        kept = adopt(before, activations) if block else before
        try:
            after = edit(kept, profile, block if named == target else "", alone=bool(block))
        except DamagedError as error:
            begin, end = markers(error.profile)
            raise DamagedError(
                f"{path}: the block of metal-lab is damaged: {error}. Remove its lines by hand (they are between "
                f"'{begin}' and '{end}'), then run again.",
                error.profile,
            ) from error
        changes[path] = Change(named, path, before, after, kept != before)
    return list(changes.values())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "profile": {"type": "str", "required": True},
            "block": {"type": "str", "required": True},
            "move": {"type": "bool", "default": True},
            "unhandled": {"type": "str", "default": ""},
            "activations": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    options = module.params
    profile, block = options["profile"], options["block"]
    if block and not options["path"]:
        module.warn(options["unhandled"])
        module.exit_json(changed=False, backups=[])
    try:
        record = lab_record.read(profile)
    except lab_record.RecordError as error:
        module.fail_json(str(error))
    others = lab_record.others(profile)
    # A terminal is in one environment: the block that comes takes the place of the one that is there.
    holders = {name: one for name, one in others.items() if block and one.get("shell")}
    if holders and not options["move"]:
        module.exit_json(changed=False, backups=[], msg=f"New terminals stay in {', '.join(holders)}.")
    named = options["path"] or record.get("shell", "")
    if not named:
        module.exit_json(changed=False, backups=[], msg="The record names no shell file.")
    target = place_of(named, options["files"]) if block else named
    was = {profile: record, **holders}
    # The block was elsewhere if the user has another shell now, or conda's block another place.
    recorded = [one["shell"] for one in was.values() if one.get("shell")]
    try:
        changes = plan(target, [*options["files"], *recorded], profile, block, options["activations"])
    except DamagedError as error:
        module.fail_json(str(error))
    made = {one["shell"] for one in was.values() if one.get("shell_created")}
    created = target in made or (target not in recorded and not changes[0].path.exists())
    now = {name: _noted(one, target if block and name == profile else "", created) for name, one in was.items()}
    stale = {name: one for name, one in now.items() if one != was[name]}
    edited = [change for change in changes if change.before != change.after]
    diff = [part for change in edited for part in _diff(change)]
    if not module.check_mode:
        for change in edited:
            if change.adopted:
                _keep(change)
        # The records first: if this is cut off, uninstall still knows whose file it is.
        for name, one in stale.items():
            lab_record.write(name, one)
        for change in edited:
            _store(change.path, change.after, remove=change.named in made and not change.after)
    if holders:
        module.warn(
            f"New terminals move from {', '.join(holders)} to {profile}. To put them back: ./converge -e "
            f"profile={next(iter(holders))} --tags shell"
        )
    backups = sorted(str(path) for path in Path(target).parent.glob(f"*{BACKUP}"))
    module.exit_json(changed=bool(edited or stale), backups=backups, others=sorted(others), diff=diff)


def _diff(change: Change) -> list[dict[str, str]]:
    shown = [text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for text in change[2:4]]
    parts = [lab_record.part(change.path, *shown)]
    if change.adopted and not os.path.lexists(change.backup):
        parts.append({"prepared": f"kept as it was: {change.backup}\n"})
    return parts


def _noted(record: dict[str, object], path: str, created: bool) -> dict[str, object]:
    """The record as it is to be: with the file of the block, or "" for none; and whether that was made for the block.

    Where there is no record (the role is used alone) there is nothing to note in.
    """
    rest = {key: value for key, value in record.items() if key not in ("shell", "shell_created")}
    return {**rest, "shell": path, "shell_created": created} if record and path else rest


def _read(path: Path) -> str:
    # Bytes that are no UTF-8 come back as they were.
    return regular.text(path, "surrogateescape") if path.exists() else ""


def _keep(change: Change) -> None:
    """Copy a file before it is changed, once."""
    if not os.path.lexists(change.backup):
        _write(change.backup, regular.content(change.path), change.path.stat())


def _store(path: Path, text: str, *, remove: bool) -> None:
    if remove:
        path.unlink()
        return
    _write(path, text.encode("utf-8", "surrogateescape"), path.stat() if path.exists() else None)


def _write(path: Path, content: bytes, like: os.stat_result | None) -> None:
    """Write a file, with the permissions and the owner of another."""
    if like is None:
        lab_record.replace(path, content)
        return
    lab_record.replace(path, content, mode=like.st_mode & 0o7777)
    if (like.st_uid, like.st_gid) != (path.stat().st_uid, path.stat().st_gid):
        os.chown(path, like.st_uid, like.st_gid)


if __name__ == "__main__":
    main()
