"""The health check from end to end, on a machine with fake frameworks: what it finds, and its exit code."""

import json
import os
import shutil
import socket
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from tests.verify import faults
from tests.verify.conftest import Machine
from verify.results.files import SCHEMA


def test_the_page_is_made_unless_somebody_makes_it_for_many_machines(machine: Machine) -> None:
    page = machine.folder / "results-command" / "report.html"
    assert "Report: " in machine.verify("--level", "setup").output
    assert page.exists()
    done = machine.verify("--level", "setup", "--no-page")
    assert done.report["verdict"] == "healthy"
    assert "Report: " not in done.output
    assert not page.exists()


def test_mlx_is_asked_for_float32_and_not_for_tf32(machine: Machine) -> None:
    """From the M5 on, MLX computes at TF32 unless it is told not to before it is imported."""
    core = machine.site / "mlx" / "core.py"
    record = next(machine.site.glob("mlx-*.dist-info")) / "RECORD"
    size = core.stat().st_size
    core.write_text(core.read_text(encoding="utf-8") + '\nimport os\nassert os.environ["MLX_ENABLE_TF32"] == "0"\n')
    record.write_text(record.read_text(encoding="utf-8").replace(f",{size}", f",{core.stat().st_size}"))
    done = machine.verify("--frameworks", "mlx", MLX_ENABLE_TF32="1")
    assert done.results["mlx.value"] == ("pass", ""), done.output
    assert done.report["frameworks"]["mlx"]["settings"]["MLX_ENABLE_TF32"] == "0"


def test_a_healthy_machine(machine: Machine) -> None:
    done = machine.verify()
    assert done.code == 0, done.output
    assert done.bad() == {}
    assert done.report["verdict"] == "healthy"
    for name in machine.profile.frameworks_on(machine.platform):
        assert done.results[f"{name}.value"] == ("pass", "")
        assert done.results[f"{name}.placement"] == ("pass", "")
        assert done.results[f"{name}.large"] == ("pass", "")
    skipped = [name for name, one in done.results.items() if one[0] == "skip"]
    # Neither Homebrew nor conda was asked for, and no Apple chip is here.
    assert {one.split(".")[0] for one in skipped} == {"system", "shell", "machine"}
    assert "HEALTHY" in done.output
    assert "\x1b" not in done.output


def test_results_follow_the_schema_and_junit_names_the_checks(machine: Machine) -> None:
    done = machine.verify()
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(done.report)
    names = [case.get("name", "") for case in ElementTree.fromstring(done.junit).iter("testcase")]  # noqa: S314
    assert len(names) == len(done.results)
    for check in done.results:
        assert any(check in name for name in names)


def test_four_faults_are_four_different_failures_and_the_run_goes_on(machine: Machine) -> None:
    planted = {"tensorflow": "wrong-value", "mlx": "hang", "jax": "other-device"}
    if "pytorch" in machine.profile.frameworks_on(machine.platform):
        planted["pytorch"] = "crash"
    faults.plant(machine.prefix, planted)
    done = machine.verify("--timeout", "15")
    assert done.code == 1
    expected = {
        "tensorflow.value": ("fail", "wrong-value"),
        "pytorch.value": ("fail", "crash"),
        "jax.placement": ("warn", "other-device"),
        "mlx.value": ("fail", "hang"),
    }
    assert done.bad() == {name: one for name, one in expected.items() if name.split(".")[0] in planted}
    assert "SIGSEGV" in done.message("pytorch.value")
    assert "TFRT_CPU_1" in done.message("jax.placement")


@pytest.mark.parametrize("fault", ["wrong-relu", "not-finite"])
def test_each_framework_that_computes_something_else_is_named(machine: Machine, fault: str) -> None:
    names = machine.profile.frameworks_on(machine.platform)
    faults.plant(machine.prefix, dict.fromkeys(names, fault))
    required = {name: machine.profile.frameworks[name].required for name in names}
    expected = {f"{name}.value": ("fail" if required[name] else "warn", fault) for name in names}
    assert machine.verify().bad() == expected


