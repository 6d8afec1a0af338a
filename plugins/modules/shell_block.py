#!/usr/bin/python
"""Module `shell_block`: one managed block in a user's start-up files. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, lab_record, regular, shell_lines, startup_file, terminal
from ..module_utils.terminal import CONDA_FIRST, CONDA_LAST

BACKUP = ".before-metal-lab"
_ADDED = "# Line ends that were missing before this block, and were added: "
_MARKER = re.compile(r"# (>>>|<<<) metal-lab (\S+) \1")
_EMPTY = re.compile(r"(?:\b(?:then|do|else)|[{(]) (?:(?:fi|done|else|elif)\b|[})])|(?:&&|\|\|) ")
_IDLE = re.compile(r"(?:^|\s)#.*")
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
        restored: whether it becomes what it was before all, and the copy of that goes.
    """

    named: str
    path: Path
    before: str
    after: str
    adopted: bool
    restored: bool = False

    @property
    def backup(self) -> Path:
        """Where the copy of it goes: beside the link, not beside what it leads to."""
        return Path(self.named + BACKUP)


def markers(profile: str) -> tuple[str, str]:
    """First and last line of a profile's block."""
    return f"# >>> metal-lab {profile} >>>", f"# <<< metal-lab {profile} <<<"


def edit(before: str, profile: str, block: str, *, alone: bool = False, settled: bool = False) -> str:
    """The file's text with exactly one block, or with none for an empty `block`.

    The block stands after conda's own, and where no command is unfinished: people put conda's block into a function of
    theirs. Its lines end as shells need it, whatever the others do.

    Args:
        before: the file's text.
        profile: names the block.
        block: the block's lines, each ending with a newline.
        alone: whether other profiles' blocks go too.
        settled: whether a block that is there stays in its place, wherever that is.

    Raises:
        DamagedError: a marker stands without its partner.
    """
    kept, place, added = _without(shell_lines.LINES.findall(before), profile, alone=alone)
    if not block:
        text = "".join(kept if place is None else _filled(kept, place))
        # Where something came behind the block later, its line would otherwise be joined to the one before.
        return text[: len(text) - added] if place == len(kept) and text.endswith("\n" * added) else text
    if place is None:
        place = len(kept)
    elif not settled:
        was = place
        # conda's block puts its base environment first again.
        place = max([place, *(at for at, line in enumerate(kept, start=1) if line.strip() == CONDA_LAST)])
        free = shell_lines.by_themselves("".join(kept))
        place = next((at for at in range(place, len(kept)) if free[at]), len(kept))
        if place != was:
            before_it = len(kept)
            kept = _filled(kept, was)
            place += len(kept) - before_it
            # Those that were added stay where they are: something came behind them.
            added = 0
    missing = startup_file.missing_ends(kept[place - 1]) if place else 0
    # A block that is there already has the line ends before it.
    note = f"{_ADDED}{missing or added}\n" if missing or (added and place == len(kept)) else ""
    begin, end = markers(profile)
    return "".join([*kept[:place], "\n" * missing, f"{begin}\n{note}{block}{end}\n", *kept[place:]])


def _filled(lines: list[str], at: int) -> list[str]:
    """Lines with something done at a place, where a block is gone that was all that an `if` or a function did.

    bash takes an empty one for an error, and reads no further.
    """
    # Empty lines and comments do nothing either.
    said = [_IDLE.sub("", line).strip() for line in lines]
    head = next((one for one in reversed(said[:at]) if one), "").rpartition(" ")[2]
    tail = next((one for one in said[at:] if one), "").partition(" ")[0]
    return [*lines[:at], ":\n", *lines[at:]] if _EMPTY.search(f"{head} {tail}") else lines


def _without(lines: list[str], profile: str, *, alone: bool) -> tuple[list[str], int | None, int]:
    """A file's lines without our block, the place where it was, and how many line ends were added before it."""
    kept: list[str] = []
    place: int | None = None
    inside, owner, added = 0, "", 0
    for number, line in enumerate(lines, start=1):
        marker = _MARKER.fullmatch(line.strip())
        if marker is None or not (alone or marker[2] == profile):
            if not inside:
                kept.append(line)
            elif number == inside + 1 and line[:-2] == _ADDED:
                added = int(line[-2])
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
    return kept, place, added


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
    return next((one for one in reversed(later) if CONDA_FIRST in startup_file.read(Path(one))), path)


