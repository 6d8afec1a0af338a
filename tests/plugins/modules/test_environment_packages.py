"""What `environment_packages` finds missing, and how it survives being cut off."""

import json
from pathlib import Path

import pytest
from ansible_collections.metal_lab.macs.plugins.modules.environment_packages import (
    JOURNAL,
    Journal,
    Variables,
    _said,
    _shell_lines,
    look,
    pending,
    site_packages,
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "lib" / "python3.11" / "site-packages"
    folder.mkdir(parents=True)
    return folder


def put(site: Path, name: str, version: str) -> None:
    """Lay down a package as an installer does, as far as it is looked at here."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    text = f"Name: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(text, encoding="utf-8")
    (info / "RECORD").write_text(f"{info.name}/METADATA,sha256=x,{len(text)}\n{info.name}/RECORD,,\n", encoding="utf-8")


def test_a_package_is_found_by_its_canonical_name(tmp_path: Path, site: Path) -> None:
    put(site, "jupyter_Core.x", "5.9.1")
    put(site, "torch", "2.13.0+cpu")
    wanted = {"jupyter-core-x": "5.9.1", "torch": "2.13.0+cpu"}
    found = look(tmp_path, set(wanted), content=False)
    assert sorted(found) == sorted(wanted)
    assert pending(wanted, found, set()) == []
    assert sorted(look(tmp_path, {"torch"}, content=False)) == ["torch"]


def test_missing_wrong_doubled_damaged_and_interrupted_packages_are_pending(tmp_path: Path, site: Path) -> None:
    for name, version in [("right", "1"), ("old", "0.9"), ("doubled", "1"), ("doubled", "0.9"), ("cut", "1")]:
        put(site, name, version)
    put(site, "torn", "1")
    (site / "torn-1.dist-info" / "METADATA").unlink()
    put(site, "the-users-own", "7")
    wanted = dict.fromkeys(["right", "absent", "old", "doubled", "torn", "cut"], "1")
    found = look(tmp_path, set(wanted), content=False)
    assert pending(wanted, found, {"cut"}) == ["absent", "cut", "doubled", "old", "torn"]


def test_an_env_has_exactly_one_python(tmp_path: Path, site: Path) -> None:
    assert site_packages(tmp_path) == site
    (tmp_path / "lib" / "python3.12" / "site-packages").mkdir(parents=True)
    with pytest.raises(ValueError, match="2 folders"):
        site_packages(tmp_path)


def test_of_what_is_wrong_the_first_is_said_and_the_rest_counted(tmp_path: Path, site: Path) -> None:
    for name, files in (("one", 1), ("two", 2), ("three", 3)):
        put(site, name, "1.0")
        with (site / f"{name}-1.0.dist-info" / "RECORD").open("a", encoding="utf-8") as record:
            record.writelines(f"{name}/{number}.py,sha256=x,1\n" for number in range(files))
    found = look(tmp_path, {"one", "two", "three"}, content=False)
    said = {name: _said(one) for name, (one,) in found.items()}
    assert said["one"].startswith("1.0  # ")
    assert "more" not in said["one"]
    assert (said["two"][-10:], said["three"][-10:]) == ("and 1 more", "and 2 more")


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


def test_a_conda_env_that_never_had_variables_gets_condas_form_of_them(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    Variables(tmp_path, "jax").write({"X": "1"})
    state = json.loads((tmp_path / "conda-meta" / "state").read_text())
    assert state == {"version": 1, "env_vars": {"X": "1"}}
