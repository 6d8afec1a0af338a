"""Plants faults into an environment, so that a test can see the health check find them.

    python tests/verify/faults.py plant PREFIX tensorflow=wrong-value pytorch=hang jax=other-device mlx=crash
    python tests/verify/faults.py remove PREFIX

Two files go into the environment's site-packages: a .pth file that Python reads at every start, and a module with
an import hook that it loads, which breaks a framework's matmul, or its relu, as soon as the framework is imported.
The packages' own files stay as they are, and pass their integrity check.
"""

import argparse
from pathlib import Path

FAULTS = ("hang", "crash", "wrong-value", "not-finite", "wrong-large", "wrong-half", "wrong-relu", "other-device")
FRAMEWORKS = ("tensorflow", "pytorch", "jax", "mlx")
_NAME = "metal_lab_planted_fault"

# Runs in the environment's Python, of which it must not import more than it needs: a .pth file is read at each start.
_HOOK = """\
import importlib.machinery
import os
import signal
import sys
import time

FAULTS = {faults!r}
# In each framework the probe calls `matmul` of the module named here.
MODULES = {{"tensorflow": "tensorflow", "torch": "pytorch", "jax.numpy": "jax", "mlx.core": "mlx"}}

if FAULTS.get("jax") == "other-device":
    # A real second device: JAX computes there, and says so.
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"


def broken(fault, matmul):
    def matmul_with_fault(a, b, *args, **more):
        if fault == "hang":
            while True:
                time.sleep(3600)
        if fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if fault == "other-device":
            import jax

            a, b = (jax.device_put(one, jax.devices()[1]) for one in (a, b))
        result = matmul(a, b, *args, **more)
        if fault == "not-finite":
            return result + float("nan")
        wrong = fault == "wrong-value" or (fault == "wrong-large" and a.shape[0] >= 1000)
        if fault == "wrong-half" and "bfloat16" in str(a.dtype) and a.shape[-1] >= 1000:
            # Small ones are right, large ones nonsense: mlx #3585.
            return result + 1000
        return result + 1 if wrong else result

    return matmul_with_fault


def without_relu(module):
    # The functions by which the probe computes relu; each gives back what it got.
    if module.__name__ in ("jax.numpy", "mlx.core"):
        module.maximum = lambda a, least: a
    elif module.__name__ == "tensorflow":
        module.nn.relu = lambda a: a
    else:
        module.relu = lambda a: a


class Finder:
    def find_spec(self, fullname, path=None, target=None):
        fault = FAULTS.get(MODULES.get(fullname))
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if fault else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_break(module):
            execute(module)
            if fault == "wrong-relu":
                without_relu(module)
            else:
                module.matmul = broken(fault, module.matmul)

        spec.loader.exec_module = execute_and_break
        return spec


sys.meta_path.insert(0, Finder())
"""


def plant(prefix: Path, faults: dict[str, str]) -> None:
    """Plant one fault for each of some frameworks; replaces what was planted before.

    Args:
        prefix: the environment's folder.
        faults: one of FAULTS by framework. other-device is for jax only, which can be given a second CPU device.

    Raises:
        ValueError: an unknown framework or fault, or one that cannot be planted there.
    """
    for framework, fault in faults.items():
        if framework not in FRAMEWORKS or fault not in FAULTS:
            raise ValueError(f"{framework}={fault}: frameworks are {FRAMEWORKS}, faults are {FAULTS}")
        if fault == "other-device" and framework != "jax":
            raise ValueError(f"{framework}={fault}: only jax can be given another device here")
    site = _site_packages(prefix)
    (site / f"{_NAME}.py").write_text(_HOOK.format(faults=faults), encoding="utf-8")
    (site / f"{_NAME}.pth").write_text(f"import {_NAME}\n", encoding="utf-8")


def remove(prefix: Path) -> None:
    """Take away what was planted."""
    site = _site_packages(prefix)
    for path in [site / f"{_NAME}.py", site / f"{_NAME}.pth", *(site / "__pycache__").glob(f"{_NAME}.*")]:
        path.unlink(missing_ok=True)


def _site_packages(prefix: Path) -> Path:
    (site,) = prefix.glob("lib/python3.*/site-packages")
    return site


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["plant", "remove"])
    parser.add_argument("prefix", type=Path)
    parser.add_argument("faults", nargs="*", metavar="FRAMEWORK=FAULT")
    given = parser.parse_args()
    if given.action == "remove":
        remove(given.prefix)
    else:
        plant(given.prefix, dict(one.split("=", 1) for one in given.faults))