def test_half_precision_that_goes_wrong_in_large_products_is_found_at_level_quick(machine: Machine) -> None:
    names = machine.profile.frameworks_on(machine.platform)
    faults.plant(machine.prefix, dict.fromkeys(names, "wrong-half"))
    done = machine.verify()
    required = {name: machine.profile.frameworks[name].required for name in names}
    assert done.bad() == {f"{name}.large": ("fail" if required[name] else "warn", "wrong-large") for name in names}
    assert "of 16 x 2048 x 2048 in half precision, off by " in done.message(f"{names[0]}.large")


def test_after_a_failure_the_rest_of_a_framework_is_skipped_with_the_reason(machine: Machine) -> None:
    faults.plant(machine.prefix, {"mlx": "crash"})
    done = machine.verify("--frameworks", "mlx", "--level", "full")
    assert done.bad() == {"mlx.value": ("fail", "crash")}
    rest = ("placement", "numbers", "matmul.value", "matmul.speed", "training", "training.cpu", "memory", "openmp")
    for check in (*rest, "exit"):
        assert done.results[f"mlx.{check}"][0] == "skip"
        assert "mlx.value failed" in done.message(f"mlx.{check}")


def test_an_optional_framework_that_fails_is_told_and_leaves_the_machine_healthy(machine: Machine) -> None:
    faults.plant(machine.prefix, {"jax": "wrong-value"})
    done = machine.verify()
    assert done.code == 0
    assert done.bad() == {"jax.value": ("warn", "wrong-value")}
    assert "optional, failed" in done.output


@pytest.mark.parametrize("fault", ["", "wrong-value"])
def test_both_entries_agree(machine: Machine, fault: str) -> None:
    if fault:
        faults.plant(machine.prefix, {"mlx": fault})
    command, by_pytest = machine.verify(), machine.verify(entry="pytest")
    assert command.code == by_pytest.code == (1 if fault else 0), by_pytest.output
    assert command.results == by_pytest.results


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hosts", "ansible://nobody-*?ansible_inventory={inventory}"], "matches no host"),
        (["--hosts", "local://,ansible://nobody?ansible_inventory={inventory}"], "matches no host"),
        (["--hosts", "ansible://all?ansible_inventory=/nowhere"], "cannot be resolved"),
        (["--hosts", "some-host"], "how to connect"),
        (["--level", "deep"], "unknown"),
        (["--profile", "ml-m0"], "ml-m0"),
        (["--frameworks", "theano"], "theano"),
        (["--timeout", "soon"], "seconds"),
    ],
)
def test_what_cannot_run_is_2(machine: Machine, arguments: list[str], said: str) -> None:
    inventory = machine.folder / "inventory.yml"
    inventory.write_text("all: {hosts: {lab-1: {ansible_connection: local}}}\n", encoding="utf-8")
    done = machine.verify(*(one.format(inventory=inventory) for one in arguments))
    assert done.code == 2
    assert said in done.output
    assert done.report == {}


@pytest.mark.parametrize("arguments", [["--hosts", "ansible://nobody?ansible_inventory=/nowhere"], ["--level", "deep"]])
def test_pytest_itself_ends_with_2_as_well(machine: Machine, arguments: list[str]) -> None:
    done = machine.verify(*arguments, entry="pytest")
    assert done.code == 2
    assert done.report == {}


def test_a_selection_that_runs_no_check_is_2(machine: Machine) -> None:
    assert machine.verify("-k", "nothing_of_this_name", entry="pytest").code == 2


def test_hosts_of_an_inventory(machine: Machine) -> None:
    inventory = machine.folder / "the inventory.yml"
    inventory.write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n", encoding="utf-8")
    done = machine.verify("--hosts", f"ansible://local*?ansible_inventory={inventory}", "--frameworks", "mlx")
    assert done.code == 0, done.output
    assert done.report["address"] == "ansible://localhost"


