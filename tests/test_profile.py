"""A profile is read strictly, and every refusal names the file, the line and the way out."""

import shutil
from pathlib import Path

import pytest

from verify import ROOT
from verify.errors import UserError
from verify.profile import model


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """A copy of the real profile that a test may spoil."""
    shutil.copytree(model.PROFILES / "ml-m1", tmp_path / "ml-m1")
    return tmp_path


def spoil(profiles: Path, old: str, new: str) -> int:
    """Replace text in profile.yml; returns the line on which it stood."""
    path = profiles / "ml-m1" / "profile.yml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_the_real_profile_has_its_frameworks_by_platform() -> None:
    loaded = model.load("ml-m1")
    assert loaded.python == "3.11"
    assert loaded.platform("darwin-arm64").macos_floor == "14.4"
    assert loaded.frameworks_on("darwin-arm64") == ["tensorflow", "pytorch", "jax", "mlx"]
    assert "pytorch" not in loaded.frameworks_on("linux-aarch64")
    assert not loaded.frameworks["jax"].required


@pytest.mark.parametrize(
    ("platform", "framework", "package", "version"),
    [
        ("darwin-arm64", "tensorflow", "tensorflow", "2.16.1"),
        ("darwin-arm64", "tensorflow", "tensorflow-metal", "1.1.0"),
        ("linux-x86_64", "tensorflow", "tensorflow-cpu", "2.16.1"),
        ("darwin-arm64", "pytorch", "torch", "2.15.0"),
        ("linux-x86_64", "pytorch", "torch", "2.13.0+cpu"),
        ("darwin-arm64", "jax", "jax-metal", "0.1.1"),
        ("linux-aarch64", "jax", "jaxlib", "0.4.34"),
        ("darwin-arm64", "mlx", "mlx", "0.32.4"),
        ("darwin-arm64", "base", "numpy", "1.26.4"),
    ],
)
def test_the_locks_hold_the_pins_that_the_profile_is_made_of(
    platform: str, framework: str, package: str, version: str
) -> None:
    loaded = model.load("ml-m1")
    direct = loaded.lock(platform).direct(loaded.package_set(framework).requirements)
    assert {pin.name: pin.version for pin in direct}[package] == version


def test_a_version_differs_between_platforms_only_where_there_is_no_twin() -> None:
    loaded = model.load("ml-m1")
    mac, linux = (loaded.lock(name).pins for name in ("darwin-arm64", "linux-x86_64"))
    different = {name for name in mac.keys() & linux.keys() if mac[name].version != linux[name].version}
    assert different == {"torch"}


def test_no_lock_holds_an_address() -> None:
    for path in ROOT.glob("**/*.lock"):
        assert "://" not in path.read_text(encoding="utf-8")


def test_an_unknown_key_is_refused_with_its_line(profiles: Path) -> None:
    line = spoil(profiles, "    required: true", "    requierd: true")
    with pytest.raises(UserError) as caught:
        model.load("ml-m1", profiles)
    message = str(caught.value)
    assert f"profile.yml:{line}: unknown key 'requierd' in frameworks.tensorflow" in message
    assert "'required' is a required property" in message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  mlx:", "  mxl:", "'mxl' is not one of"),
        ('python: "3.11"', "python: 3.11", "3.11 is not of type 'string'"),
        ("disk_gb: 8", "disk_gb: a lot", "'a lot' is not of type 'integer'"),
        ("requirements: mlx.in", "requirements: ../mlx.in", "does not match"),
        ("name: ml-m1", "name: other", "is not that of its folder"),
        ("disk_gb: 8", "disk_gb: 8\ndisk_gb: 9", "stands here a second time"),
        ("disk_gb: 8", "disk_gb: [8", "not valid YAML"),
    ],
)
def test_a_malformed_profile_is_refused_where_it_is_wrong(profiles: Path, old: str, new: str, said: str) -> None:
    line = spoil(profiles, old, new)
    with pytest.raises(UserError, match=r"profile\.yml:\d+: ") as caught:
        model.load("ml-m1", profiles)
    assert said in str(caught.value)
    shown = int(str(caught.value).split("profile.yml:", 1)[1].split(":", 1)[0])
    # PyYAML marks an unclosed bracket where it gave up: at or below the place itself.
    assert line <= shown <= line + 2 + 3 * (said == "not valid YAML")


def test_an_unknown_profile_is_refused_with_those_that_exist(profiles: Path) -> None:
    with pytest.raises(UserError, match=r"no profile 'ml-m2'.*ml-m1"):
        model.load("ml-m2", profiles)


def test_a_profile_name_cannot_leave_its_folder(profiles: Path) -> None:
    with pytest.raises(UserError, match="no profile"):
        model.load("../ml-m1", profiles / "ml-m1")


def test_frameworks_come_in_the_profiles_order_and_unknown_ones_are_refused() -> None:
    loaded = model.load("ml-m1")
    assert loaded.select(["mlx", "tensorflow"], "darwin-arm64") == ["tensorflow", "mlx"]
    with pytest.raises(UserError, match=r"'caffe' is unknown.*tensorflow, pytorch, jax, mlx"):
        loaded.select(["mlx", "caffe"], "darwin-arm64")
    with pytest.raises(UserError, match="'pytorch' is not available on linux-aarch64"):
        loaded.select(["pytorch"], "linux-aarch64")
