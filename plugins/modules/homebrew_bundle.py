#!/usr/bin/python
"""Module `homebrew_bundle`: what a Brewfile names is installed. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, regular, text

# What stands below Homebrew's prefix once it is there: each version of a formula and of a cask, the link that makes a
# formula usable, and each tap (Homebrew/brew: Library/Homebrew/keg.rb, cask/caskroom.rb, tap.rb).
PLACES = ("Cellar/*/*", "Caskroom/*/*", "var/homebrew/linked/*", "Library/Taps/*/*")


def render(taps: list[str], formulae: list[str], casks: list[str]) -> str:
    """The Brewfile's content."""
    # Since 6.0 brew installs nothing of a tap that nobody said to trust. `nil` (no address of its own) is for releases
    # before: they would take what follows for the address (Library/Homebrew/bundle/dsl.rb, tap).
    lines = [f"tap {_literal(name)}, nil, trusted: true" for name in taps]
    lines += [f"{kind} {_literal(name)}" for kind, names in (("brew", formulae), ("cask", casks)) for name in names]
    return "".join(f"{line}\n" for line in ["# Ansible managed by the role homebrew.", *lines])


def _literal(name: str) -> str:
    """A string of Ruby, which brew runs the Brewfile as: JSON's, in which `#` may begin code for Ruby."""
    return json.dumps(name, ensure_ascii=False).replace("#", "\\#")


def inventory(prefix: Path) -> set[str]:
    """What Homebrew has, as paths below its prefix. Not what it says: its words change from release to release."""
    found = (path.relative_to(prefix) for place in PLACES for path in prefix.glob(place))
    return {str(path) for path in found if not path.name.startswith(".")}


def lacking(prefix: Path, taps: list[str], formulae: list[str], casks: list[str]) -> list[str]:
    """Which of the names are not there."""
    wanted = [
        *((name, prefix / "opt" / _last(name)) for name in formulae),
        *((name, prefix / "Caskroom" / _last(name)) for name in casks),
        *((name, prefix / "Library" / "Taps" / Path(name).parent / f"homebrew-{_last(name)}") for name in taps),
    ]
    return [name for name, place in wanted if not place.is_dir()]


def loose(prefix: Path, formulae: list[str]) -> list[str]:
    """Which of the formulae are there, but linked to none of Homebrew's folders, so that no shell finds them.

    `bundle check` does not look at that, `bundle install` links them. One that is keg-only, as its own file in the
    Cellar says, is not meant to be linked (Homebrew/brew: Library/Homebrew/keg.rb, linked?).
    """
    found = []
    for name in formulae:
        keg = (prefix / "opt" / _last(name)).resolve()
        files = list((keg / ".brew").glob("*.rb")) if keg.parent.parent.name == "Cellar" else []
        texts = [regular.text(file, "replace") for file in files]
        linked = (prefix / "var" / "homebrew" / "linked" / keg.parent.name).is_dir()
        if texts and not linked and not any(re.search(r"^\s*keg_only\b", one, re.MULTILINE) for one in texts):
            found.append(name)
    return found


def trashed(prefix: Path, casks: list[str]) -> dict[str, str]:
    """Casks whose application somebody took away, and where it was: brew's own link to it leads nowhere.

    Homebrew/brew: Library/Homebrew/cask/artifact/moved.rb. brew takes such a cask for installed.
    """
    links = ((name, link) for name in casks for link in sorted((prefix / "Caskroom" / _last(name)).glob("*/*")))
    return {name: os.readlink(link) for name, link in links if link.is_symlink() and not link.exists()}  # noqa: PTH115


def upgraded(before: set[str], after: set[str]) -> list[str]:
    """What has another version than before beside the one that it had, which `--no-upgrade` does not keep brew from.

    A missing formula brings its dependencies up to date.
    """
    told = []
    for path in sorted(after - before):
        folder, name, version = path.split("/")[:3] if path.startswith("Cellar/") else ("", "", "")
        older = sorted(one.split("/")[2] for one in before if folder and one.startswith(f"Cellar/{name}/"))
        if older:
            told.append(f"{name} from {', '.join(older)} to {version}")
    return told


def skipped(prefix: Path, names: list[str]) -> dict[str, str]:
    """Names that brew is told to pass over, and the file that says so, or the environment.

    Homebrew/brew: bin/brew, export_homebrew_env_file; Library/Homebrew/bundle/skipper.rb.
    """
    own = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("HOMEBREW_XDG_CONFIG_HOME")
    user = Path(own) / "homebrew" if own else Path.home() / ".homebrew"
    variable = re.compile(r"^HOMEBREW_BUNDLE_(?:BREW|CASK|TAP)_SKIP=(.*)$", re.MULTILINE)
    texts = {"the environment": "".join(f"{name}={value}\n" for name, value in os.environ.items())}
    for folder in (Path("/etc/homebrew"), prefix / "etc" / "homebrew", user):
        file = folder / "brew.env"
        if file.is_file() and os.access(file, os.R_OK):
            texts[str(file)] = regular.text(file, "replace")
    listed = {where: " ".join(variable.findall(one)).replace('"', " ").split() for where, one in texts.items()}
    return {name: where for name in names for where, words in listed.items() if name in words}


