"""The course's checklist, row by row, on what is on the disk. (Devices need a real Mac.)"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from macs import BY_HAND, DRIFTED, FRESH, MACS, Mac, converge, verify

from tests.helpers.pins import homebrew, locked

LOCKED = (
    *("numpy", "pandas", "matplotlib", "scikit-learn", "jupyter"),
    *("tensorflow", "tensorflow-metal", "torch", "torchvision", "torchaudio", "jax", "jaxlib", "jax-metal", "mlx"),
)


def folder(*packages: str) -> list[str]:
    """Their dist-info folders, without what follows the version."""
    return [f"{name.replace('-', '_')}-{locked(name)}" for name in packages]


def missing(*packages: str) -> tuple[str, ...]:
    """What verify says of them where they are not there."""
    return tuple(f"{name} {locked(name)} is missing" for name in packages)


every = pytest.mark.parametrize("mac", MACS, ids=lambda mac: mac.name)


@every
def test_the_command_line_tools_work(mac: Mac) -> None:
    assert mac.run("xcode-select -p && git --version").startswith("/Library/Developer/CommandLineTools\ngit version")
    assert mac.run("ls /tmp/.com.apple.dt.CommandLineTools* 2>/dev/null", check=False) == ""


@every
def test_homebrew_belongs_to_the_user_and_is_on_the_path(mac: Mac) -> None:
    assert mac.run("stat -c %U:%G /opt/homebrew") == "ana:admin\n"
    assert "/opt/homebrew/bin/brew" in mac.login("whence -p brew")


def test_homebrew_is_as_its_installer_leaves_it() -> None:
    assert FRESH.run("cat /etc/paths.d/homebrew") == "/opt/homebrew/bin\n"
    assert FRESH.run("stat -c '%U %a' /etc/paths.d/homebrew") == "root 644\n"
    links = {
        "etc/bash_completion.d/brew": "../../completions/bash/brew",
        "share/zsh/site-functions/_brew": "../../../completions/zsh/_brew",
        "share/man/man1/brew.1": "../../../manpages/brew.1",
        "share/doc/homebrew": "../../docs",
    }
    for place, target in links.items():
        assert FRESH.run(f"readlink /opt/homebrew/{place}") == f"{target}\n"
    assert FRESH.run("git -C /opt/homebrew symbolic-ref refs/remotes/origin/HEAD") == "refs/remotes/origin/main\n"


def test_homebrew_is_at_its_pinned_release_and_an_older_one_was_left() -> None:
    assert FRESH.run("/opt/homebrew/bin/brew --version") == f"Homebrew {homebrew()}\n"
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


@pytest.mark.parametrize("package", LOCKED)
@pytest.mark.parametrize("mac", [FRESH, BY_HAND], ids=lambda mac: mac.name)
def test_the_locked_packages_are_there(mac: Mac, package: str) -> None:
    assert mac.version(package.replace("-", "_")) == locked(package)


def test_only_the_chosen_framework_is_on_the_other() -> None:
    assert DRIFTED.version("mlx") == locked("mlx")
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


SHELLENV = 'eval "$(/opt/homebrew/bin/brew shellenv)"'


def test_a_start_up_file_that_was_written_by_hand_is_adopted() -> None:
    """Nothing doubled and nothing lost: the course's lines are gone from where the block does their work."""
    before, after = (BY_HAND.run(f"cat {place}/.zshrc").splitlines() for place in ("~/as-it-was", "~"))
    assert before.count("conda activate ml-m1") == before.count(SHELLENV) == 2
    begin, end = after.index("# >>> metal-lab ml-m1 >>>"), after.index("# <<< metal-lab ml-m1 <<<")
    kept = [line for line in before if line != "conda activate ml-m1"]
    kept.remove(SHELLENV)
    assert after[:begin] + after[end + 1 :] == kept
    assert "    conda activate ml-m1" in kept
    assert begin > after.index("# <<< conda initialize <<<")
    assert BY_HAND.run("cat ~/.zprofile") == f"{SHELLENV}\n"


def test_a_start_up_file_that_was_written_by_hand_is_kept_as_it_was() -> None:
    for name in (".zshrc", ".zprofile"):
        BY_HAND.run(f"cmp ~/as-it-was/{name} ~/{name}.before-metal-lab")
    kept = BY_HAND.run("cd && stat -c '%a %U:%G' .zshrc .zshrc.before-metal-lab .zprofile .zprofile.before-metal-lab")
    assert kept == "600 ana:staff\n" * 2 + "644 ana:staff\n" * 2


