"""What a run over many Macs costs the controller that finds nothing to do, and what it costs one Mac in counts.

    sudo .venv/bin/python -m benchmarks.fleet [--hosts 1,10,50] [--disk IMAGE] [--verify]

Simulated Macs over real SSH on this machine (molecule/mac/simulate.py): a first one is converged, and all others begin
with its disk (kept in IMAGE where one is named). Linux, root, strace and ss (iproute2). CPU time is that of the
ansible-playbook process, all its children and its SSH masters: what the Macs do is theirs, though here they share the
processors, so that the wall time says little. Memory is the proportional set size of the same processes.
With --verify the same of a verification alone, instead of site.yml without one (playbooks/verify.yml, level setup: a
Mac's wheels do not load here).

The counts (tasks, SSH commands, bytes, processes) do not depend on the machine; the times do.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from verify import ROOT

SIMULATE = [sys.executable, str(ROOT / "molecule" / "mac" / "simulate.py")]
PLAYBOOK = str(Path(sys.executable).parent / "ansible-playbook")
NOTHING_TO_DO = ["-e", '{"frameworks": ["mlx"]}', "--skip-tags", "verify", str(ROOT / "site.yml")]
VERIFY = ["-e", "verify_level=setup", str(ROOT / "playbooks" / "verify.yml")]
EXEC = re.compile(r'execve\("(?P<program>[^"]+)", .* = 0$')
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Of one run: hosts, seconds of CPU and of wall time, and the peak of memory in MB."""

    hosts: int
    cpu_s: float
    wall_s: float
    memory_mb: float


