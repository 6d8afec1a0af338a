#!/usr/bin/python
"""Module `bundle_files`: refuse a bundle of which a file is not as it was sealed. Runs on the target (3.8+)."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.metal_lab.macs.plugins.module_utils import bundle_files


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"folder": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    folder = Path(module.params["folder"])
    if said := bundle_files.problems(folder):
        module.fail_json(
            msg=f"The bundle in {folder} is not as it was made: {bundle_files.summary(said)}. Nothing was changed. "
            "Copy it again, or make it again with playbooks/bundle.yml.",
            problems=said,
        )
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