def test_the_next_run_adopts_nothing_more_and_a_line_that_is_back_goes_again() -> None:
    before = BY_HAND.run("cat ~/.zshrc ~/.zprofile ~/*.before-metal-lab ~/.*.before-metal-lab 2>/dev/null", check=False)
    BY_HAND.run("echo 'conda activate ml-m1' >>~/.zshrc")
    assert converge("--limit", "by-hand", "--tags", "shell").recap("by-hand")["changed"] == 1
    assert converge("--limit", "by-hand", "--tags", "shell").recap("by-hand")["changed"] == 0
    after = BY_HAND.run("cat ~/.zshrc ~/.zprofile ~/*.before-metal-lab ~/.*.before-metal-lab 2>/dev/null", check=False)
    assert after == before


def test_the_block_follows_condas_into_a_file_that_is_read_later() -> None:
    """.zlogin is read after .zshrc: from there conda's block would put base first again."""
    block = "/>>> conda initialize/,/<<< conda initialize/"
    BY_HAND.run(f"cp -p ~/.zshrc ~/zshrc; sed -n '{block}p' ~/.zshrc >~/.zlogin; sed -i '{block}d' ~/.zshrc")
    try:
        assert BY_HAND.login("print $CONDA_PREFIX") == [BY_HAND.conda]
        assert converge("--limit", "by-hand", "--tags", "shell").recap("by-hand")["changed"] == 1
        assert BY_HAND.login("print $CONDA_PREFIX; whence -p python") == [
            BY_HAND.prefix,
            f"{BY_HAND.prefix}/bin/python",
        ]
        assert "metal-lab" not in BY_HAND.run("cat ~/.zshrc")
    finally:
        BY_HAND.run("rm ~/.zlogin; mv ~/zshrc ~/.zshrc")
    assert converge("--limit", "by-hand", "--tags", "shell").recap("by-hand")["changed"] == 1
    assert converge("--limit", "by-hand", "--tags", "shell").recap("by-hand")["changed"] == 0


def test_linked_start_up_files_stay_links_and_keep_their_lines() -> None:
    assert DRIFTED.run("readlink ~/.zshrc ~/.zprofile") == "dotfiles/zshrc\ndotfiles/zprofile\n"
    assert DRIFTED.run("head -2 ~/dotfiles/zshrc") == '# from my dotfiles\nalias gs="git status"\n'
    assert DRIFTED.run("head -1 ~/dotfiles/zprofile") == "# mine too\n"


def test_the_users_own_conda_packages_are_kept() -> None:
    assert "htop-3.4.1" in BY_HAND.run(f"ls {BY_HAND.prefix}/conda-meta")
    assert "ffmpeg-8.0.1" in DRIFTED.run(f"ls {DRIFTED.prefix}/conda-meta")


@every
def test_verify_finds_nothing_wrong(mac: Mac, tmp_path: Path) -> None:
    health = verify(mac, tmp_path)
    assert (health.code, health.failed) == (0, {})
    skipped = {name for name, (result, _, _) in health.checks.items() if result == "skip"}
    frameworks = {f"packages.{name}" for name in ("tensorflow", "pytorch", "jax")}
    assert skipped == (frameworks if mac is DRIFTED else set())


@contextmanager
def without(change: str, restore: str) -> Iterator[None]:
    """The fresh Mac with something taken away, and put back."""
    FRESH.run(change)
    try:
        yield
    finally:
        FRESH.run(restore)


def away(*paths: str) -> tuple[str, str]:
    """Move things aside, and back."""
    return "".join(f"mv '{path}' '{path}.gone'; " for path in paths), "".join(
        f"mv '{path}.gone' '{path}'; " for path in paths
    )


def edited(path: str, command: str) -> tuple[str, str]:
    """Edit a file with sed, and put the old one back."""
    return f"cp -p {path} {path}.gone; sed -i '{command}' {path}", f"mv {path}.gone {path}"


def lying(lie: str) -> tuple[str, str]:
    """Have the environment's Python say something else of itself."""
    place = f"{SITE}/lie.pth"
    return f"echo 'import platform; platform.{lie}' >{place}", f"rm {place}"


