"""What a run costs that has nothing to do: wall time, and the processes that it starts, by name. Linux, needs strace.

    .venv/bin/python -m benchmarks.noop_cost [ARGUMENT of ./converge ...]

Run it on a machine that is converged. Times are of a run without strace; processes are counted in a second one.
"""

import collections
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from verify import ROOT

# A successful execve: the program and its first arguments.
EXEC = re.compile(r'execve\("(?P<program>[^"]+)", \[(?P<arguments>[^\]]*)\].* = 0$')


def main() -> None:
    """Measure and print."""
    command = [str(ROOT / "converge"), *sys.argv[1:]]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    recap = done.stdout[done.stdout.index("PLAY RECAP") :]
    print(f"{seconds:.1f} s; {' '.join(re.findall(r'(?:ok|changed|failed)=[0-9]+', recap))}")
    with tempfile.TemporaryDirectory() as folder:
        # One log per process, so that no line is interrupted by another's.
        trace = ["strace", "-ff", "-qq", "-s", "200", "-e", "trace=execve", "-o", f"{folder}/log"]
        subprocess.run([*trace, *command], capture_output=True, check=True)
        lines = [line for log in Path(folder).iterdir() for line in log.read_text().splitlines()]
        started = [found for line in lines if (found := EXEC.search(line))]
    names = collections.Counter(_name(one["program"], one["arguments"]) for one in started)
    for name, count in names.most_common():
        print(f"{count:4d}  {name}")


def _name(program: str, arguments: str) -> str:
    """The program, with what tells a Python's job apart."""
    name = Path(program).name
    if name.startswith("python"):
        if "ansible-playbook" in arguments:
            return "python (ansible-playbook)"
        if found := re.search(r'"-m", "(\w+)"', arguments):
            return f"python (-m {found[1]})"
        # A probe of verify, or what supervises it; Ansible sends a module through standard input.
        return "python (of a probe)" if '"-c"' in arguments else "python (of an Ansible module)"
    return name


if __name__ == "__main__":
    main()