def plan(
    target: str, files: list[str], profile: str, block: str, activations: list[str], *, settled: bool = False
) -> list[Change]:
    """What is to become of each file; the one with the block comes first.

    Args:
        target: the file for the block.
        files: the others, in which a block of ours is one too many.
        profile, block, settled: as of `edit`; with a block, those of other profiles go.
        activations: as of `adopt`.

    Raises:
        DamagedError: the block's markers do not pair; the message names the file.
    """
    changes: dict[Path, Change] = {}
    for named in [target, *files]:
        path = Path(os.path.realpath(named))
        if path in changes:
            continue
        before = startup_file.read(path)
        kept = adopt(before, activations) if block else before
        try:
            ours = block if named == target else ""
            after = edit(kept, profile, ours, alone=bool(block), settled=settled)
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
            "path": {"type": "path", "default": ""},
            "shell": {"type": "str", "default": ""},
            "zdotdir": {"type": "path", "default": ""},
            "profile": {"type": "str", "required": True},
            "block": {"type": "str", "required": True},
            "prefix": {"type": "path", "default": ""},
            "move": {"type": "bool", "default": True},
            "unhandled": {"type": "str", "default": ""},
            "activations": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    profile = module.params["profile"]
    try:
        record = lab_record.read(profile)
    except lab_record.RecordError as error:
        module.fail_json(str(error))
    others = lab_record.others(profile)
    # A terminal is in one environment: the block that comes takes the place of the one that is there.
    holders = {name: one for name, one in others.items() if module.params["block"] and one.get("shell")}
    if holders and not module.params["move"]:
        module.exit_json(changed=False, backups=[], msg=f"New terminals stay in {', '.join(holders)}.")
    try:
        _Run(module, {profile: record, **holders}, sorted(others)).run()
    except DamagedError as error:
        module.fail_json(str(error))


class _Run:
    """One run of the module.

    Args:
        module: Ansible's, with the options.
        was: the records that have, had or are to have the block, by profile; ours comes first.
        others: the other profiles with an environment here.
    """

    def __init__(self, module: AnsibleModule, was: dict[str, dict[str, Any]], others: list[str]) -> None:
        self._module, self._was, self._others = module, was, others
        self._profile, self._block = module.params["profile"], module.params["block"]
        self._prefix = module.params["prefix"]
        self._recorded: list[str] = [one["shell"] for one in was.values() if one.get("shell")]
        # What the files were as we left them; those of another profile's block are ours from now on.
        self._written: dict[str, str] = {}
        for one in was.values():
            self._written.update(one.get("shell_written", {}))

    def run(self) -> None:
        """See what is to change, change it, and look whether it does what it is for."""
        files = [str(path) for path in self._startup_files()]
        target = self._target(files)
        if not target:
            if self._block:
                self._module.warn(self._module.params["unhandled"])
            self._module.exit_json(changed=False, backups=[], msg="The record names no shell file.")
        target, changes = self._plan(target, files)
        edited = self._writable(changes)
        made = {one["shell"] for one in self._was.values() if one.get("shell_created")}
        created = target in made or (target not in self._recorded and not changes[0].path.exists())
        written = self._lineage(edited)
        now = {}
        for name, one in self._was.items():
            ours = bool(self._block) and name == self._profile
            now[name] = _noted(one, target if ours else "", created, written if ours else {})
        stale = {name: one for name, one in now.items() if one != self._was[name]}
        diff = [part for change in edited for part in _diff(change)]
        if not self._module.check_mode:
            self._apply(edited, stale, made)
        backups = sorted({str(path) for one in changes for path in Path(one.named).parent.glob(f"*{BACKUP}")})
        self._module.exit_json(changed=bool(edited or stale), backups=backups, others=self._others, diff=diff)

    def _startup_files(self) -> list[Path]:
        options, home = self._module.params, Path.home()
        if not self._block:
            return []
        zdotdir = options["zdotdir"]
        if not zdotdir and options["shell"] == "zsh":
            # Where ZDOTDIR came from the environment of an earlier run, this one may lack it, as a nightly one does.
            there = [Path(one) for one in self._recorded if Path(one).name.startswith(".z")]
            zdotdir = next((str(one.parent) for one in there if _has(one)), "")
        return terminal.startup_files(options["shell"], home, zdotdir, login=terminal.is_login())

    def _target(self, files: list[str]) -> str:
        named = self._module.params["path"]
        if not self._block:
            return named or next(iter(self._recorded), "")
        main = terminal.main_file(self._module.params["shell"], [Path(one) for one in files])
        return place_of(named or str(main or ""), files)

    def _plan(self, target: str, files: list[str]) -> tuple[str, list[Change]]:
        """The file for the block, and what becomes of all. A block that does what it is for stays where it is."""
        activations = self._module.params["activations"]
        there = next((one for one in [*self._recorded, *files] if _has(Path(one), self._profile)), "")
        rest = [*files, *self._recorded, *([] if self._block else self._written)]
        changes = plan(target, rest, self._profile, self._block, activations)
        asked = self._block and self._prefix and not self._module.params["path"]
        if asked and there:
            stays = plan(there, rest, self._profile, self._block, activations, settled=True)
            moves = {change.path: change.after for change in changes} != {one.path: one.after for one in stays}
            if moves and not self._trouble():
                return there, stays
        if not self._block:
            changes = [self._restored(change) for change in changes]
        return target, changes

    def _restored(self, change: Change) -> Change:
        """A file that nobody has changed since becomes what it was, the lines that the block had replaced included."""
        if self._written.get(change.named) != _digest(change.before) or not change.backup.is_file():
            return change
        return change._replace(after=startup_file.read(change.backup), restored=True)

    def _writable(self, changes: list[Change]) -> list[Change]:
        """Those of the changes that can be made; of the others it is said what to do. Without the block, none."""
        edited = []
        for change in changes:
            if change.before == change.after:
                continue
            wrong = startup_file.obstacle(Path(change.named))
            if not wrong:
                edited.append(change)
                continue
            if change is changes[0] and self._block:
                self._module.warn(self._by_hand(wrong))
                self._module.exit_json(changed=False, backups=[], others=self._others, diff=[])
            begin, end = markers(self._profile)
            what = (
                "the lines that the block replaces stay in it"
                if self._block
                else f"remove what is from '{begin}' to '{end}'"
            )
            self._module.warn(f"{wrong}: {what}.")
        return edited

    def _by_hand(self, wrong: str) -> str:
        return (
            f"{wrong}, so new terminals were not put into the environment. Make it writable and run again, or add "
            f"these lines at the end of it, or of what it is made from:\n{self._block}"
        )

    def _lineage(self, edited: list[Change]) -> dict[str, str]:
        """Digests of the files as they are now left, as far as what they were before all is kept beside them."""
        written = dict(self._written)
        for change in edited:
            fresh = change.adopted and not os.path.lexists(change.backup)
            if fresh or written.get(change.named) == _digest(change.before):
                written[change.named] = _digest(change.after)
            else:
                # Somebody has changed it in between.
                written.pop(change.named, None)
        return written

    def _apply(self, edited: list[Change], stale: dict[str, dict[str, Any]], made: set[str]) -> None:
        # The records first: if this is cut off, uninstall still knows whose file it is.
        for name, one in stale.items():
            lab_record.write(name, one)
        for change in edited:
            try:
                if change.adopted:
                    _keep(change)
                _store(change.path, change.after, remove=change.named in made and not change.after)
                if change.restored:
                    change.backup.unlink()
            except OSError as error:
                for name in stale:
                    lab_record.write(name, self._was[name])
                self._module.warn(self._by_hand(f"{change.named} could not be written ({error.strerror})"))
                self._module.exit_json(changed=False, backups=[], others=self._others, diff=[])
        if len(self._was) > 1:
            holders = [name for name in self._was if name != self._profile]
            self._module.warn(
                f"New terminals move from {', '.join(holders)} to {self._profile}. To put them back: ./converge -e "
                f"profile={holders[0]} --tags shell"
            )
        trouble = self._trouble() if edited and self._block and self._prefix else ""
        if trouble:
            self._module.warn(
                f"{edited[0].named} has the block, and yet {trouble}. Look in the shell's files for what comes after "
                "it, for what ends them before it (a return, or a mistake, of which the shell's option -n tells the "
                "line), or for an alias or a function python."
            )

    def _trouble(self) -> str:
        """Why a new terminal is not in the environment, "" if it is."""
        found = terminal.ask()
        if found.error:
            return f"a new {found.shell} does not say what it has: {found.error}"
        if found.prefix == os.path.realpath(self._prefix):
            return ""
        return f"`python` in a new {found.shell} is {found.python or 'not found'}"


