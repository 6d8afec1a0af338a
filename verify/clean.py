"""The environment variables with which this project's own commands run."""

import os

from . import ROOT

_SETTINGS = ROOT / "ansible.cfg"
"""Not there where the project is installed as a collection."""


def environment() -> dict[str, str]:
    """This process's, without what a terminal has set for other work with Python or Ansible.

    Ansible, which reads inventories, has the project's settings: testinfra takes arguments of ssh from variables
    ANSIBLE_* and from an ansible.cfg in the current folder.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANSIBLE_"))}
    return {**clean, "ANSIBLE_CONFIG": str(_SETTINGS if _SETTINGS.is_file() else os.devnull)}
