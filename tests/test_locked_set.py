"""What `locked_set` finds missing, and how it survives being cut off."""

import json
from pathlib import Path

import pytest

from roles.locked_packages.library.locked_set import (
    JOURNAL,
    Journal,
    Variables,
    _shell_lines,
    damaged,
    installed,
    pending,
    site_packages,
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def put(site: Path, name: str, version: str, *files: str) -> None:
    """Lay down a package as an installer does."""
    metadata = site / f"{name}-{version}.dist-info"
    metadata.mkdir()
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).touch()
    lines = [f"{file},sha256=x,0" for file in files]
    (metadata / "RECORD").write_text(
        "\n".join([*lines, f"{metadata.name}/RECORD,,", "gone/__pycache__/x.cpython-311.pyc,,"]) + "\n"
    )


def test_a_package_is_found_by_its_canonical_name(site: Path) -> None:
    put(site, "jupyter_Core.x", "5.9.1", "jupyter_core/__init__.py")
    put(site, "torch", "2.13.0+cpu", "torch/__init__.py")
    assert installed(site, {"jupyter-core-x", "torch"}) == {"jupyter-core-x": ["5.9.1"], "torch": ["2.13.0+cpu"]}
    assert installed(site, {"torch"}) == {"torch": ["2.13.0+cpu"]}


def test_a_package_of_which_a_file_is_gone_or_altered_is_not_installed(site: Path) -> None:
    put(site, "mlx", "0.32.4", "mlx/core.so", "mlx/nn/layers.py")
    assert installed(site, {"mlx"}) == {"mlx": ["0.32.4"]}
    (site / "mlx/nn/layers.py").write_text("# edited")
    assert installed(site, {"mlx"}) == {}
    (site / "mlx/nn/layers.py").write_text("")
    assert installed(site, {"mlx"}) == {"mlx": ["0.32.4"]}
    (site / "mlx" / "core.so").unlink()
    assert installed(site, {"mlx"}) == {}


def test_metadata_without_a_record_is_not_a_package(site: Path) -> None:
    (site / "mlx-0.32.4.dist-info").mkdir()
    assert installed(site, {"mlx"}) == {}
    (site / "mlx-0.32.4.dist-info" / "RECORD").write_text("not,a,record,at all\n")
    assert installed(site, {"mlx"}) == {}


def test_missing_wrong_doubled_and_interrupted_packages_are_pending() -> None:
    wanted = dict.fromkeys(["right", "absent", "old", "doubled", "cut"], "1")
    found = {"right": ["1"], "old": ["0.9"], "doubled": ["1", "0.9"], "cut": ["1"], "the-users-own": ["7"]}
    assert pending(wanted, found, {"cut"}) == ["absent", "cut", "doubled", "old"]


def test_only_what_uv_would_take_for_installed_is_laid_down_anew(site: Path) -> None:
    put(site, "old", "0.9", "old.py")
    put(site, "cut", "1", "cut.py")
    put(site, "torn", "1", "torn.py")
    (site / "torn.py").unlink()
    missing = ["absent", "absent-and-cut", "cut", "old", "torn"]
    found = installed(site, set(missing))
    assert damaged(site, missing, found, {"cut", "absent-and-cut"}) == ["cut", "torn"]


def test_an_env_has_exactly_one_python(tmp_path: Path, site: Path) -> None:
    assert site_packages(tmp_path) == site
    (tmp_path / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    with pytest.raises(ValueError, match="2 folders"):
        site_packages(tmp_path)


def test_the_journal_outlives_a_run_that_is_cut_off(tmp_path: Path) -> None:
    Journal(tmp_path).open(["numpy", "mlx"])
    Journal(tmp_path).open(["torch"])
    after = Journal(tmp_path)
    assert after.names == {"numpy", "mlx", "torch"}
    after.close(["mlx", "torch"])
    assert Journal(tmp_path).names == {"numpy"}
    Journal(tmp_path).close(["numpy"])
    assert not (tmp_path / JOURNAL).exists()


def test_a_variable_with_any_text_is_one_quoted_shell_word() -> None:
    assert _shell_lines({"B": "a'b $HOME", "A": "1"}) == "export A='1'\nexport B='a'\"'\"'b $HOME'\n"


def test_a_uv_env_keeps_a_sets_variables_in_a_file_of_its_own(tmp_path: Path) -> None:
    stored = Variables(tmp_path, "jax")
    assert stored.before({"X": "1"}) == ""
    stored.write({"X": "1"})
    assert (tmp_path / "etc" / "metal-lab" / "jax.sh").read_text() == "export X='1'\n"
    Variables(tmp_path, "jax").write({})
    assert not (tmp_path / "etc" / "metal-lab" / "jax.sh").exists()


def test_a_conda_env_keeps_the_users_variables(tmp_path: Path) -> None:
    state = tmp_path / "conda-meta" / "state"
    state.parent.mkdir()
    state.write_text(json.dumps({"version": 1, "env_vars": {"MINE": "7", "X": "old"}}))
    stored = Variables(tmp_path, "jax")
    assert stored.before({"X": "1"}) == "export X='old'\n"
    stored.write({"X": "1"})
    assert json.loads(state.read_text()) == {"version": 1, "env_vars": {"MINE": "7", "X": "1"}}