def _last(name: str) -> str:
    """A name without the tap that it is from, owner/tap/name."""
    return name.rpartition("/")[2]


def altered(output: str) -> list[str]:
    """The SHA-256 that brew expected of each bottle that came with another one; [] where it says it in other words."""
    # Homebrew/brew, Library/Homebrew/download_queue.rb ("Bottle reports different checksum:") and exceptions.rb
    # (ChecksumMismatchError), as of 6.0. Only the advice gets better by it.
    pattern = r"reports different checksum: +([0-9a-f]{64})|SHA-?256 mismatch\s+Expected: +([0-9a-f]{64})"
    return sorted({one or other for one, other in re.findall(pattern, output)})


def advice(output: str) -> str:
    """What to do about a failed `brew bundle install`."""
    if digests := altered(output):
        purge = "ansible-playbook -i INVENTORY playbooks/cache.yml --tags purge -e purge="
        return (
            "What came is not what Homebrew's API promises, and was not installed. If a lab's cache has it wrong, "
            f"throw it away there, then run again: {' and '.join(f'`{purge}{digest}`' for digest in digests)}."
        )
    return (
        "Mend what brew names below, or take what cannot be had out of homebrew_formulae, homebrew_casks or "
        "homebrew_taps; then run again."
    )


def _write(brewfile: Path, content: str, *, check_mode: bool) -> list[dict[str, str]]:
    """Bring the Brewfile to its content; returns the diff, [] where it was so already."""
    before = regular.text(brewfile) if brewfile.exists() else ""
    if before == content:
        return []
    if not check_mode:
        brewfile.parent.mkdir(parents=True, exist_ok=True)
        beside = brewfile.with_name(f".{brewfile.name}.new")
        beside.write_text(content, encoding="utf-8")
        beside.replace(brewfile)
    return [{"before_header": str(brewfile), "after_header": str(brewfile), "before": before, "after": content}]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "brew": {"type": "path", "required": True},
            "brewfile": {"type": "path", "required": True},
            **{kind: {"type": "list", "elements": "str", "required": True} for kind in ("taps", "formulae", "casks")},
            "noted": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    brew, brewfile, taps, formulae, casks = (
        module.params[key] for key in ("brew", "brewfile", "taps", "formulae", "casks")
    )
    names = [*formulae, *casks, *taps]
    prefix = Path(brew).parent.parent
    # What was asked goes on to the environment's record, without a task of its own.
    facts = {"metal_lab_homebrew": {**module.params["noted"], "formulae": formulae, "casks": casks}}
    if not names and not Path(brewfile).exists():
        module.exit_json(changed=False, ansible_facts=facts)
    rewritten = _write(Path(brewfile), render(taps, formulae, casks), check_mode=module.check_mode)
    if not names:
        module.exit_json(changed=bool(rewritten), installed=[], upgraded=[], ansible_facts=facts, diff=rewritten)
    if module.check_mode and not Path(brew).exists():
        module.exit_json(changed=True, ansible_facts=facts, diff={"before": "", "after": _lines(names)})
    if module.check_mode and rewritten:
        # brew would be asked about what stands in the file now.
        module.exit_json(changed=True, ansible_facts=facts, diff=rewritten)
    code, out, err = _brew(module, "check", brewfile, "--verbose")
    missing, unlinked = lacking(prefix, taps, formulae, casks), loose(prefix, formulae)
    if code == 0 and not unlinked:
        _tell(module, prefix, lacking(prefix, [], formulae, casks), casks)
        module.exit_json(changed=bool(rewritten), installed=[], upgraded=[], ansible_facts=facts, diff=rewritten)
    if module.check_mode and not missing and not unlinked:
        found = f"`brew bundle check` ended with exit code {code}, though all that was asked for is there."
        module.fail_json(msg=f"{found} brew said:\n{text.said(out, err)}")
    if module.check_mode:
        would = [*missing, *(f"{name}, linked" for name in unlinked)]
        module.exit_json(changed=True, ansible_facts=facts, diff={"before": "", "after": _lines(would)})
    before = inventory(prefix)
    code, out, err = _brew(module, "install", brewfile)
    said = {"": text.said(out, err)} if code else {}
    missing = lacking(prefix, taps, formulae, casks)
    if code and len(missing) > 1:
        said = _one_by_one(module, prefix, brewfile, missing)
        missing = lacking(prefix, taps, formulae, casks)
    after = inventory(prefix)
    came, gone, newer = sorted(after - before), sorted(before - after), upgraded(before, after)
    done = {"changed": bool(came or gone or rewritten), "installed": came, "upgraded": newer}
    if newer:
        module.warn(
            f"brew upgraded {'; '.join(newer)}. No upgrade was asked for: what was installed needs newer ones of what "
            "it depends on."
        )
    unlinked = loose(prefix, formulae)
    # What was missing has come one by one: then nothing is wrong any more.
    if code and (missing or unlinked or said):
        strange = sorted({tap for name in missing if (tap := name.rpartition("/")[0]) and name not in taps} - set(taps))
        module.fail_json(msg=_failure(code, missing, unlinked, came, said, strange), **done)
    _tell(module, prefix, missing, casks)
    if unlinked:
        module.warn(f"{', '.join(unlinked)}: installed but not linked, so no shell finds it. Try `brew link NAME`.")
    brought = {"before": _lines(gone), "after": _lines(came)}
    module.exit_json(ansible_facts=facts, diff=[*rewritten, brought], **done)