class Lab:
    """The simulated Macs.

    Attributes:
        folder: theirs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def simulate(self, *arguments: str | Path) -> None:
        """Run simulate.py."""
        subprocess.run([*SIMULATE, *map(str, arguments)], check=True)

    def line(self, what: list[str], *arguments: str) -> list[str]:
        """The command of a run over them, NOTHING_TO_DO or VERIFY."""
        return [PLAYBOOK, "-i", str(self.folder / "hosts.yml"), *arguments, *what]

    def environment(self) -> dict[str, str]:
        """A run's environment; master connections stay with this benchmark."""
        cp = str(self.folder / "cp")
        # Where Python may not keep bytecode, each process compiles anew what it imports: no user has it so.
        given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**given, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR": cp}

    def make_disk(self, disk: Path) -> None:
        """Converge a first Mac, and keep its disk."""
        self.simulate("up", self.folder, "first")
        try:
            line = self.line(NOTHING_TO_DO)
            subprocess.run(line, env=self.environment(), check=True, stdout=subprocess.DEVNULL)
            self.end_masters()
            self.simulate("save", self.folder, "first", disk)
        finally:
            self.simulate("down", self.folder)

    def masters(self) -> list[int]:
        """Processes of the SSH connections that a run left open."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                line = (place / "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(b"ssh: ") and str(self.folder).encode() in line:
                found.append(int(place.name))
        return found

    def end_masters(self) -> float:
        """End them; returns the seconds of CPU that they took."""
        seconds = 0.0
        for one in self.masters():
            seconds += sum(_times(one))
            os.kill(one, signal.SIGTERM)
        return seconds


def _times(process: int) -> tuple[float, float]:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def _tree(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [process, *(one for child in children for one in _tree(int(child)))]


def _memory_kb(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"^Pss: +(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def measure(lab: Lab, what: list[str], names: list[str]) -> Cost:
    """Run once over some Macs, and look at what it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    peak = 0
    with tempfile.TemporaryFile("w+") as log:
        line = lab.line(what, "--limit", ",".join(names))
        process = subprocess.Popen(line, env=lab.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while process.poll() is None:
            peak = max(peak, sum(map(_memory_kb, [*_tree(process.pid), *lab.masters()])))
            time.sleep(0.5)
        wall = time.perf_counter() - start
        log.seek(0)
        said = log.read()
    if process.returncode != 0 or f"{len(names)} machine{'s' * (len(names) > 1)}: {len(names)} healthy" not in said:
        raise SystemExit(f"Not a run that finds all of them healthy:\n{said}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime + lab.end_masters()
    return Cost(len(names), cpu, wall, peak / 1024)


def count(lab: Lab, what: list[str], name: str) -> dict[str, object]:
    """What one Mac costs, in counts: tasks, SSH commands, bytes, and the processes on the Mac by name."""
    address = json.loads((lab.folder / "hosts.yml").read_text("utf-8"))["all"]["hosts"][name]["ansible_host"]
    server = _tree(int((lab.folder / f"{name}.pid").read_text(encoding="ascii")))[-1]
    with tempfile.TemporaryDirectory() as folder:
        # One log per process, so that no line is interrupted by another's.
        trace = ["strace", "-ff", "-qq", "-s", "200", "-e", "trace=execve", "-o", f"{folder}/log", "-p", str(server)]
        tracer = subprocess.Popen(trace, stderr=subprocess.DEVNULL)
        time.sleep(1)
        line = lab.line(what, "--limit", name, "-vvv")
        done = subprocess.run(line, env=lab.environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"The run failed:\n{done.stdout}{done.stderr}")
        # The connection is still there, and with it the kernel's count of its bytes.
        sockets = subprocess.run(["ss", "-Htin", "dst", address], capture_output=True, text=True, check=True).stdout
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        lab.end_masters()
        programs = collections.Counter(
            Path(found["program"]).name
            for log in Path(folder).iterdir()
            for text in log.read_text(encoding="utf-8").splitlines()
            if (found := EXEC.search(text))
        )
    recap = {key: int(value) for key, value in re.findall(r" (ok|skipped)=(\d+)", done.stdout)}
    transferred = {key: int(value) for key, value in re.findall(r"bytes_(sent|received):(\d+)", sockets)}
    return {
        "tasks": sum(recap.values()),
        "SSH commands": done.stdout.count("SSH: EXEC"),
        "bytes to the Mac": transferred.get("sent", 0),
        "bytes from the Mac": transferred.get("received", 0),
        "processes on the Mac": sum(programs.values()),
        **{f"  {program}": number for program, number in programs.most_common()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", default="1,10,50", help="numbers of hosts (default: %(default)s)")
    parser.add_argument("--disk", type=Path, help="a converged Mac's disk; made there if it is not there yet")
    parser.add_argument("--verify", action="store_true", help="measure a verification instead")
    options = parser.parse_args()
    numbers = sorted(int(one) for one in options.hosts.split(","))
    with tempfile.TemporaryDirectory(prefix="metal-lab-fleet-") as place:
        lab = Lab(Path(place) / "macs")
        run = VERIFY if options.verify else NOTHING_TO_DO
        disk = options.disk or Path(place) / "disk"
        if not disk.exists():
            lab.make_disk(disk)
        names = [f"m{number:03d}" for number in range(1, numbers[-1] + 1)]
        lab.simulate("up", lab.folder, "--base", disk, *names)
        try:
            print(f"{os.cpu_count()} processors; load before: {os.getloadavg()[0]:.1f}\n")
            for what, number in count(lab, run, names[0]).items():
                print(f"{what:<24}{number:>10}")
            print("\nhosts   CPU s   CPU s/host   wall s   peak memory MB")
            costs = []
            for number in numbers:
                cost = measure(lab, run, names[:number])
                costs.append(cost)
                each = cost.cpu_s / number
                row = f"{number:5d} {cost.cpu_s:7.1f} {each:12.2f} {cost.wall_s:8.1f} {cost.memory_mb:16.0f}"
                print(row, flush=True)
            predict(costs)
        finally:
            lab.end_masters()
            lab.simulate("down", lab.folder)


def predict(costs: list[Cost]) -> None:
    """Say what the runs before the last foretell of it: a part for the run, and a part for each host."""
    if len(costs) < 3:  # noqa: PLR2004 (two to draw the line, one to compare)
        return
    first, second, last = costs[-3:]
    each = (second.cpu_s - first.cpu_s) / (second.hosts - first.hosts)
    fixed = first.cpu_s - each * first.hosts
    told = fixed + each * last.hosts
    print(
        f"\nCPU: {fixed:.1f} s for the run and {each:.2f} s for a host. Foretold for {last.hosts}: {told:.1f} s,",
        end=" ",
    )
    print(f"measured {last.cpu_s:.1f} s.")
    growth = (last.memory_mb - second.memory_mb) / (last.hosts - second.hosts)
    print(f"Memory from {second.hosts} to {last.hosts} hosts: {growth:.1f} MB for a host.")


if __name__ == "__main__":
    main()