SITE = f"{FRESH.prefix}/lib/python3.11/site-packages"


def packages(*names: str) -> tuple[str, str]:
    """Take packages' metadata away, by which installers know them; names may have stars."""
    room = "/Users/ana/gone"
    places = " ".join(f"{SITE}/{name}.dist-info" for name in names)
    return f"mkdir {room}; mv {places} {room}", f"mv {room}/* {SITE}; rmdir {room}"


# What is taken away, the checks that miss it with their faults, and what the first says.
CHECKLIST: dict[str, tuple[tuple[str, str], dict[str, str], tuple[str, ...]]] = {
    "homebrew": (
        away("/opt/homebrew/bin/brew"),
        # A shell cannot ask for Homebrew's environment either.
        {"system.homebrew": "not-installed", "shell.homebrew": "not-on-path"},
        ("/opt/homebrew/bin/brew is not there",),
    ),
    "brew shellenv": (away("/Users/ana/.zprofile"), {"shell.homebrew": "not-on-path"}, ("HOMEBREW_PREFIX is not set",)),
    "git": (away("/opt/homebrew/Cellar/git"), {"system.formulae": "not-installed"}, ("git is not installed",)),
    "htop": (away("/opt/homebrew/Cellar/htop"), {"system.formulae": "not-installed"}, ("htop is not installed",)),
    "visual studio code": (
        away("/Applications/Visual Studio Code.app"),
        {"system.casks": "not-installed"},
        ("/Applications/Visual Studio Code.app of visual-studio-code is gone",),
    ),
    "miniforge": (
        away(FRESH.conda),
        # The environment lies in it.
        {"system.conda": "not-installed", "environment.python": "no-answer"},
        (f"{FRESH.conda}/bin/conda is not there",),
    ),
    "conda init": (
        edited("~/.zshrc", "/>>> conda initialize/,/<<< conda initialize/d"),
        {"shell.conda": "not-on-path"},
        (f"{FRESH.conda}/bin/conda init",),
    ),
    "arm64 python": (
        lying('machine = lambda: "x86_64"'),
        {"environment.python": "wrong-python"},
        ("a Python for x86_64 on arm64",),
    ),
    "python 3.11": (
        lying('python_version = lambda: "3.12.1"'),
        {"environment.python": "wrong-python"},
        ("Python 3.12.1 instead of 3.11",),
    ),
    "the environment": (away(FRESH.prefix), {"environment.python": "no-answer"}, (f"{FRESH.prefix}/bin/python: ",)),
    "its activation": (
        edited("~/.zshrc", "/>>> metal-lab/,/<<< metal-lab/d"),
        {"shell.login": "not-on-path"},
        (f"not that of {FRESH.prefix}",),
    ),
    "base packages": (
        packages(*folder("numpy", "pandas", "matplotlib", "scikit-learn", "jupyter")),
        {"packages.base": "wrong-versions"},
        missing("numpy"),
    ),
    "tensorflow": (away(f"{SITE}/tensorflow"), {"packages.tensorflow": "damaged"}, ("tensorflow: ", "more")),
    "tensorflow-metal": (
        packages(*folder("tensorflow", "tensorflow-metal")),
        {"packages.tensorflow": "wrong-versions"},
        missing("tensorflow", "tensorflow-metal"),
    ),
    "torch, vision, audio": (
        packages(*folder("torch", "torchvision", "torchaudio")),
        {"packages.pytorch": "wrong-versions"},
        missing("torch", "torchvision", "torchaudio"),
    ),
    "jax-metal": (packages(*folder("jax-metal")), {"packages.jax": "wrong-versions"}, missing("jax-metal")),
    "mlx": (away(f"{SITE}/mlx"), {"packages.mlx": "damaged"}, ("mlx",)),
}


@pytest.mark.parametrize("row", CHECKLIST)
def test_each_row_of_the_checklist_is_missed_when_it_is_taken_away(row: str, tmp_path: Path) -> None:
    change, faults, said = CHECKLIST[row]
    with without(*change):
        health = verify(FRESH, tmp_path)
    assert (health.code, health.failed) == (1, faults)
    message = health.checks[next(iter(faults))][2]
    for part in said:
        assert part in message