def _brew(module: AnsibleModule, command: str, brewfile: str, *options: str) -> tuple[int, str, str]:
    """`brew bundle`, in a folder that brew's user can read: without one it refuses everything."""
    brew = module.params["brew"]
    line = [brew, "bundle", command, *options, "--no-upgrade", f"--file={brewfile}"]
    done: tuple[int, str, str] = module.run_command(line, cwd=str(Path(brew).parent.parent), pass_fds=alone.inherited())
    return done


def _one_by_one(module: AnsibleModule, prefix: Path, brewfile: str, names: list[str]) -> dict[str, str]:
    """Install each by itself: brew fetches everything before it installs anything, so one keeps all others out.

    Returns:
        what brew said of each that is not there afterwards.
    """
    taps, formulae, casks = (module.params[key] for key in ("taps", "formulae", "casks"))
    said, single = {}, Path(brewfile).with_name(".Brewfile.one")
    try:
        for name in names:
            formula, cask = ([one for one in kind if one == name] for kind in (formulae, casks))
            tap = [name] if name in taps else []
            single.write_text(render(tap or taps, formula, cask), encoding="utf-8")
            out, err = _brew(module, "install", str(single))[1:]
            if lacking(prefix, tap, formula, cask):
                said[name] = text.said(out, err)
    finally:
        if single.exists():
            single.unlink()
    return said


def _tell(module: AnsibleModule, prefix: Path, missing: list[str], casks: list[str]) -> None:
    """Warn of what is not there although brew is content.

    It has another name by now, brew is told to skip it, or somebody took the application away.
    """
    for name, place in trashed(prefix, casks).items():
        module.warn(f"{place} of {name} is gone, and brew takes it for installed: `brew reinstall --cask {name}`.")
    left_out = skipped(prefix, missing)
    for name, where in left_out.items():
        module.warn(
            f"{name} is not installed: {where} has it in a HOMEBREW_BUNDLE_…_SKIP, and brew passes it over. Take it "
            "out there, or out of homebrew_formulae or homebrew_casks."
        )
    if others := [name for name in missing if name not in left_out]:
        module.warn(
            f"brew is content, but nothing of the name {', '.join(others)} is there. `brew info NAME` tells whether "
            "it was renamed: then put its new name into homebrew_formulae or homebrew_casks."
        )


def _failure(
    code: int, missing: list[str], unlinked: list[str], came: list[str], said: dict[str, str], strange: list[str]
) -> str:
    """What to tell of a `brew bundle install` that failed; `strange` are taps of what is missing that nobody trusts."""
    absent = [f"not there: {', '.join(missing)}"] if missing else []
    absent += [f"installed but not linked: {', '.join(unlinked)}"] if unlinked else []
    what = "; ".join(absent) or "though all that was asked for is there"
    others = f"Installed all the same: {', '.join(came)}." if came else "It installed nothing."
    words = "\n".join(f"brew said{f' of {name}' if name else ''}:\n{word}" for name, word in said.items())
    trust = f"homebrew_taps does not have {', '.join(strange)}: brew takes nothing of a tap that nobody trusts. "
    todo = f"{trust if strange else ''}{advice(words)}"
    return f"`brew bundle install` ended with exit code {code}, {what}. {others} {todo}\n{words}"


def _lines(names: list[str]) -> str:
    return "".join(f"{name}\n" for name in names)


if __name__ == "__main__":
    main()
