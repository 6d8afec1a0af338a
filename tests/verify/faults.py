"""Plants faults into an environment, so that a test can see the health check find them.

    python tests/verify/faults.py plant PREFIX tensorflow=wrong-value pytorch=hang jax=other-device mlx=crash
    python tests/verify/faults.py remove PREFIX

Two files go into the environment's site-packages: a .pth file that Python reads at every start, and a module with
an import hook that it loads, which patches a framework's matmul as soon as the framework is imported. The packages'
own files stay as they are, and so does their integrity check.
"""

FAULTS = ("hang", "crash", "wrong-value", "other-device")
_NAME = "metal_lab_planted_fault"

# Runs in the environment's Python. In each framework the probe calls `matmul` of the module named here.
_HOOK = '''
import importlib.machinery
import json
import os
import signal
import sys
import time

FAULTS = json.loads({faults!r})
MODULES = {{"tensorflow": "tensorflow", "torch": "pytorch", "jax.numpy": "jax", "mlx.core": "mlx"}}

if FAULTS.get("jax") == "other-device":
    # A real second device: JAX then computes there, and says so.
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"


def broken(name, fault, module, matmul):
    def matmul_with_fault(a, b, *args, **more):
        if fault == "hang":
            while True:
                time.sleep(3600)
        if fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if fault == "other-device":
            return elsewhere(name, module, matmul, a, b)
        result = matmul(a, b, *args, **more)
        return result + 1 if fault == "wrong-value" else result

    return matmul_with_fault


def elsewhere(name, module, matmul, a, b):
    if name == "jax":
        import jax

        device = jax.devices()[1]
        return matmul(jax.device_put(a, device), jax.device_put(b, device))
    if name == "tensorflow":
        return Placed(matmul(a, b))
    if name == "pytorch":
        return matmul(a.to("meta"), b.to("meta"))
    raise NotImplementedError("no second device for " + name)


class Finder:
    """Finds the named modules as Python would, and patches each after it is executed."""

    def find_spec(self, fullname, path=None, target=None):
        name = MODULES.get(fullname)
        if name not in FAULTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_break(module):
            execute(module)
            module.matmul = broken(name, FAULTS[name], module, module.matmul)

        spec.loader.exec_module = execute_and_break
        return spec


sys.meta_path.insert(0, Finder())
'''
