"""Which conda is used, which place is free for one, and whether a shell knows it."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import terminal
from ansible_collections.metal_lab.macs.plugins.module_utils.lab_record import being_made
from ansible_collections.metal_lab.macs.plugins.modules import conda_installation, miniforge_install
from ansible_collections.metal_lab.macs.plugins.modules.conda_installation import CondaFoundError, find, platform_of

from tests.helpers.plugins import run_module


def knows(root: Path, shell: str, zdotdir: str) -> bool:
    return terminal.knows_conda(str(root), shell, Path.home(), zdotdir)


def make(root: Path, subdir: str = "osx-arm64") -> Path:
    """A conda installation as far as it is looked at."""
    (root / "bin").mkdir(parents=True)
    (root / "conda-meta").mkdir()
    (root / "bin" / "conda").touch(mode=0o755)
    (root / "conda-meta" / "a-noarch.json").write_text(json.dumps({"name": "a", "subdir": "noarch"}))
    (root / "conda-meta" / "python-3.12.json").write_text(json.dumps({"name": "python", "subdir": subdir}))
    return root


def test_the_first_that_is_there_is_used(tmp_path: Path) -> None:
    mamba = make(tmp_path / "mambaforge")
    make(tmp_path / "miniconda3")
    places = [tmp_path / name for name in ("miniforge3", "mambaforge", "miniconda3")]
    assert find(places, tmp_path / "miniforge3", "osx-arm64") == mamba


def test_a_free_place_is_free(tmp_path: Path) -> None:
    prefix = tmp_path / "miniforge3"
    assert find([prefix], prefix, "osx-arm64") is None
    prefix.mkdir()
    assert find([prefix], prefix, "osx-arm64") is None


def test_one_made_for_intel_is_passed_over_and_where_it_takes_the_place_refused(tmp_path: Path) -> None:
    intel = make(tmp_path / "miniforge3", "osx-64")
    ours = make(tmp_path / "miniconda3")
    assert find([intel, ours], intel, "osx-arm64") == ours
    assert find([intel], tmp_path / "other", "osx-arm64") is None
    with pytest.raises(CondaFoundError, match=r"made for osx-64\. Needed: osx-arm64"):
        find([intel], intel, "osx-arm64")


def test_a_prefix_may_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root = make(tmp_path / "disk" / "conda")
    link = tmp_path / "miniforge3"
    link.symlink_to(root)
    assert find([link], link, "osx-arm64") == link
    for named in (root, link):
        (tmp_path / ".zshrc").write_text(block(named))
        assert knows(link, "zsh", "")
        assert knows(root, "zsh", "")


def test_a_damaged_record_does_not_say_what_it_is_made_for(tmp_path: Path) -> None:
    found = make(tmp_path / "miniconda3")
    for name, content in (("a.json", b"{"), ("b.json", b"\xff\xfe"), ("c.json", b"[]")):
        (found / "conda-meta" / name).write_bytes(content)
    (found / "conda-meta" / "d.json").mkdir()
    assert platform_of(found) == "osx-arm64"


def test_of_several_blocks_one_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "miniforge3"
    others = [block(tmp_path / name) for name in ("anaconda3", "miniconda3")]
    (tmp_path / ".zshrc").write_text(f"{others[0]}{block(root)}{others[1]}")
    assert knows(root, "zsh", "")
    (tmp_path / ".zshrc").write_text("".join(others))
    assert not knows(root, "zsh", "")
    (tmp_path / ".zshrc").unlink()
    (tmp_path / ".zshrc").mkdir()
    assert not knows(root, "zsh", "")


def test_one_that_does_not_say_what_it_is_made_for_is_used(tmp_path: Path) -> None:
    found = make(tmp_path / "miniconda3", "noarch")
    assert platform_of(found) == ""
    assert find([found], tmp_path / "miniforge3", "osx-arm64") == found


@pytest.mark.parametrize("lacking", ["program", "permission", "packages"])
def test_half_a_conda_is_none(tmp_path: Path, lacking: str) -> None:
    prefix = make(tmp_path / "miniconda3")
    if lacking == "program":
        (prefix / "bin" / "conda").unlink()
    elif lacking == "permission":
        (prefix / "bin" / "conda").chmod(0o644)
    else:
        (prefix / "conda-meta").rename(prefix / "meta")
    assert find([prefix], tmp_path / "miniforge3", "osx-arm64") is None


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    prefix = tmp_path / "miniforge3"
    prefix.mkdir()
    (prefix / "thesis").touch()
    with pytest.raises(CondaFoundError, match="nothing is overwritten"):
        find([prefix], prefix, "osx-arm64")
    with pytest.raises(CondaFoundError, match="nothing is overwritten"):
        find([], prefix / "thesis", "osx-arm64")


def test_an_installation_that_was_cut_off_counts_as_none(tmp_path: Path) -> None:
    prefix = make(tmp_path / "miniforge3")
    being_made(prefix).touch()
    assert find([prefix], prefix, "osx-arm64") is None


def block(root: Path, quote: str = "'") -> str:
    """conda's own block, with the line that names the installation."""
    setup = f"__conda_setup=\"$({quote}{root}/bin/conda{quote} 'shell.zsh' 'hook')\""
    return f"# >>> conda initialize >>>\n{setup}\n# <<< conda initialize <<<\n"