def test_an_unreachable_host_has_a_name_of_its_own(machine: Machine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and never listening: refused
        done = machine.verify("--hosts", f"ssh://nobody@127.0.0.1:{taken.getsockname()[1]}")
    assert done.code == 1
    (report,) = (machine.folder / "results-command").glob("127.0.0.1*.json")
    checks = json.loads(report.read_text(encoding="utf-8"))["checks"]
    seen = [(one["check"], one["fault"]) for one in checks if one["result"] != "skip"]
    assert seen == [("environment.reachable", "unreachable"), ("internal", "")]


def test_no_environment(machine: Machine) -> None:
    machine.record_path.unlink()
    done = machine.verify()
    assert done.code == 1
    assert done.bad() == {"environment.record": ("fail", "no-environment")}
    assert "./converge" in done.output


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"profile": "other"},
        {"prefix": "relative"},
        {"frameworks": ["theano"]},
        {"provider": 3},
        {"homebrew": {}},
        {"conda": {"root": "relative", "init": True}},
        {"homebrew": "yes"},
    ],
)
def test_a_record_that_cannot_be_used(machine: Machine, change: dict[str, object]) -> None:
    machine.record(**change)
    assert machine.verify().bad() == {"environment.record": ("fail", "bad-record")}


def test_an_environment_without_python(machine: Machine) -> None:
    (machine.prefix / "bin" / "python").unlink()
    done = machine.verify()
    assert done.code == 1
    assert done.bad() == {"environment.python": ("fail", "no-answer")}
    assert done.results["mlx.import"][0] == "skip"


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("python_version = lambda: '3.12.1'", "Python 3.12.1 instead of"),
        ("machine = lambda: 'x86_64_v9'", "a Python for"),
    ],
)
def test_a_python_that_is_not_the_profiles(machine: Machine, lie: str, said: str) -> None:
    with (machine.site / "claimed.py").open("a", encoding="utf-8") as file:
        file.write(f"platform.{lie}\n")
    done = machine.verify("--level", "setup")
    assert done.bad() == {"environment.python": ("fail", "wrong-python")}
    assert said in done.message("environment.python")


def test_a_framework_asked_for_that_is_not_there(machine: Machine) -> None:
    machine.record(frameworks=["mlx"])
    assert machine.verify().bad() == {}
    asked = machine.verify("--frameworks", "tensorflow")
    assert asked.bad() == {"packages.tensorflow": ("fail", "not-installed")}
    assert asked.results["tensorflow.import"][0] == "skip"


def test_wrong_missing_and_double_packages_are_named(machine: Machine) -> None:
    site = machine.site
    (found,) = site.glob("pandas-*.dist-info")
    shutil.rmtree(found)
    (found,) = site.glob("matplotlib-*.dist-info")
    found.rename(site / "matplotlib-0.1.dist-info")
    (site / "scikit_learn-0.2.dist-info").mkdir()
    done = machine.verify("--level", "setup")
    assert done.bad() == {"packages.base": ("fail", "wrong-versions")}
    message = done.message("packages.base")
    for part in ("pandas", "missing", "matplotlib is 0.1", "scikit-learn is there 2 times"):
        assert part in message


def test_a_file_of_another_size_and_a_missing_one(machine: Machine) -> None:
    (machine.site / "mlx" / "core.py").open("a").write("# more\n")
    (machine.site / "mlx" / "nn.py").unlink()
    (machine.site / "mlx" / "__init__.py").touch()
    done = machine.verify("--level", "setup")
    assert done.bad() == {"packages.mlx": ("fail", "damaged")}
    assert "mlx/core.py has" in done.message("packages.mlx")
    assert "mlx/nn.py is missing" in done.message("packages.mlx")


def test_a_file_of_other_content_is_found_at_level_full(machine: Machine) -> None:
    file = machine.site / "mlx" / "core.py"
    file.write_text(file.read_text(encoding="utf-8").replace("MLX", "mlx", 1), encoding="utf-8")
    assert machine.verify("--level", "setup").bad() == {}
    # The rest of the level is spared.
    faults.plant(machine.prefix, {"mlx": "crash"})
    done = machine.verify("--level", "full", "--frameworks", "mlx")
    assert done.bad() == {"mlx.value": ("fail", "crash"), "packages.mlx": ("fail", "altered")}
    assert "mlx/core.py has other content than its sha256 in RECORD" in done.message("packages.mlx")
    assert done.message("packages.base").endswith("files with their recorded content (SHA-256)")
    assert "./converge -e compare_content=true" in done.output


