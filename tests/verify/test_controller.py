"""The controller has what controller.lock names, and nothing that only the tests have."""

import re
import subprocess
import sys

from packaging.utils import canonicalize_name

from verify import ROOT

# Imports every module of verify that runs on the controller, where modules of other packages cannot be imported.
IMPORT = """
import importlib, importlib.metadata, pkgutil, sys
locked = set(sys.argv[1:])
for module, owners in importlib.metadata.packages_distributions().items():
    if not any(owner.lower().replace("_", "-").replace(".", "-") in locked for owner in owners):
        sys.modules[module] = None
import verify
for one in pkgutil.walk_packages(verify.__path__, "verify."):
    # What runs on a target, and the command line itself.
    if not one.name.startswith("verify.probes.") and not one.name.endswith("__main__"):
        importlib.import_module(one.name)
        print(one.name)
"""


def test_verify_needs_only_what_its_lock_names() -> None:
    lock = (ROOT / "controller.lock").read_text(encoding="utf-8")
    locked = [canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", lock, re.MULTILINE)]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, *locked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert {"verify.checks.health", "verify.profile.lock", "verify.linkcheck.check"} <= set(done.stdout.split())