@pytest.mark.parametrize(
    ("name", "shell", "zdotdir", "known"),
    [
        (".zshrc", "zsh", "", True),
        (".zprofile", "zsh", "", True),
        (".zlogin", "zsh", "", True),
        (".bashrc", "zsh", "", False),
        (".zshrc", "bash", "", False),
        (".bash_profile", "bash", "", True),
        (".bashrc", "bash", "", True),
        (".zshrc", "fish", "", False),
        (".zshrc", "zsh", "dots", False),
        ("dots/.zshrc", "zsh", "dots", True),
        ("dots/.bashrc", "bash", "dots", False),
    ],
)
def test_a_shell_knows_the_conda_whose_block_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shell: str, zdotdir: str, known: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root, folder = tmp_path / "miniforge3", str(tmp_path / zdotdir) if zdotdir else ""
    (tmp_path / "dots").mkdir()
    assert not knows(root, shell, folder)
    for quote in ("'", '"'):
        (tmp_path / name).write_bytes(b"# caf\xe9\n" + block(root, quote).encode() + b"x\n")
        assert knows(root, shell, folder) is known
    assert not knows(tmp_path / "other", shell, folder)


def test_what_stands_outside_condas_block_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "miniforge3"
    before, after = f"'{root}/bin/conda'\n", f'"{root}/bin/conda"\n'
    (tmp_path / ".zshrc").write_text(f"{before}{block(tmp_path / 'other')}{after}")
    assert not knows(root, "zsh", "")


def look(folder: Path, *, check: bool = False, **options: Any) -> dict[str, Any]:
    base = {"prefix": str(folder / "miniforge3"), "places": [str(folder / "mambaforge")], "subdir": "osx-arm64"}
    shell = {"shell": "zsh", "zdotdir": "", "init": True}
    return run_module(conda_installation.main, {**base, **shell, **options}, check=check)


def test_the_module_tells_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    seen = look(tmp_path)
    prefix = str(tmp_path / "miniforge3")
    assert (seen["changed"], seen["present"], seen["root"], seen["initialised"]) == (False, False, prefix, False)
    assert seen["ansible_facts"] == {"metal_lab_conda": {"root": prefix, "init": True}}
    root = make(tmp_path / "mambaforge")
    (tmp_path / ".zshrc").write_text(block(root))
    seen = look(tmp_path, check=True, init=False)
    assert (seen["changed"], seen["present"], seen["root"], seen["initialised"]) == (False, True, str(root), True)
    assert seen["ansible_facts"] == {"metal_lab_conda": {"root": str(root), "init": False}}
    assert look(tmp_path, subdir="osx-64")["present"] is False
    assert "made for osx-arm64. Needed: osx-64" in look(tmp_path, subdir="osx-64", prefix=str(root))["msg"]


