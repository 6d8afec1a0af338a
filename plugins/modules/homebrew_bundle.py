#!/usr/bin/python
"""Module `homebrew_bundle`: what a Brewfile names is installed. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# Homebrew/brew, Library/Homebrew/bundle/commands/check.rb and install.rb, as of 6.0.
UNSATISFIED = "can't satisfy your Brewfile's dependencies"


def render(taps: list[str], formulae: list[str], casks: list[str]) -> str:
    """The Brewfile's content."""
    kinds = {"tap": taps, "brew": formulae, "cask": casks}
    lines = [f"{kind} {_literal(name)}" for kind, names in kinds.items() for name in names]
    return "".join(f"{line}\n" for line in ["# Ansible managed by the role homebrew.", *lines])


def _literal(name: str) -> str:
    """A string of Ruby, which brew runs the Brewfile as: JSON's, in which `#` may begin code for Ruby."""
    return json.dumps(name, ensure_ascii=False).replace("#", "\\#")


def installed(output: str) -> list[str]:
    """What brew says that it installed: `Installing NAME`, without those that failed."""
    begun = re.findall(r"^Installing (\S+?)$", output, re.MULTILINE)
    return [name for name in begun if name not in failures(output)]


def failures(output: str) -> list[str]:
    """What brew says that it could not install: `Installing NAME has failed!`."""
    return re.findall(r"^Installing (\S+) has failed!", output, re.MULTILINE)


def altered(output: str) -> list[str]:
    """The SHA-256 that brew expected of each bottle that came with another one."""
    # Homebrew/brew, Library/Homebrew/download_queue.rb ("Bottle reports different checksum:") and exceptions.rb
    # (ChecksumMismatchError), as of 6.0.
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
    return "Mend or remove that entry in homebrew_formulae or homebrew_casks, then run again."


def _write(brewfile: Path, content: str, *, check_mode: bool) -> list[dict[str, str]]:
    """Bring the Brewfile to its content; returns the diff, [] where it was so already."""
    before = brewfile.read_text(encoding="utf-8") if brewfile.exists() else ""
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
    brew, brewfile, taps, formulae, casks = (
        module.params[key] for key in ("brew", "brewfile", "taps", "formulae", "casks")
    )
    names = [*formulae, *casks, *taps]
    # What was asked goes on to the environment's record, without a task of its own.
    facts = {"metal_lab_homebrew": {**module.params["noted"], "formulae": formulae, "casks": casks}}
    if not names and not Path(brewfile).exists():
        module.exit_json(changed=False, ansible_facts=facts)
    everything = "".join(f"{name}\n" for name in names)
    rewritten = _write(Path(brewfile), render(taps, formulae, casks), check_mode=module.check_mode)
    if module.check_mode and not Path(brew).exists():
        module.exit_json(changed=True, ansible_facts=facts, diff={"before": "", "after": everything})
    if module.check_mode and rewritten:
        # brew would be asked about what stands in the file now.
        module.exit_json(changed=True, ansible_facts=facts, diff=rewritten)
    options = ["--no-upgrade", f"--file={brewfile}"]
    code, out, err = module.run_command([brew, "bundle", "check", "--verbose", *options])
    said = f"{out}\n{err}"
    if code == 0:
        module.exit_json(changed=bool(rewritten), installed=[], ansible_facts=facts, diff=rewritten)
    if UNSATISFIED not in said:
        module.fail_json(msg=f"`brew bundle check` ended with exit code {code}, and not over what is missing:\n{said}")
    if module.check_mode:
        missing = "".join(f"{line}\n" for line in said.splitlines() if line.startswith("→"))
        module.exit_json(changed=True, ansible_facts=facts, diff={"before": "", "after": missing or everything})
    code, out, err = module.run_command([brew, "bundle", "install", *options])
    came = installed(out)
    if code != 0:
        said = f"{out}\n{err}".strip()
        named = ", ".join(failures(f"{out}\n{err}")) or "an entry of the Brewfile"
        module.fail_json(
            changed=bool(came or rewritten),
            installed=came,
            msg=f"brew could not install {named}; the rest of the Brewfile is installed. {advice(said)}\n"
            f"brew said (exit code {code}):\n{said}",
        )
    brought = {"before": "", "after": "".join(f"{name}\n" for name in came)}
    module.exit_json(changed=bool(came or rewritten), installed=came, ansible_facts=facts, diff=[*rewritten, brought])


if __name__ == "__main__":
    main()
