"""A machine for the health check whose frameworks are small fakes, so that it can be broken in every way."""

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pytest
from uv import find_uv_bin

from tests.plugins.module_utils.distributions.environment import digest
from tests.verify.runs import Lab
from verify import ROOT
from verify.profile import model as profiles
from verify.profile.model import Profile

FAKES = Path(__file__).resolve().parent / "fakes"
PROFILE = "ml-m1"
_MODULES = {"tensorflow": "tensorflow.py", "torch": "torch.py", "jax": "jax", "mlx": "mlx"}


@dataclass
class Done:
    """A finished run: exit code, what it wrote, and the results of localhost, {} for none."""

    code: int
    output: str
    report: dict[str, Any] = field(default_factory=dict)
    junit: str = ""

    @property
    def results(self) -> dict[str, tuple[str, str]]:
        """Result and fault by check."""
        return {one["check"]: (one["result"], one["fault"]) for one in self.report["checks"]}

    def message(self, check: str) -> str:
        """A check's message."""
        return next(str(one["message"]) for one in self.report["checks"] if one["check"] == check)

    def bad(self) -> dict[str, tuple[str, str]]:
        """The checks that neither passed nor were skipped; what else this machine does is its own business."""
        found = {name: one for name, one in self.results.items() if one[0] in ("warn", "fail")}
        found.pop("machine.state", None)
        return found


@dataclass
class Machine:
    """A home with a record, an environment with fake frameworks, and a way to check it."""

    home: Path
    prefix: Path
    profile: Profile
    platform: str
    folder: Path

    @property
    def site(self) -> Path:
        (found,) = self.prefix.glob("lib/python3.*/site-packages")
        return found

    @property
    def record_path(self) -> Path:
        return self.home / ".local/share/metal-lab" / f"{PROFILE}.json"

    def record(self, **changes: Any) -> None:
        names = self.profile.frameworks_on(self.platform)
        data = {"schema": 1, "profile": PROFILE, "provider": "uv", "prefix": str(self.prefix), "frameworks": names}
        self.record_path.parent.mkdir(parents=True, exist_ok=True)
        self.record_path.write_text(json.dumps({**data, **changes}), encoding="utf-8")

    def verify(self, *arguments: str, entry: str = "command", **environment: str) -> Done:
        """Run the check; entry "command" is `python -m verify`, "pytest" is `pytest verify`."""
        results = self.folder / f"results-{entry}"
        shutil.rmtree(results, ignore_errors=True)
        start = ["verify"] if entry == "command" else ["pytest", "verify", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [sys.executable, "-m", *start, "--results", str(results), *arguments],
            cwd=ROOT,
            env={**os.environ, "HOME": str(self.home), "XDG_DATA_HOME": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        report = results / f"localhost.{PROFILE}.json"
        junit = results / "junit.xml"
        return Done(
            done.returncode,
            done.stdout,
            json.loads(report.read_text(encoding="utf-8")) if report.exists() else {},
            junit.read_text(encoding="utf-8") if junit.exists() else "",
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A healthy machine, in a home with a space and an accent in its name."""
    loaded = profiles.load(PROFILE)
    here = f"{platform.system().lower()}-{platform.machine()}"
    home, prefix = tmp_path / "hôme with space", tmp_path / "hôme with space" / "env"
    home.mkdir()
    subprocess.run([find_uv_bin(), "venv", "-q", "--no-project", "-p", sys.executable, str(prefix)], check=True)
    made = Machine(home, prefix, loaded, here, tmp_path)
    lock = loaded.lock(here)
    for pin in lock.pins.values():
        _install(made.site, pin.name, pin.version)
    for name in ("numpy", "numpy.libs"):
        source = Path(numpy.__file__).parent.parent / name
        if source.exists():
            (made.site / name).symlink_to(source)
    shutil.copy(FAKES / "halves.py", made.site)
    # A fake environment claims the profile's Python, whichever one runs the tests.
    # Not by sitecustomize: Debian's Python has one of its own, which comes first.
    (made.site / "claimed.pth").write_text("import claimed\n", encoding="utf-8")
    (made.site / "claimed.py").write_text(
        f"import platform\nplatform.python_version = lambda: {loaded.python + '.99'!r}\n", encoding="utf-8"
    )
    stored = prefix / "etc" / "metal-lab"
    stored.mkdir(parents=True)
    for name in made.profile.frameworks_on(here):
        lines = [f"export {key}='{value}'\n" for key, value in loaded.frameworks[name].environment.items()]
        if lines:
            (stored / f"{name}.sh").write_text("".join(lines), encoding="utf-8")
    made.record()
    return made


def _install(site: Path, name: str, version: str) -> None:
    """A package as an installer leaves it: its module, if it has a fake one, and its dist-info."""
    name_in_fakes = name.replace("tensorflow-cpu", "tensorflow")
    rows = []
    if name_in_fakes in _MODULES:
        source, target = FAKES / _MODULES[name_in_fakes], site / _MODULES[name_in_fakes]
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
        for path in sorted(target.rglob("*.py")) if target.is_dir() else [target]:
            text = path.read_text(encoding="utf-8").replace('__version__ = "0"', f'__version__ = "{version}"')
            path.write_text(text, encoding="utf-8")
            rows.append(_row(site, path))
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n", encoding="utf-8")
    rows.append(_row(site, folder / "METADATA"))
    (folder / "RECORD").write_text("\n".join([*rows, f"{folder.name}/RECORD,,"]) + "\n", encoding="utf-8")


def _row(site: Path, path: Path) -> str:
    return f"{path.relative_to(site)},sha256={digest(path.read_bytes())},{path.stat().st_size}"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Lab:
    """Three Macs on which all is well."""
    return Lab(tmp_path, monkeypatch, lambda: "".join(capfd.readouterr()))
