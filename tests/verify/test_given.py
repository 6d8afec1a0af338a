"""An environment that is looked at by its path: whoever made it, whatever is wrong with it, without a profile."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import testinfra
from uv import find_uv_bin

from tests.helpers.waiting import wait_until
from tests.verify import told
from tests.verify.conftest import Machine
from tests.verify.test_remote import gone
from verify import ROOT
from verify.checks import advice, given, stages, walk
from verify.checks.given import GivenHealth
from verify.checks.plan import Plan
from verify.report import language, summary
from verify.results.model import CheckResult, FrameworkReport, HostReport
from verify.target import answers, remote

MAC = "darwin-arm64"
# Without numpy, which PyTorch does not need.
TORCH = """
import types

__version__ = "9.9"


class Tensor:
    def __init__(self, rows, device="cpu"):
        self.rows, self.device = rows, device

    def to(self, device):
        return self

    def cpu(self):
        return self

    def tolist(self):
        return self.rows


backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: False))
float32 = "float32"


def get_default_device():
    return "cpu"


def empty(n, device):
    return Tensor([0] * n)


def tensor(rows, dtype):
    return Tensor([[float(one) for one in row] for row in rows])


def matmul(a, b):
    return Tensor([[sum(x * y for x, y in zip(row, column)) for column in zip(*b.rows)] for row in a.rows])


def relu(a):
    return Tensor([[max(0.0, one) for one in row] for row in a.rows])
"""


@dataclass
class Looked:
    """A finished look: exit code, what it wrote, and the one result."""

    code: int
    output: str
    report: dict[str, Any]

    def one(self, check: str) -> dict[str, Any]:
        return next(one for one in self.report["checks"] if one["check"] == check)

    def of(self, *results: str) -> dict[str, str]:
        """The checks with these results, and their faults; not the machine's state, which is its own business."""
        found = {one["check"]: one["fault"] for one in self.report["checks"] if one["result"] in results}
        found.pop("machine.state", None)
        return found


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Looked]:
    def looked(environment: object, *arguments: str, cwd: Path = ROOT) -> Looked:
        results = tmp_path / "results"
        shutil.rmtree(results, ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-m", "verify", "--environment", str(environment), "--results", str(results), *arguments],
            cwd=cwd,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob("localhost.*.json")]
        return Looked(done.returncode, done.stdout, reports[0] if reports else {})

    return looked


def bare(folder: Path) -> Path:
    """A virtual environment with nothing in it; returns its site-packages."""
    subprocess.run([find_uv_bin(), "venv", "-q", "--no-project", "-p", sys.executable, str(folder)], check=True)
    (site,) = folder.glob("lib/python3.*/site-packages")
    return site


def torch(site: Path, text: str, name: str = "torch") -> None:
    (site / f"{name}.py").write_text(text, encoding="utf-8")
    (site / f"{name}-9.9.dist-info").mkdir()
    (site / f"{name}-9.9.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 9.9\n", encoding="utf-8")


def test_what_an_environment_computes_is_looked_at_and_what_a_profile_would_say_is_not(
    machine: Machine, look: Callable[..., Looked]
) -> None:
    # Nobody converged it: no record, and nothing in it is held against a lock.
    machine.record_path.unlink()
    shutil.rmtree(next(machine.site.glob("pandas-*.dist-info")))
    done = look(machine.prefix)
    assert (done.code, done.report["verdict"]) == (0, "healthy"), done.output
    assert done.report["profile"] == str(machine.prefix)
    assert f"{machine.prefix}, no profile" in " ".join(done.output.split())
    assert done.of("warn", "fail") == {}
    passed, skipped = done.of("pass"), done.of("skip")
    here = machine.profile.frameworks_on(machine.platform)
    for name in here:
        assert {f"{name}.{check}" for check in ("import", "device", "value", "placement", "exit")} <= passed.keys()
        assert f"{name}.version" in skipped
        assert done.one(f"packages.{name}")["message"] == "no profile says which packages there must be"
    for check in ("system.homebrew", "system.conda", "environment.variables", "shell.login", "packages.base"):
        assert done.one(check)["message"].startswith("no profile ")
        assert check in skipped
    assert "no profile says which version it must be; it is " in done.one("mlx.version")["message"]
    # MLX LM is a framework of another profile's.
    assert {done.one(f"mlx_lm.{check}")["message"] for check in ("import", "generate")} == {"not in this environment"}