INSTALLER = """
[ "$1 $2" = "-b -p" ] && [ -e "$(dirname "$3")/.$(basename "$3").being-made" ] && [ ! -e "$3" ] || exit 64
mkdir -p "$3/bin" && echo "out of it" && echo "on stderr" >&2
printf '%s' "$CONTENT" >"$3/bin/conda" && chmod "$MODE" "$3/bin/conda"
exit "$CODE"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Miniforge goes; beside it, an installer that does as its environment says."""
    (tmp_path / "installer.sh").write_text(INSTALLER)
    for name, value in (("CONTENT", "conda"), ("MODE", "755"), ("CODE", "0")):
        monkeypatch.setenv(name, value)
    return tmp_path / "a folder" / "below" / "miniforge3"


def install(place: Path, *, check: bool = False) -> dict[str, Any]:
    options = {"installer": str(place.parents[2] / "installer.sh"), "prefix": str(place)}
    return run_module(miniforge_install.main, options, check=check)


def test_miniforge_is_installed_whole(place: Path) -> None:
    told = {"before": "", "after": f"Miniforge in {place}\n"}
    would = install(place, check=True)
    assert (would["changed"], would["diff"], place.parent.exists()) == (True, told, False)
    made = install(place)
    assert (made["changed"], made["diff"]) == (True, told)
    assert [path.name for path in place.parent.iterdir()] == ["miniforge3"]


def test_an_empty_folder_is_taken_and_a_full_one_is_not(place: Path) -> None:
    place.mkdir(parents=True)
    assert install(place)["changed"]
    with pytest.raises(OSError, match="not empty"):
        install(place)
    assert (place / "bin" / "conda").exists()


def test_an_installation_that_was_cut_off_starts_over(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing of it was there yet, and where the installer reported no failure."""
    for code, mode in (("1", "755"), ("0", "644")):
        monkeypatch.setenv("CODE", code)
        monkeypatch.setenv("MODE", mode)
        failed = install(place)
        assert failed["failed"]
        assert f"ended with exit code {code}, and there was no working {place}/bin/conda" in failed["msg"]
        assert failed["msg"].endswith("It said:\nout of it\n\non stderr")
        # Nothing is left by which what a user installs there by hand could be taken for half an installation.
        assert list(place.parent.iterdir()) == []
    monkeypatch.setenv("MODE", "755")
    (place / "bin").mkdir(parents=True)
    being_made(place).touch()
    assert install(place)["changed"]
    assert not being_made(place).exists()


def test_one_that_was_cut_off_and_holds_environments_is_left(place: Path) -> None:
    (place / "envs" / "thesis" / "conda-meta").mkdir(parents=True)
    being_made(place).touch()
    assert f"If that conda works, delete {being_made(place)}" in install(place)["msg"]
    assert (place / "envs" / "thesis").exists()
    assert being_made(place).exists()


def test_of_what_the_installer_said_the_end_is_shown(place: Path) -> None:
    """It lists every package: a message has room for what it died of."""
    (place.parents[2] / "installer.sh").write_text("printf '%0990d\\n%01006dend' 0 1; exit 1\n")
    assert install(place)["msg"].partition("It said:\n")[2] == f"{'0' * 990}\n{'0' * 1005}1end"
    (place.parents[2] / "installer.sh").write_text("printf 'x%0990d\\n%01006dend' 0 1; exit 1\n")
    assert install(place)["msg"].partition("It said:\n")[2] == f"{'0' * 990}\n{'0' * 1005}1end"