@pytest.mark.parametrize(
    ("package", "check"),
    [("numpy", "base"), ("ml-dtypes", "tensorflow"), ("torch", "pytorch"), ("jaxlib", "jax"), ("mlx", "mlx")],
)
def test_a_package_that_is_gone_fails_its_sets_check_and_no_other(machine: Machine, package: str, check: str) -> None:
    if check not in ("base", *machine.profile.frameworks_on(machine.platform)):
        pytest.skip(f"the profile has no {check} on this platform")
    (found,) = machine.site.glob(f"{package.replace('-', '_')}-*.dist-info")
    shutil.rmtree(found)
    done = machine.verify("--level", "setup")
    assert done.code == 1
    assert done.bad() == {f"packages.{check}": ("fail", "wrong-versions")}
    assert f"{package} " in done.message(f"packages.{check}")


def test_at_level_setup_no_framework_runs(machine: Machine) -> None:
    for module in ("tensorflow.py", "torch.py", "jax/__init__.py", "mlx/core.py"):
        path = machine.site / module
        if path.exists():
            # As many bytes as before, so that only running it shows what it does.
            path.write_text("raise SystemExit(3)".ljust(path.stat().st_size, "#"), encoding="utf-8")
    done = machine.verify("--level", "setup")
    assert (done.code, done.bad()) == (0, {}), done.output
    assert {name.split(".")[0] for name in done.results} == {"environment", "packages", "system", "shell", "internal"}
    assert done.report["level"] == "setup"
    assert done.report["frameworks"] == {}
    by_name = machine.verify("--level", "setup", "--frameworks", "mlx")
    assert [name for name in by_name.results if name.startswith("packages.")] == ["packages.base", "packages.mlx"]


def test_stored_variables(machine: Machine) -> None:
    (machine.prefix / "etc" / "metal-lab" / "tensorflow.sh").write_text("export KERAS_BACKEND='torch'\n")
    done = machine.verify("--frameworks", "mlx")
    assert done.bad() == {"environment.variables": ("fail", "wrong-variables")}
    assert "'torch' instead of 'tensorflow'" in done.message("environment.variables")


def test_variables_of_a_conda_environment(machine: Machine) -> None:
    shutil.rmtree(machine.prefix / "etc")
    wanted = {k: v for one in machine.profile.frameworks.values() for k, v in one.environment.items()}
    state = machine.prefix / "conda-meta" / "state"
    state.parent.mkdir()
    state.write_text(json.dumps({"version": 1, "env_vars": {**wanted, "MINE": "1"}}))
    machine.record(provider="conda")
    assert machine.verify("--frameworks", "mlx").bad() == {}
    state.write_text(json.dumps({"version": 1, "env_vars": {"MINE": "1"}}))
    assert machine.verify("--frameworks", "mlx").bad() == {"environment.variables": ("fail", "wrong-variables")}


def test_the_fallback_of_pytorch_must_not_be_set(machine: Machine) -> None:
    if "pytorch" not in machine.profile.frameworks_on(machine.platform):
        pytest.skip("the profile has no PyTorch on this platform")
    done = machine.verify("--frameworks", "pytorch", PYTORCH_ENABLE_MPS_FALLBACK="1")
    assert done.bad() == {"pytorch.device": ("fail", "fallback-set")}


def test_what_a_host_says_steers_nothing(machine: Machine) -> None:
    path = machine.site / "mlx" / "core.py"
    text = path.read_text(encoding="utf-8")
    evil = '__version__ = "\\x1b[2J[bold]x[/bold][/nonsense]"'
    path.write_text(text.replace("__version__ =", "_real =") + evil + "\n", encoding="utf-8")
    done = machine.verify("--frameworks", "mlx")
    assert done.bad()["mlx.version"] == ("fail", "wrong-version")
    assert done.results["mlx.value"] == ("pass", "")
    assert "[bold]x[/bold][/nonsense]" in done.output
    assert "\x1b" not in done.output