def test_a_framework_that_is_asked_for_must_be_there(machine: Machine, look: Callable[..., Looked]) -> None:
    done = look(machine.prefix, "--frameworks", "mlx,mlx_lm")
    assert done.code == 1
    assert done.of("fail") == {"packages.mlx_lm": "not-installed"}
    assert list(done.report["frameworks"]) == ["mlx", "mlx_lm"]
    assert "converge" not in done.one("packages.mlx_lm")["advice"]


@pytest.mark.parametrize(
    ("others", "asked", "code", "result"),
    [
        # Beside what the profiles require it is told, and does not count.
        (True, [], 0, "warn"),
        (True, ["--frameworks", "pytorch,jax"], 1, "fail"),
        (False, [], 1, "fail"),
    ],
)
def test_what_is_optional_counts_where_it_is_asked_for_or_is_all_there_is(
    look: Callable[..., Looked], tmp_path: Path, others: bool, asked: list[str], code: int, result: str
) -> None:
    site = bare(tmp_path / "env")
    torch(site, "raise ImportError('no')\n", "jax")
    if others:
        torch(site, TORCH)
    done = look(tmp_path / "env", *asked)
    assert (done.code, done.one("jax.import")["result"]) == (code, result), done.output
    assert done.report["frameworks"]["jax"]["required"] is (result == "fail")


@pytest.mark.parametrize("kind", ["pixi", "python", "relative"])
def test_an_environment_is_found_by_its_project_or_its_python(
    machine: Machine, look: Callable[..., Looked], tmp_path: Path, kind: str
) -> None:
    project = tmp_path / "a project"
    (project / ".pixi" / "envs").mkdir(parents=True)
    named: object = project
    if kind == "pixi":
        (project / ".pixi" / "envs" / "default").symlink_to(machine.prefix)
    elif kind == "python":
        named = machine.prefix / "bin" / "python3"
    else:
        (project / ".venv").symlink_to(machine.prefix)
    if kind == "relative":
        named = "."
    done = look(named, "--frameworks", "mlx", cwd=project if kind == "relative" else ROOT)
    assert done.code == 0, done.output
    assert done.report["profile"] == str(project if kind == "relative" else named)
    assert done.one("mlx.value")["result"] == "pass"


def test_what_conda_keeps_with_an_environment_is_set_for_its_frameworks(
    machine: Machine, look: Callable[..., Looked]
) -> None:
    # As `conda env config vars set` leaves it (conda/core/prefix_data.py).
    (machine.prefix / "conda-meta").mkdir()
    stored = {"version": 1, "env_vars": {"PYTORCH_ENABLE_MPS_FALLBACK": "1"}}
    (machine.prefix / "conda-meta" / "state").write_text(json.dumps(stored), encoding="utf-8")
    done = look(machine.prefix, "--frameworks", "pytorch")
    assert "an environment of conda's kind" in done.one("environment.record")["message"]
    assert done.of("fail") == {"pytorch.device": "fallback-set"}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("missing", "is not there"),
        ("empty", "is no environment: it has neither bin/python, nor .venv/bin/python, nor .pixi/envs/default/bin/py"),
        ("beside", "/named/venv: name that"),
        ("nothing", "has none of TensorFlow, PyTorch, JAX, MLX, MLX LM"),
    ],
)
def test_where_there_is_nothing_to_look_at_nothing_is_said_of_the_machine(
    look: Callable[..., Looked], tmp_path: Path, state: str, said: str
) -> None:
    folder = tmp_path / "named"
    if state == "empty":
        folder.mkdir()
    if state == "beside":
        bare(folder / "venv")
    if state == "nothing":
        bare(folder)
    done = look(folder)
    assert (done.code, done.report["verdict"]) == (2, "unverified")
    assert "there was nothing to look at" in done.one("internal")["message"]
    assert any(said in one["message"] for one in done.report["checks"] if one["result"] == "fail")
    assert "converge" not in done.output


