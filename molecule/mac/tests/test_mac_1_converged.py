"""The course's checklist, row by row, on what is on the disk. (Devices need a real Mac.)"""

import json

import pytest
from macs import BY_HAND, DRIFTED, FRESH, MACS, Mac

LOCKED = (
    ("numpy", "1.26.4"),
    ("pandas", None),
    ("matplotlib", None),
    ("scikit_learn", None),
    ("jupyter", None),
    ("tensorflow", "2.16.1"),
    ("tensorflow_metal", "1.1.0"),
    ("torch", "2.15.0"),
    ("torchvision", "0.29.2"),
    ("torchaudio", "2.11.0"),
    ("jax", "0.4.34"),
    ("jaxlib", "0.4.34"),
    ("jax_metal", "0.1.1"),
    ("mlx", "0.32.4"),
)
every = pytest.mark.parametrize("mac", MACS, ids=lambda mac: mac.name)


@every
def test_the_command_line_tools_work(mac: Mac) -> None:
    assert mac.run("xcode-select -p && git --version").startswith("/Library/Developer/CommandLineTools\ngit version")
    assert mac.run("ls /tmp/.com.apple.dt.CommandLineTools* 2>/dev/null", check=False) == ""


@every
def test_homebrew_belongs_to_the_user_and_is_on_the_path(mac: Mac) -> None:
    assert mac.run("stat -c %U:%G /opt/homebrew") == "ana:admin\n"
    assert "/opt/homebrew/bin/brew" in mac.login("whence -p brew")


def test_homebrew_is_at_its_pinned_release_and_an_older_one_was_left() -> None:
    assert FRESH.run("/opt/homebrew/bin/brew --version") == "Homebrew 6.0.18\n"
    assert DRIFTED.run("/opt/homebrew/bin/brew --version") == "Homebrew 6.0.0\n"


@every
def test_the_brewfile_is_installed(mac: Mac) -> None:
    for tool in ("git", "htop"):
        mac.run(f"test -x /opt/homebrew/bin/{tool}")
    mac.run("test -d '/Applications/Visual Studio Code.app'")


@every
def test_a_new_login_shell_is_in_the_environment(mac: Mac) -> None:
    said = mac.login('print $CONDA_PREFIX; whence -p python; python -c "import platform; print(platform.machine())"')
    assert said == [mac.prefix, f"{mac.prefix}/bin/python", "arm64"]


@every
def test_the_python_is_the_profiles(mac: Mac) -> None:
    records = mac.run(f"ls {mac.prefix}/conda-meta")
    assert "python-3.11." in records
    assert "pip-" in records


@pytest.mark.parametrize("package", LOCKED, ids=lambda package: package[0])
@pytest.mark.parametrize("mac", [FRESH, BY_HAND], ids=lambda mac: mac.name)
def test_the_locked_packages_are_there(mac: Mac, package: tuple[str, str | None]) -> None:
    name, version = package
    assert mac.version(name) == (version or mac.version(name))


def test_only_the_chosen_framework_is_on_the_other() -> None:
    assert DRIFTED.version("mlx") == "0.32.4"
    assert "tensorflow" not in DRIFTED.run(f"ls {DRIFTED.prefix}/lib/python3.11/site-packages")


def test_the_wheels_are_macs() -> None:
    site = f"{FRESH.prefix}/lib/python3.11/site-packages"
    kinds = FRESH.run(f"cd {site} && head -c 4 mlx/core*.so | od -An -tx1; cat mlx-*.dist-info/WHEEL")
    # MH_MAGIC_64 of <mach-o/loader.h>, little-endian.
    assert kinds.startswith(" cf fa ed fe")
    assert "_arm64" in kinds.partition("macosx_")[2]


@every
def test_the_record_names_the_environment(mac: Mac) -> None:
    record = json.loads(mac.run("cat ~/.local/share/metal-lab/ml-m1.json"))
    assert (record["provider"], record["prefix"]) == ("conda", mac.prefix)
    assert record["created"] is (mac is FRESH)


def test_the_environments_variables_are_set_in_a_new_shell() -> None:
    assert FRESH.login('print "$KERAS_BACKEND/$ENABLE_PJRT_COMPATIBILITY"') == ["tensorflow/1"]


def test_a_start_up_file_that_was_written_by_hand_is_adopted() -> None:
    lines = BY_HAND.run("cat ~/.zshrc").splitlines()
    assert lines[0] == "setopt autocd"
    assert lines.count("# >>> conda initialize >>>") == 1
    assert sum(line.startswith("# >>> metal-lab") for line in lines) == 1
    assert BY_HAND.run("cat ~/.zprofile 2>/dev/null", check=False) == ""


def test_linked_start_up_files_stay_links_and_keep_their_lines() -> None:
    assert DRIFTED.run("readlink ~/.zshrc ~/.zprofile") == "dotfiles/zshrc\ndotfiles/zprofile\n"
    assert DRIFTED.run("head -2 ~/dotfiles/zshrc") == '# from my dotfiles\nalias gs="git status"\n'
    assert DRIFTED.run("head -1 ~/dotfiles/zprofile") == "# mine too\n"


def test_the_users_own_conda_packages_are_kept() -> None:
    assert "htop-3.4.1" in BY_HAND.run(f"ls {BY_HAND.prefix}/conda-meta")
    assert "ffmpeg-8.0.1" in DRIFTED.run(f"ls {DRIFTED.prefix}/conda-meta")
