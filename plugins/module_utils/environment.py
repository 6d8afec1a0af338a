"""What an environment has whoever makes it: a record, a file that activates it, an end. Runs on the target (3.8+)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import lab_record, regular


class RefusedError(Exception):
    """The place for the environment is not free; the message says what was found, what is needed, what to do."""


def facts(provider: str, prefix: Path) -> dict[str, dict[str, str]]:
    """The fact from which later roles know the environment."""
    return {"metal_lab_env": {"provider": provider, "prefix": str(prefix), "python": str(prefix / "bin" / "python")}}


def read(profile: str, provider: str, prefix: Path) -> dict[str, Any]:
    """The profile's record, {} where there is none.

    Raises:
        RefusedError: the profile's environment is elsewhere, or was made by another provider; or another's is here.
        lab_record.RecordError: the record cannot be used.
    """
    record = lab_record.read(profile)
    if record and (record["provider"], record["prefix"]) != (provider, str(prefix)):
        setting = "conda_env_prefix" if record["provider"] == "conda" else "env_prefix"
        raise RefusedError(
            f"The environment '{profile}' is already at {record['prefix']} (made by {record['provider']}); asked for "
            f"is {prefix} (made by {provider}). Set env_provider and {setting} to those, or run "
            "playbooks/uninstall.yml first."
        )
    for name, one in lab_record.others(profile).items():
        if not record and one.get("prefix") == str(prefix):
            raise RefusedError(
                f"{prefix} is the environment of the profile '{name}', and the profile '{profile}' needs one of its "
                "own. Set env_prefix, or conda_env_prefix, to another folder, or leave it empty."
            )
    return record


def with_ours(record: dict[str, Any], provider: str, prefix: Path, options: dict[str, Any]) -> dict[str, Any]:
    """A record, with what is asked for now.

    Args:
        record: as it is stored; what other roles keep there stays.
        provider, prefix: of the environment.
        options: the module's: profile, frameworks and homebrew ({} keeps what the record says).
    """
    asked = {"homebrew": options["homebrew"]} if options["homebrew"] else {}
    ours = {"schema": lab_record.SCHEMA, "profile": options["profile"], "provider": provider, "prefix": str(prefix)}
    return {**record, **ours, "frameworks": options["frameworks"], **asked}


def note(old: dict[str, Any], new: dict[str, Any], activation: str, *, apply: bool) -> list[dict[str, str]]:
    """Keep the record, and the first of the files in etc/metal-lab, which the block in the user's shell file reads.

    Args:
        old: the record as it is stored.
        new: as it should be.
        activation: shell lines that put a POSIX shell, bash or zsh into the environment.
        apply: whether to write what is not so yet.

    Returns:
        what is not so yet, as the parts of a diff.
    """
    parts = []
    if new != old:
        place = lab_record.path(new["profile"])
        parts.append(lab_record.part(place, lab_record.text(old), lab_record.text(new)))
        if apply:
            lab_record.write(new["profile"], new)
    start = Path(new["prefix"]) / "etc" / "metal-lab" / "00-env.sh"
    before = regular.text(start) if start.exists() else ""
    if before != activation:
        parts.append(lab_record.part(start, before, activation))
        if apply:
            lab_record.replace(start, activation.encode())
    return parts
