"""What people read for the names that programs read: checks, faults, results. Their languages: verify/report/locale."""

from verify.report.language import Language

CHECKS = {
    "environment.reachable": "The machine answers",
    "environment.record": "There is an environment",
    "environment.platform": "The platform is one of the profile's",
    "environment.python": "The Python is the profile's",
    "environment.variables": "The stored variables are the profile's",
    "system.homebrew": "Homebrew runs",
    "system.formulae": "Homebrew's formulae are installed",
    "system.casks": "Homebrew's applications are installed",
    "system.conda": "conda runs",
    "packages.base": "The base packages are as locked",
    "packages.tensorflow": "TensorFlow's packages are as locked",
    "packages.pytorch": "PyTorch's packages are as locked",
    "packages.jax": "JAX's packages are as locked",
    "packages.mlx": "MLX's packages are as locked",
    "shell.homebrew": "A new terminal finds Homebrew",
    "shell.conda": "A new terminal knows conda",
    "shell.login": "A new terminal is in the environment",
    "machine.chip": "The chip is known",
    "coreml.plan": "Core ML's plan for a convolution",
    "machine.state": "The machine is calm",
    "import": "It can be imported",
    "version": "It has its locked version",
    "device": "It sees its device",
    "value": "A small exact computation is right",
    "placement": "It computes on its device",
    "matmul.value": "Timed products are right",
    "matmul.speed": "Speed of products",
    "bandwidth": "Memory bandwidth",
    "course": "The course's one-second test",
    "sustained": "Sustained speed",
    "numbers": "Operations known to go wrong are right",
    "training": "A short training learns",
    "training.cpu": "It learns as on the CPU",
    "memory": "Memory is given back",
    "openmp": "There is one OpenMP runtime",
    "exit": "It ends by itself",
}
"""Title by check; without a framework's name, those that each framework has."""

FAULTS = {
    "unreachable": "Unreachable",
    "no-environment": "No environment",
    "bad-record": "Record that cannot be used",
    "wrong-platform": "Wrong platform",
    "translated": "Runs under Rosetta",
    "too-old": "macOS too old",
    "wrong-python": "Wrong Python",
    "wrong-versions": "Wrong package versions",
    "damaged": "Damaged files",
    "altered": "Altered files",
    "wrong-variables": "Wrong variables",
    "not-on-path": "Not in new terminals",
    "not-installed": "Not installed",
    "exception": "Error",
    "hang": "Did not end in time",
    "crash": "Crashed",
    "no-answer": "No answer",
    "connection-lost": "Connection lost",
    "malformed": "Unreadable answer",
    "wrong-version": "Wrong version",
    "no-device": "Device missing",
    "fallback-set": "Fallback to the CPU is on",
    "other-device": "Computed elsewhere",
    "wrong-value": "Wrong value",
    "not-finite": "Not a number",
    "wrong-relu": "relu wrong or ignored",
    "wrong-large": "Wrong above a size",
    "no-learning": "Did not learn",
    "diverges": "Differs from the CPU",
    "memory-kept": "Memory kept",
    "two-openmp": "Two OpenMP runtimes",
    "noisy": "Noisy figures",
    "not-synchronised": "Timing that did not wait",
    "out-of-memory": "Out of memory",
    "throttled": "Slows down under load",
    "unknown-chip": "Unknown chip",
    "low-power": "Low-power mode",
    "hot": "Too hot",
    "short-of-memory": "Short of memory",
    "busy": "Busy with other work",
}
"""Title by fault."""

RESULTS = {"pass": "pass", "warn": "warn", "fail": "fail", "skip": "skip"}
"""A check's result in words."""

VERDICTS = {"healthy": "healthy", "unhealthy": "unhealthy"}
"""A machine's verdict in words."""


FRAMEWORKS = {"tensorflow": "TensorFlow", "pytorch": "PyTorch", "jax": "JAX", "mlx": "MLX"}
"""How frameworks write their own names."""

DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
"""Short names of kinds of numbers, in the order in which they are shown."""


def check(name: str, language: Language) -> str:
    """Title of a check, with its framework's name; the check's own name where it has no title."""
    group, _, rest = name.partition(".")
    if group in FRAMEWORKS and rest in CHECKS:
        return f"{FRAMEWORKS[group]}: {language.lookup(CHECKS[rest])}"
    return language.lookup(CHECKS[name]) if name in CHECKS else name
