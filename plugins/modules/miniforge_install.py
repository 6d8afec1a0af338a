#!/usr/bin/python
"""Module `miniforge_install`: run Miniforge's installer. Runs on the target's Python (3.8+)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import lab_record


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "installer": {"type": "path", "required": True},
            "prefix": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    prefix = Path(module.params["prefix"])
    making = lab_record.being_made(prefix)
    diff = {"before": "", "after": f"Miniforge in {prefix}\n"}
    if module.check_mode:
        module.exit_json(changed=True, diff=diff)
    if making.exists():
        if any((prefix / "envs").glob("*/conda-meta")):
            module.fail_json(
                f"Found {prefix}, where an installation by metal-lab was once cut off, with environments in it. "
                f"Needed: to know whose they are. If that conda works, delete {making}; else move {prefix} away. Then "
                "run again."
            )
        shutil.rmtree(prefix, ignore_errors=True)
    elif prefix.is_dir():
        prefix.rmdir()  # Empty, or role and module disagree: then this fails rather than lose something.
    prefix.parent.mkdir(parents=True, exist_ok=True)
    making.touch()
    # The README's way without questions: -b accepts the licence and touches no shell file, -p names the prefix.
    code, out, err = module.run_command(["/bin/bash", module.params["installer"], "-b", "-p", str(prefix)])
    if code != 0 or not os.access(prefix / "bin" / "conda", os.X_OK):
        shutil.rmtree(prefix, ignore_errors=True)
        making.unlink()
        said = f"{out}\n{err}".strip()[-2000:]
        module.fail_json(
            msg=f"Miniforge's installer ended with exit code {code}, and there was no working {prefix}/bin/conda. What "
            f"it left was taken away; the next run starts over. It said:\n{said}"
        )
    making.unlink()
    module.exit_json(changed=True, diff=diff)


if __name__ == "__main__":
    main()
