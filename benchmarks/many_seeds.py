"""Whether correct frameworks ever fail a case of level full: all cases, with one seed after the other.

    .venv/bin/python -m benchmarks.many_seeds [--seeds 100] [--prefix FOLDER] [FRAMEWORK ...]

Runs in an environment of this machine, by default the profile's. For each framework: how many results were judged, how
many failed, and the largest error as a share of its limit. What fails here is a false alarm (or a framework is broken).
"""

import argparse
import json
import subprocess
from importlib import import_module
from pathlib import Path

from benchmarks.harness_overhead import CLASSES
from verify import ROOT


def main() -> None:
    """Run each framework in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--prefix", type=Path, help="default: the one in the machine's record")
    parser.add_argument("frameworks", nargs="*", default=list(CLASSES))
    given = parser.parse_args()
    record = Path.home() / ".local/share/metal-lab/ml-m1.json"
    prefix = given.prefix or Path(json.loads(record.read_text(encoding="utf-8"))["prefix"])
    for name in given.frameworks:
        code = f"from benchmarks import many_seeds; many_seeds.inside({name!r}, {given.seeds})"
        subprocess.run([prefix / "bin" / "python", "-c", code], cwd=ROOT, check=True)


def inside(name: str, seeds: int) -> None:
    """Look at one framework, in the environment's Python."""
    # Needs numpy, which only that Python has.
    numbers, judge = import_module("verify.probes.numbers"), import_module("verify.checks.tolerance")
    probe = getattr(import_module(f"verify.probes.{name}"), CLASSES[name])()
    version = probe.load()
    seen = probe.devices()
    accelerators = [one for one in seen["present"] if one.lower() != "cpu"]
    device = probe.choose((accelerators or seen["present"])[0])
    judged, failed, worst = 0, [], (0.0, "")
    for seed in range(seeds):
        for one in numbers.observe(probe.operations(), seed):
            if one["error"] is None and not one["said"].startswith("raised "):
                continue
            judged += 1
            limit = judge.limit(one["unit"], one["k"])
            if one["error"] is None or not one["finite"] or not one["error"] <= limit:
                failed.append(f"{one['case']}, seed {seed}: {one['error']} {one['said']}")
            elif limit:
                worst = max(worst, (one["error"] / limit, f"{one['case']}, seed {seed}"))
    print(f"{name} {version} on {device}, {seeds} seeds: {judged} results, {len(failed)} failed", end="")
    print(f"; the largest error is {worst[0]:.2f} of its limit ({worst[1]})", flush=True)
    for line in failed:
        print(f"  {line}")


if __name__ == "__main__":
    main()