@pytest.mark.parametrize(
    ("state", "check", "fault", "said"),
    [
        ("dangling", "environment.record", "wrong-python", "is a link to a Python that is gone"),
        ("plain", "environment.record", "wrong-python", "cannot be run"),
        ("foreign", "environment.python", "no-answer", "xec format error"),
        ("old", "environment.python", "no-answer", "SyntaxError: future feature annotations is not defined"),
    ],
)
def test_a_python_that_does_not_run_is_named(
    look: Callable[..., Looked], tmp_path: Path, state: str, check: str, fault: str, said: str
) -> None:
    bare(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    python.unlink()
    if state == "dangling":
        python.symlink_to(tmp_path / "gone")
    else:
        # A Mach-O header for arm64; what a Python 3.6 says of verify's probes.
        said_by_old = "#!/bin/sh\necho 'SyntaxError: future feature annotations is not defined' >&2\nexit 1\n"
        python.write_bytes(b"\xcf\xfa\xed\xfe\x0c\x00\x00\x01" if state == "foreign" else said_by_old.encode())
        python.chmod(0o644 if state == "plain" else 0o755)
    done = look(tmp_path / "env")
    assert (done.code, done.report["verdict"]) == (1, "unhealthy")
    assert done.of("fail") == {check: fault}
    assert said in done.one(check)["message"]
    assert done.one(check)["advice"] == advice.ELSEWHERE[fault]


def test_of_an_environment_with_an_older_python_nothing_is_said(look: Callable[..., Looked], tmp_path: Path) -> None:
    bare(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    python.unlink()
    # Started as `python -I -S -c START ORDER`.
    older = f'exec {sys.executable} -I -S -c "import sys; sys.version_info = (3, 8, 20)\n$4" "$5"\n'
    python.write_text(f"#!/bin/sh\n{older}", encoding="utf-8")
    python.chmod(0o755)
    done = look(tmp_path / "env")
    assert (done.code, done.report["verdict"]) == (2, "unverified"), done.output
    said = "what is asked here runs on Python 3.9 and newer; this one is 3.8.20"
    assert done.one("internal")["message"] == said
    assert said in done.one("environment.python")["message"]


def test_without_numpy_as_much_is_looked_at_as_can_be(look: Callable[..., Looked], tmp_path: Path) -> None:
    torch(bare(tmp_path / "env"), TORCH)
    done = look(tmp_path / "env", "--frameworks", "pytorch")
    assert done.code == 0, done.output
    assert {"pytorch.value", "pytorch.placement", "pytorch.exit"} <= done.of("pass").keys()
    assert done.one("pytorch.large")["result"] == "skip"
    assert done.one("pytorch.large")["message"].startswith("numpy, which results are held against, is not in this")
    # What was asked for beyond that was not looked at.
    done = look(tmp_path / "env", "--frameworks", "pytorch", "--level", "full")
    assert (done.code, done.report["verdict"]) == (2, "unverified")
    assert "numpy" in done.one("internal")["message"]
    assert done.of("fail").keys() == {"internal"}


AS_FROM_A_TERMINAL = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_ends_a_run_ends_its_probes_and_need_not_wait(tmp_path: Path, number: signal.Signals) -> None:
    place = tmp_path / "pid"
    hanging = f"import os, time\nopen({str(place)!r}, 'w').write(str(os.getpid()) + '.')\ntime.sleep(1000)\n"
    torch(bare(tmp_path / "env"), hanging)
    line = [
        sys.executable,
        "-m",
        "verify",
        "--environment",
        str(tmp_path / "env"),
        "--results",
        str(tmp_path),
        "--no-page",
    ]
    # What a shell runs in the background, as run-tests does, is told to ignore Ctrl-C.
    process = subprocess.Popen(
        [sys.executable, "-c", AS_FROM_A_TERMINAL, *line],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    text = wait_until(lambda: place.exists() and place.read_text().endswith(".") and place.read_text(), process)
    process.send_signal(number)
    said = process.communicate(timeout=30)[0].decode()
    assert (process.returncode, "COULD NOT BE VERIFIED" in said) == (2, True), said
    assert gone(str(text).strip("."))


# Of ml_dtypes 0.3.2, and so of TensorFlow 2.15.1 and JAX 0.4.20, with NumPy 2.1.3; what NumPy, Cython and
# PyTorch say in their sources.
ABI = [
    ("A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.1.3 as it may crash.", "AttributeError: "),
    ("", "ImportError: numpy.core.umath failed to import"),
    ("", "ImportError: numpy.core.multiarray failed to import"),
    ("", "RuntimeError: Numpy is not available"),
    ("", "ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header"),
    ("", "RuntimeError: module compiled against ABI version 0x1000009 but this version of numpy is 0x2000000"),
]


@pytest.mark.parametrize(("wrote", "error"), ABI)
def test_an_extension_for_another_numpy_is_named(wrote: str, error: str) -> None:
    records = {"import": answers.Report("error", error=error)}
    asked = walk.Asked([], {}, None, answers.Outcome(records, "exit", evidence=wrote), 1.0, required=True)
    assert walk.cut_short("mlx.import", "import", asked).fault == "numpy-abi"


def test_an_environment_with_another_numpy(look: Callable[..., Looked], tmp_path: Path) -> None:
    said = ABI[0][0]
    torch(bare(tmp_path / "env"), f"import sys\nprint({said!r}, file=sys.stderr)\nraise ImportError('no')\n")
    done = look(tmp_path / "env")
    assert (done.code, done.of("fail")) == (1, {"pytorch.import": "numpy-abi"})
    assert "numpy below 2" in done.one("pytorch.import")["advice"]
    assert "numpy below 2" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("installed", "platform", "name", "device"),
    [
        (("jax", "jaxlib", "jax-metal"), MAC, "jax", "METAL"),
        (("jax", "jaxlib", "jax-mps"), MAC, "jax", "mps"),
        (("torch",), MAC, "pytorch", "mps"),
        # One profile has PyTorch on Linux, the other has not.
        (("torch", "torchvision", "torchaudio"), "linux-x86_64", "pytorch", "cpu"),
        (("tensorflow-cpu",), "linux-x86_64", "tensorflow", "CPU"),
        (("mlx", "mlx-cpu"), "linux-aarch64", "mlx", "cpu"),
    ],
)
def test_a_framework_is_what_the_profile_says_of_whose_packages_most_are_there(
    installed: tuple[str, ...], platform: str, name: str, device: str
) -> None:
    found = given.choose((*installed, "numpy"), platform)
    assert {one: framework.device.get(platform) for one, framework in found.items()} == {name: device}


def looked_at(monkeypatch: pytest.MonkeyPatch, machine: str) -> GivenHealth:
    """An environment of a Mac, of which a first look tells."""
    data = {"system": "Darwin", "machine": machine, "given": "/env", "state": "found", "kind": "venv"}
    outcome = answers.of_stage("interpreter", "interpreter", {**data, "prefix": "/env", "python": "/env/bin/python"})
    monkeypatch.setattr(remote, "find", lambda *_: outcome)
    (host,) = testinfra.get_hosts(["local://"])
    plan = Plan(given.catalogue("/env"), "quick", None, None, 5.0, "/env")
    return GivenHealth(host, "mac", plan, lambda _: pytest.fail("no lock is read"), print)


def test_a_fault_in_the_judge_of_the_first_look_is_verifys(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("planted")

    table = tuple(replace(one, judge=broken) if one.probe == remote.INTERPRETER else one for one in stages.TABLE)
    monkeypatch.setattr(stages, "TABLE", table)
    health = looked_at(monkeypatch, "arm64")
    for check in ("environment.reachable", "environment.record", "environment.python", "mlx.import"):
        assert health.check(check).result == "skip"
    assert "verify failed: KeyError: 'planted'" in health.check("internal").message


def test_a_machine_for_which_no_framework_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    health = looked_at(monkeypatch, "x86_64")
    found = health.check("environment.platform")
    assert (found.result, found.fault) == ("fail", "wrong-platform")
    assert found.message == "this is darwin-x86_64; known are darwin-arm64, linux-x86_64, linux-aarch64"
    assert health.check("mlx.import").message == "not reached: the platform is not known"


def answering(monkeypatch: pytest.MonkeyPatch, *installed: str, **changes: answers.Report) -> GivenHealth:
    """An environment of a Mac's with some packages, and with other answers of some stages of its probe."""
    found: dict[str, dict[str, Any]] = {
        "python": {
            **{"version": "3.12.1", "machine": "arm64", "translated": False},
            **{"prefix": "/real", "wanted_prefix": "/env"},
        },
        "machine": told.MACHINE,
        "packages": {"installed": {one: ["1"] for one in installed}, "content": False, "files": {}, "problems": {}},
        "variables": {"stored": {}},
    }
    reports = {name: answers.Report("end", data=data) for name, data in found.items()}
    outcome = answers.Outcome({**reports, **changes}, "exit")
    silent = answers.Outcome({}, "signal", 9, "SIGKILL")
    monkeypatch.setattr(remote, "probe", lambda _host, _python, name, *_: outcome if name == "environment" else silent)
    return looked_at(monkeypatch, "arm64")


@pytest.mark.parametrize(
    ("stage", "check", "framework"),
    [
        ("packages", "packages.base", "not reached: packages.base failed"),
        # The frameworks run all the same, by what can be known.
        ("variables", "environment.variables", "killed by SIGKILL before 'import'"),
    ],
)
def test_what_could_not_be_read_of_an_environment_is_told_by_itself(
    monkeypatch: pytest.MonkeyPatch, stage: str, check: str, framework: str
) -> None:
    health = answering(monkeypatch, "mlx", **{stage: answers.Report("error", error="OSError: planted")})
    found = health.check(check)
    assert (found.result, found.fault, found.message) == ("fail", "exception", "OSError: planted")
    assert health.check("mlx.import").message == framework
    assert "nothing to look at" not in health.check("internal").message


def test_of_two_places_the_one_that_the_python_is_of_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is named by a link may be of elsewhere."""
    health = answering(monkeypatch, "numpy")
    assert health.check("packages.mlx").message == "not in this environment"
    assert "there was nothing to look at: /real has none of TensorFlow, " in health.check("internal").message


def test_the_advice_of_an_environment_stays_its_own_where_it_is_shown() -> None:
    spoken = language.choose("en")
    for text in (advice.ELSEWHERE["exception"], advice.ADVICE["exception"]):
        report = HostReport("mac", "local", "/env", "quick", "2026-11-21T00:00:00Z")
        report.frameworks["mlx"] = FrameworkReport(required=True)
        report.checks.append(CheckResult("mlx.import", "fail", "no", text, "exception"))
        assert text in " ".join(summary.host(report, spoken, colour=False).split())
    # What an older version advised is said as it is now.
    assert advice.current("exception", "Older words.") == advice.ADVICE["exception"]
    assert advice.current("of the future", "Its words.") == "Its words."


def test_who_did_not_converge_is_not_told_to() -> None:
    assert advice.ELSEWHERE.keys() <= advice.ADVICE.keys()
    # Only where a profile, or what converging leaves, says what there must be.
    never = {"bad-record", "wrong-versions", "damaged", "altered", "wrong-variables", "not-on-path", "wrong-version"}
    never |= {"other-release"}
    assert {fault for fault in advice.ADVICE if "converge" in advice.elsewhere(fault)} == never
