#!/usr/bin/python
"""Module `homebrew_bundle`: what a Brewfile names is installed. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import json
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
    return "Mend or remove what cannot be had in homebrew_formulae, homebrew_casks or homebrew_taps, then run again."


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
    if module.check_mode and not Path(brew).exists():
        module.exit_json(changed=True, ansible_facts=facts, diff={"before": "", "after": _lines(names)})
    if module.check_mode and rewritten:
        # brew would be asked about what stands in the file now.
        module.exit_json(changed=True, ansible_facts=facts, diff=rewritten)
    options = ["--no-upgrade", f"--file={brewfile}"]
    code, out, err = module.run_command([brew, "bundle", "check", "--verbose", *options], pass_fds=alone.inherited())
    if code == 0:
        _tell(module, lacking(prefix, [], formulae, casks))
        module.exit_json(changed=bool(rewritten), installed=[], ansible_facts=facts, diff=rewritten)
    missing = lacking(prefix, taps, formulae, casks)
    if module.check_mode and not missing:
        found = f"`brew bundle check` ended with exit code {code}, though all that was asked for is there."
        module.fail_json(msg=f"{found} brew said:\n{text.said(out, err)}")
    if module.check_mode:
        module.exit_json(changed=True, ansible_facts=facts, diff={"before": "", "after": _lines(missing)})
    before = inventory(prefix)
    code, out, err = module.run_command([brew, "bundle", "install", *options], pass_fds=alone.inherited())
    after = inventory(prefix)
    came, gone = sorted(after - before), sorted(before - after)
    done = {"changed": bool(came or gone or rewritten), "installed": came}
    missing = lacking(prefix, taps, formulae, casks)
    if code != 0:
        said = text.said(out, err)
        module.fail_json(msg=_failure(code, missing, came, said), **done)
    _tell(module, missing)
    brought = {"before": _lines(gone), "after": _lines(came)}
    module.exit_json(ansible_facts=facts, diff=[*rewritten, brought], **done)


def _tell(module: AnsibleModule, missing: list[str]) -> None:
    """Warn of what is not there although brew is content: it has another name by now, or brew.env leaves it out."""
    if missing:
        module.warn(
            f"brew is content, but nothing of the name {', '.join(missing)} is there. `brew info NAME` tells whether "
            "it was renamed: then put its new name into homebrew_formulae or homebrew_casks."
        )


def _failure(code: int, missing: list[str], came: list[str], said: str) -> str:
    """What to tell of a `brew bundle install` that failed."""
    absent = f"not there: {', '.join(missing)}" if missing else "though all that was asked for is there"
    others = f"Installed before that: {', '.join(came)}." if came else "It installed nothing."
    return f"`brew bundle install` ended with exit code {code}, {absent}. {others} {advice(said)}\nbrew said:\n{said}"


def _lines(names: list[str]) -> str:
    return "".join(f"{name}\n" for name in names)


if __name__ == "__main__":
    main()
