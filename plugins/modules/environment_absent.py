#!/usr/bin/python
"""Module `environment_absent`: take away an environment and what served it. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import alone, conda, lab_record, regular


def ours(profile: str, record: dict[str, Any]) -> list[Path]:
    """Everything to take away, in order; the record last, so that a run which is cut off can be repeated."""
    data, mine = lab_record.data_folder(), lab_record.path(profile)
    others = [path for path in data.glob("*.json") if path != mine]
    # uv and the Pythons that it fetched serve all profiles.
    shared = [] if others else [data / "uv", data / "python"]
    prefix = Path(record["prefix"])
    # An environment that conda had already was adopted, and is left.
    adopted = record["provider"] == "conda" and not record.get("created")
    return [path for path in (prefix / "etc" / "metal-lab" if adopted else prefix, *shared, mine) if path.exists()]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"profile": {"type": "str", "required": True}}, supports_check_mode=True)
    with alone.working(module, changing=not module.check_mode):
        _act(module)


def _act(module: AnsibleModule) -> None:
    profile = module.params["profile"]
    try:
        record = lab_record.read(profile)
    except lab_record.RecordError as error:
        module.fail_json(str(error))
    if not record:
        msg = f"There is no environment '{profile}' made by metal-lab on this machine."
        module.exit_json(changed=False, msg=msg)
    prefix = Path(record["prefix"])
    if _is_base(prefix, record):
        module.fail_json(
            f"Nothing was taken away: by the record, the environment '{profile}' is {prefix}, which is conda's own "
            f"base environment. metal-lab never makes that: look at {lab_record.path(profile)}, and move it away."
        )
    making = lab_record.being_made(prefix)
    aside, command = lab_record.being_made_says(prefix) if making.exists() else ("", "")
    half = [prefix, making] if making.exists() and not (prefix / "conda-meta" / "history").is_file() else []
    if making.exists() and not half and not conda.was_made_by(command, prefix):
        # Whole since, by the user's own hand, and not by a conda that outlived its run.
        record["created"] = False
    doomed = [*(path for path in half if path.exists()), *(path for path in ours(profile, record) if path not in half)]
    if not module.check_mode:
        # conda itself is not asked: it refuses to part with an environment that is active in the terminal that this was
        # started from, frozen, or damaged, and may be gone.
        if prefix in doomed:
            _forget(prefix)
        try:
            if half:
                _take_away(prefix)
                if aside:
                    Path(aside).rename(prefix)
            *rest, mine = ours(profile, record)
            for path in (*rest, making, mine):
                _take_away(path)
        except OSError as error:
            module.fail_json(
                f"Not everything could be taken away: {error}. Needed: the right to delete it. Give it to this user "
                "(`sudo chown -R`), then run again."
            )
        if record["provider"] == "uv":
            lab_record.prune(prefix.parent)
        lab_record.prune(lab_record.data_folder())
    listed = "".join(f"{path}\n" for path in doomed)
    module.exit_json(changed=True, diff=[lab_record.part("put here by metal-lab", listed, "")])


def _is_base(prefix: Path, record: dict[str, Any]) -> bool:
    """Whether it is a conda installation itself.

    condabin alone does not say so: every environment that has the package conda has it (its recipe runs `conda init
    --install`). The environments of an installation are in its envs.
    """
    root = record.get("conda", {}).get("root")
    holds = (prefix / "condabin").is_dir() and (prefix / "envs").is_dir()
    return holds or (root is not None and prefix.resolve() == Path(root).resolve())


def _take_away(path: Path) -> None:
    """Delete a file, a link, or a folder with read-only folders in it."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.W_OK | os.X_OK):
            Path(folder).chmod(0o700)
    shutil.rmtree(path)


def _forget(prefix: Path) -> None:
    """Take an environment out of the list that conda keeps (conda/conda, conda/core/envs_manager.py)."""
    known = Path.home() / ".conda" / "environments.txt"
    if known.is_file():
        before = regular.content(known)
        after = b"".join(line for line in before.splitlines(True) if line.rstrip() != os.fsencode(prefix))
        if after != before:
            known.write_bytes(after)


if __name__ == "__main__":
    main()
