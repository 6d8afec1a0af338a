"""A profile is read strictly, and every refusal names the file, the line and the way out."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from verify import ROOT
from verify.errors import UserError
from verify.profile import model, names, yaml_lines


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
    ("platform", "framework", "package"),
    [
        ("darwin-arm64", "tensorflow", "tensorflow"),
        ("darwin-arm64", "tensorflow", "tensorflow-metal"),
        ("linux-x86_64", "tensorflow", "tensorflow-cpu"),
        ("darwin-arm64", "pytorch", "torch"),
        ("linux-x86_64", "pytorch", "torch"),
        ("darwin-arm64", "jax", "jax-metal"),
        ("linux-aarch64", "jax", "jaxlib"),
        ("darwin-arm64", "mlx", "mlx"),
        ("darwin-arm64", "base", "numpy"),
    ],
)
def test_the_locks_hold_what_the_profile_is_made_of(platform: str, framework: str, package: str) -> None:
    loaded = model.load("ml-m1")
    direct = loaded.lock(platform).direct(loaded.package_set(framework).requirements)
    assert package in {pin.name for pin in direct}


def test_a_version_differs_between_platforms_only_where_there_is_no_twin() -> None:
    loaded = model.load("ml-m1")
    mac, linux = (loaded.lock(name).pins for name in ("darwin-arm64", "linux-x86_64"))
    different = {name for name in mac.keys() & linux.keys() if mac[name].version != linux[name].version}
    assert different == {"torch"}


def test_no_lock_holds_an_address() -> None:
    for path in ROOT.glob("**/*.lock"):
        assert "://" not in path.read_text(encoding="utf-8")


def test_a_profile_that_is_broken_spoils_no_other_ones_titles(profiles: Path) -> None:
    titles = model.titles(profiles)
    assert titles["pytorch"] == "PyTorch"
    shutil.copytree(profiles / "ml-m1", profiles / "broken")
    assert model.titles(profiles) == titles


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
        ("  mlx:", "  mxl:", "needed is verify/probes/mxl.py"),
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


def own(profiles: Path, name: str = "lecture") -> Path:
    """A profile of one's own, outside the project's folder of profiles."""
    folder = profiles / "mine" / name
    shutil.copytree(profiles / "ml-m1", folder)
    text = (folder / "profile.yml").read_text(encoding="utf-8")
    (folder / "profile.yml").write_text(text.replace("name: ml-m1", f"name: {name}"), encoding="utf-8")
    return folder


def test_a_profile_of_ones_own_is_named_by_its_folders_path(profiles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own(profiles)
    monkeypatch.chdir(profiles)
    monkeypatch.setenv("HOME", str(profiles))
    for which in (str(folder), f"{folder}/", "mine/lecture", "./mine/lecture", "~/mine/lecture"):
        loaded = model.load(which)
        assert (loaded.name, loaded.directory, loaded.reference) == ("lecture", folder, str(folder))
        assert names.name_of(which) == "lecture"
        assert loaded.lock("darwin-arm64").pins
    # What stands for it is found from any other folder.
    monkeypatch.chdir("/")
    assert model.load(loaded.reference) == loaded
    assert model.load("ml-m1").reference == "ml-m1"


def test_a_folder_without_a_profile_is_refused_and_so_is_one_with_a_name_that_is_taken(profiles: Path) -> None:
    with pytest.raises(UserError, match=r"There is no .*/mine/profile\.yml\. Set `profile` to a folder"):
        model.load(str(own(profiles).parent))
    with pytest.raises(UserError, match=r"'ml-m1' is a profile in .*Give the folder another name"):
        model.load(str(own(profiles, "ml-m1")), profiles)
    with pytest.raises(UserError, match="the name 'lecture' is not that of its folder, 'other'"):
        model.load(str((profiles / "mine" / "lecture").rename(profiles / "mine" / "other")))


def test_who_names_no_profile_has_the_default_one() -> None:
    assert model.load("").name == names.name_of("") == names.DEFAULT
    assert names.name_of("gone/for/good") == "good"


def test_frameworks_come_in_the_profiles_order_and_unknown_ones_are_refused() -> None:
    loaded = model.load("ml-m1")
    assert loaded.select(["mlx", "tensorflow"], "darwin-arm64") == ["tensorflow", "mlx"]
    with pytest.raises(UserError, match=r"'caffe' is unknown.*tensorflow, pytorch, jax, mlx"):
        loaded.select(["mlx", "caffe"], "darwin-arm64")
    with pytest.raises(UserError, match="'pytorch' is not available on linux-aarch64"):
        loaded.select(["pytorch"], "linux-aarch64")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: ml-m1", "name: other", "the name 'other' is not that of its folder, 'ml-m1'"),
        (
            "    required: true",
            "    requierd: true",
            "unknown key 'requierd' in frameworks.tensorflow; known are device,",
        ),
        ('python: "3.11"', "python: 3.11", "python: 3.11 is not of type 'string'"),
        (
            "disk_gb: 8",
            "disk_gb: 8\nextra: 1",
            "unknown key 'extra' in the profile; known are accepted_findings, base,",
        ),
        ("  mlx:", "  mxl:", "frameworks.mxl: no probe shows that it works"),
        ("  mlx:", "  base:", "frameworks: "),
        ("requirements: mlx.in", "requirements: ../mlx.in", "frameworks.mlx.requirements: '../mlx.in' does not match"),
        ("disk_gb: 8", "disk_gb: 8\ndisk_gb: 9", "the key 'disk_gb' stands here a second time"),
        ("linux-aarch64:", "linux-riscv:", "platforms: 'linux-riscv' is not one of"),
    ],
)
def test_a_refusal_names_its_own_line(profiles: Path, old: str, new: str, said: str) -> None:
    line = spoil(profiles, old, new) + new.count("\n")
    with pytest.raises(UserError) as caught:
        model.load("ml-m1", profiles)
    assert f"profile.yml:{line}: {said}" in str(caught.value)


def test_every_fault_is_told_at_once(profiles: Path) -> None:
    first = spoil(profiles, "disk_gb: 8", "disk_gb: a lot\nextra: 1\nmore: 2")
    with pytest.raises(UserError) as caught:
        model.load("ml-m1", profiles)
    lines = str(caught.value).splitlines()
    assert [line.split("profile.yml:")[1].split(":")[0] for line in lines] == [
        str(first + 1),
        str(first + 2),
        str(first),
    ]


def test_a_device_of_an_unknown_platform_is_refused(profiles: Path) -> None:
    spoil(profiles, "  linux-aarch64:\n    uv_platform: aarch64-manylinux_2_35\n", "")
    line = spoil(profiles, "      linux-aarch64: CPU", "      linux-aarch64: CPU")
    with pytest.raises(UserError, match=f"profile.yml:{line}: the platform 'linux-aarch64' is not among `platforms`$"):
        model.load("ml-m1", profiles)


def test_what_is_optional_in_a_profile(profiles: Path) -> None:
    path = profiles / "ml-m1" / "profile.yml"
    text = path.read_text(encoding="utf-8").partition("accepted_findings:")[0]
    path.write_text(text, encoding="utf-8")
    loaded = model.load("ml-m1", profiles)
    assert loaded.accepted_findings == ()
    assert (loaded.directory, loaded.name) == (profiles / "ml-m1", "ml-m1")
    assert loaded.package_set("base") is loaded.base
    assert loaded.package_set("mlx") is loaded.frameworks["mlx"]
    assert loaded.base.name == "base"
    with pytest.raises(UserError, match=r"'ml-m1' is not made for plan9-mips. It knows darwin-arm64, "):
        loaded.lock_path("plan9-mips")


def test_a_lock_depends_on_its_inputs(profiles: Path) -> None:
    """Python, the day, the platform and each requirements file; nothing else."""
    loaded = model.load("ml-m1", profiles)
    mac = loaded.platform("darwin-arm64")
    before = loaded.lock_inputs("darwin-arm64")
    head = f"3.11\n{loaded.locked_on}\n{mac.uv_platform}\n{mac.macos_deployment_target}".encode()
    files = sorted((profiles / "ml-m1").glob("*.in"))
    assert loaded.requirements_files() == files
    assert before == b"\0".join([head, *(path.name.encode() + b"\n" + path.read_bytes() for path in files)])
    linux = loaded.platform("linux-x86_64")
    assert loaded.lock_inputs("linux-x86_64").startswith(f"3.11\n{loaded.locked_on}\n{linux.uv_platform}\n\0".encode())
    assert replace(loaded, disk_gb=1).lock_inputs("darwin-arm64") == before
    (profiles / "ml-m1" / "mlx.in").unlink()
    with pytest.raises(UserError, match=r"mlx\.in: cannot be read"):
        loaded.lock_inputs("darwin-arm64")


def test_profiles_are_those_with_a_file(profiles: Path) -> None:
    (profiles / "empty").mkdir()
    assert model.names(profiles) == ["ml-m1"]
    shutil.rmtree(profiles / "ml-m1")
    with pytest.raises(UserError, match="It has: none"):
        model.load("ml-m1", profiles)


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text("# a comment\na: 1\nb:\n  - x\n  - c: 2\n    d:\n      3\n", encoding="utf-8")
    read = yaml_lines.load(file)
    assert read.data == {"a": 1, "b": ["x", {"c": 2, "d": 3}]}
    assert read.lines == {
        (): 2,
        ("a",): 2,
        ("b",): 3,
        ("b", 0): 4,
        ("b", 1): 5,
        ("b", 1, "c"): 5,
        ("b", 1, "d"): 6,
    }
    file.write_text("", encoding="utf-8")
    assert yaml_lines.load(file) == yaml_lines.Located(None, {})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: [\n", r"x\.yml:3: not valid YAML: did not find expected"),
        (b"a: 1\nb: 1\na: 2\n", r"x\.yml:3: the key 'a' stands here a second time"),
        (b"a:\n- b: 1\n  b: 2\n", r"x\.yml:3: the key 'b' stands here a second time"),
        (b"a: \xff\n", r"x\.yml: cannot be read: 'utf-8' codec"),
        (b"a: \x01\n", r"x\.yml: not valid YAML: unacceptable character"),
        (None, r"x\.yml: cannot be read: .*No such file"),
    ],
)
def test_what_is_no_yaml(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "x.yml").write_bytes(content)
    with pytest.raises(UserError, match=said):
        yaml_lines.load(tmp_path / "x.yml")