def _has(path: Path, profile: str = "") -> bool:
    """Whether a file has the profile's block, or, without one, any profile's."""
    found = (_MARKER.fullmatch(line.strip()) for line in shell_lines.LINES.findall(startup_file.read(path)))
    return any(one is not None and profile in ("", one[2]) for one in found)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _diff(change: Change) -> list[dict[str, str]]:
    parts = [lab_record.part(change.path, startup_file.shown(change.before), startup_file.shown(change.after))]
    if change.adopted and not os.path.lexists(change.backup):
        parts.append({"prepared": f"kept as it was: {change.backup}\n"})
    return parts


def _noted(record: dict[str, Any], path: str, created: bool, written: dict[str, str]) -> dict[str, Any]:
    """The record as it is to be.

    Where there is no record (the role is used alone) there is nothing to note in.

    Args:
        record: as it is.
        path: the file of the block, or "" for none.
        created: whether that was made for the block.
        written: digests of the files that can be put back as they were.
    """
    keys = ("shell", "shell_created", "shell_written")
    rest = {key: value for key, value in record.items() if key not in keys}
    if not (record and path):
        return rest
    return {**rest, "shell": path, "shell_created": created, **({"shell_written": written} if written else {})}


def _keep(change: Change) -> None:
    """Copy a file before it is changed, once."""
    if not os.path.lexists(change.backup):
        startup_file.copy(change.backup, regular.content(change.path), change.path.stat())


def _store(path: Path, text: str, *, remove: bool) -> None:
    if remove:
        path.unlink()
    else:
        startup_file.write(path, text)


if __name__ == "__main__":
    main()