@pytest.fixture
def mac(machine: Machine) -> Machine:
    """The machine with a Homebrew and a conda, and start-up files that know both."""
    brew, conda = machine.home / "höme brew", machine.home / "conda"
    for tool, text in ((brew / "bin/brew", "Homebrew 6.0.18"), (conda / "bin/conda", "conda 26.3.2")):
        tool.parent.mkdir(parents=True)
        # What it complains of comes first.
        tool.write_text(f"#!/bin/sh\necho 'Warning: 1.5' >&2\necho '{text}'\necho more\n", encoding="utf-8")
        tool.chmod(0o755)
    (brew / "Cellar/htop/3.4.1").mkdir(parents=True)
    (brew / "opt").mkdir()
    (brew / "opt/htop").symlink_to("../Cellar/htop/3.4.1")
    app = machine.home / "Applications/Editor.app"
    app.mkdir(parents=True)
    (brew / "Caskroom/editor/1.0").mkdir(parents=True)
    (brew / "Caskroom/editor/1.0/Editor.app").symlink_to(app)
    lines = [
        f"export HOMEBREW_PREFIX='{brew}' PATH='{brew}/bin':\"$PATH\"",
        "# >>> conda initialize >>>",
        f"__conda_setup=\"$('{conda}/bin/conda' 'shell.bash' 'hook')\"",
        "# <<< conda initialize <<<",
        "conda() { :; }",
        f"export VIRTUAL_ENV='{machine.prefix}' PATH='{machine.prefix}/bin':\"$PATH\"",
        "echo chatter",
    ]
    for name in (".bashrc", ".bash_profile", ".zshrc"):
        (machine.home / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    homebrew = {"prefix": str(brew), "formulae": ["htop"], "casks": ["tap/of/editor"], "shellenv": True}
    machine.record(shell=str(machine.home / ".bashrc"), homebrew=homebrew, conda={"root": str(conda), "init": True})
    return machine


def test_what_homebrew_and_conda_brought_and_what_a_new_shell_finds(mac: Machine) -> None:
    # In this process the environment is active: a new terminal window's answer must not come from that.
    done = mac.verify("--level", "setup", VIRTUAL_ENV=str(mac.prefix), PATH=f"{mac.prefix}/bin:{os.environ['PATH']}")
    assert (done.code, done.bad()) == (0, {}), done.output
    assert "skip" not in {one[0] for one in done.results.values()}
    assert done.message("system.homebrew").startswith("Homebrew 6.0.18, ")


@pytest.mark.parametrize(
    ("gone", "check", "fault", "said"),
    [
        ("höme brew/bin/brew", "system.homebrew", "not-installed", "bin/brew is not there"),
        ("höme brew/Cellar/htop", "system.formulae", "not-installed", "htop is not installed"),
        ("höme brew/opt/htop", "system.formulae", "not-installed", "htop is not installed"),
        ("höme brew/Caskroom/editor", "system.casks", "not-installed", "editor is not installed"),
        (
            "Applications/Editor.app",
            "system.casks",
            "not-installed",
            "Applications/Editor.app of tap/of/editor is gone",
        ),
        ("conda/bin/conda", "system.conda", "not-installed", "bin/conda is not there"),
    ],
)
def test_what_is_taken_away_is_missed_by_its_check(mac: Machine, gone: str, check: str, fault: str, said: str) -> None:
    (mac.home / gone).rename(mac.home / "gone")
    done = mac.verify("--level", "setup")
    # A new shell does not find brew either, once it is gone.
    without = {name: one for name, one in done.bad().items() if (check, name) != ("system.homebrew", "shell.homebrew")}
    assert without == {check: ("fail", fault)}
    assert said in done.message(check)


@pytest.mark.parametrize(
    ("line", "check"),
    [
        ("HOMEBREW_PREFIX", "shell.homebrew"),
        ("__conda_setup", "shell.conda"),
        ("conda() {", "shell.conda"),
        ("VIRTUAL_ENV", "shell.login"),
    ],
)
def test_a_line_that_is_taken_out_of_the_start_up_files_is_missed(mac: Machine, line: str, check: str) -> None:
    for name in (".bashrc", ".bash_profile", ".zshrc"):
        path = mac.home / name
        kept = [one for one in path.read_text(encoding="utf-8").splitlines() if line not in one]
        path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert mac.verify("--level", "setup").bad() == {check: ("fail", "not-on-path")}


def test_another_active_environment_is_seen_though_the_python_is_ours(mac: Machine) -> None:
    for name in (".bashrc", ".bash_profile", ".zshrc"):
        with (mac.home / name).open("a", encoding="utf-8") as file:
            file.write("export VIRTUAL_ENV=/elsewhere\n")
    done = mac.verify("--level", "setup")
    assert done.bad() == {"shell.login": ("fail", "not-on-path")}
    assert "the active environment is /elsewhere" in done.message("shell.login")


def test_the_terminals_of_another_profile_are_looked_at_and_named(mac: Machine) -> None:
    record = json.loads(mac.record_path.read_text(encoding="utf-8"))
    shell, prefix = record.pop("shell"), str(mac.prefix)
    elsewhere = str(mac.home / "elsewhere")
    for name, other in (("current", prefix), ("gone", elsewhere)):
        text = json.dumps({**record, "profile": name, "prefix": other, "shell": shell})
        (mac.record_path.parent / f"{name}.json").write_text(text, encoding="utf-8")
        mac.record(**{**record, "prefix": prefix})
        done = mac.verify("--level", "setup")
        if name == "current":
            assert (done.code, done.bad()) == (0, {}), done.output
            assert done.message("shell.login").startswith(f"new terminals open in current, and take {prefix}/bin/")
        else:
            assert done.bad() == {"shell.login": ("fail", "not-on-path")}
            assert f"not that of {elsewhere} (its file: {shell})" in done.message("shell.login")
        (mac.record_path.parent / f"{name}.json").unlink()


def test_a_shell_that_does_not_answer(mac: Machine) -> None:
    for name in (".bashrc", ".bash_profile", ".zshrc"):
        (mac.home / name).write_text("exit 7\n", encoding="utf-8")
    done = mac.verify("--level", "setup")
    assert done.bad() == {"shell.homebrew": ("fail", "not-on-path")}
    assert "exit code 7" in done.message("shell.homebrew")


@pytest.mark.parametrize(
    ("script", "said"),
    [("exit 3", "ended with exit code 3"), ("echo Something else", "Something else"), ("sleep 60", "no answer within")],
)
def test_a_tool_that_does_not_say_its_version(mac: Machine, script: str, said: str) -> None:
    (mac.home / "höme brew/bin/brew").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    done = mac.verify("--level", "setup", "--timeout", "10")
    assert done.bad() == {"system.homebrew": ("fail", "no-answer")}
    assert said in done.message("system.homebrew")


def test_nobody_misses_what_nobody_asked_for(mac: Machine) -> None:
    (mac.home / "höme brew").rename(mac.home / "gone")
    nothing = {"prefix": str(mac.home / "gone"), "formulae": [], "casks": [], "shellenv": False}
    mac.record(homebrew=nothing, conda={"root": str(mac.home / "conda"), "init": False})
    done = mac.verify("--level", "setup")
    assert done.bad() == {}
    skipped = ["system.formulae", "system.casks", "shell.homebrew", "shell.conda", "shell.login"]
    assert [name for name, one in done.results.items() if one[0] == "skip"] == skipped
    assert "nobody asked" in done.message("shell.homebrew")


def test_what_the_system_has_is_told_without_the_environments_python(mac: Machine) -> None:
    (mac.prefix / "bin" / "python").unlink()
    (mac.home / "conda/bin/conda").unlink()
    done = mac.verify("--level", "setup")
    assert done.bad() == {"system.conda": ("fail", "not-installed"), "environment.python": ("fail", "no-answer")}
