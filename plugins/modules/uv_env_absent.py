#!/usr/bin/python
"""Module `uv_env_absent`: take away what uv put on this machine, by its record. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import lab_record


def ours(profile: str, prefix: Path) -> list[Path]:
    """Everything to take away, in order; the record last, so that a run which is cut off can be repeated."""
    data = lab_record.data_folder()
    record = lab_record.path(profile)
    others = [path for path in data.glob("*.json") if path != record]
    # uv and the Pythons that it fetched serve all profiles.
    shared = [] if others else [data / "uv", data / "python"]
    return [path for path in (prefix, *shared, record) if path.exists()]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={"profile": {"type": "str", "required": True}}, supports_check_mode=True)
    profile = module.params["profile"]
    try:
        record = lab_record.read(profile)
    except lab_record.RecordError as error:
        module.fail_json(str(error))
    provider = record.get("provider", "")
    if provider != "uv":
        maker = f"was made by {provider}, not by uv" if provider else "is not on this machine, made by metal-lab"
        module.exit_json(changed=False, provider=provider, msg=f"The environment '{profile}' {maker}.")
    prefix = Path(record["prefix"])
    doomed = ours(profile, prefix)
    if not module.check_mode:
        for path in doomed:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        lab_record.prune(prefix.parent)
        lab_record.prune(lab_record.data_folder())
    listed = "".join(f"{path}\n" for path in doomed)
    module.exit_json(changed=True, provider=provider, diff=[lab_record.part("put here by metal-lab", listed, "")])


if __name__ == "__main__":
    main()
