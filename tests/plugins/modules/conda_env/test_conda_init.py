"""conda's own block in a start-up file: what `conda init` writes, and no other line touched."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record, terminal
from ansible_collections.metal_lab.macs.plugins.module_utils.terminal import Terminal
from ansible_collections.metal_lab.macs.plugins.modules import conda_init
from ansible_collections.metal_lab.macs.plugins.modules.conda_init import block, half_block, with_block

from tests.helpers import conda_transcripts
from tests.helpers.plugins import run_module
from tests.plugins.modules.conda_env.conftest import Lab

ROOT = "/Users/ana/miniforge3"
BLOCK = block(ROOT, "zsh")
OURS = "# >>> metal-lab ml-m1 >>>\nx\n# <<< metal-lab ml-m1 <<<\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose new terminals know no conda."""
    monkeypatch.setenv("HOME", str(tmp_path))
    says(monkeypatch)
    return tmp_path


def says(monkeypatch: pytest.MonkeyPatch, **said: Any) -> None:
    monkeypatch.setattr(terminal, "ask", lambda: Terminal("/bin/zsh", "", **said))


def init(*, check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module(conda_init.main, {"root": ROOT, "shell": "zsh", **options}, check=check)


def test_the_block_is_written_once_and_in_check_mode_not_at_all(home: Path) -> None:
    place = home / ".zshrc"
    place.write_text("alias ll='ls -l'\n")
    place.chmod(0o600)
    would = init(check=True)
    assert (would["changed"], place.read_text()) == (True, "alias ll='ls -l'\n")
    made = init()
    assert (made["changed"], made["diff"]) == (True, would["diff"])
    assert made["diff"]["after"] == place.read_text() == f"alias ll='ls -l'\n\n{BLOCK}\n"
    assert place.stat().st_mode & 0o777 == 0o600
    assert init()["changed"] is False


def test_the_stand_ins_conda_knows_it_for_its_own(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "ask", lambda: Terminal("/bin/zsh", ""))
    assert init(root=str(lab.root))["changed"]
    before = (lab.home / ".zshrc").read_text()
    line = [str(lab.root / "bin" / "conda"), "init", "zsh"]
    done = subprocess.run(line, env=lab.environment, capture_output=True, text=True, check=True)
    assert "No action taken." in done.stdout
    assert (lab.home / ".zshrc").read_text() == before


def test_it_goes_where_the_shell_looks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".zshrc").touch()
    (home / ".profile").write_text("mine\n")
    assert init(zdotdir=str(home / "dots"))["changed"]
    assert (home / "dots" / ".zshrc").exists()
    assert (home / ".zshrc").read_text() == ""
    # conda itself makes a .bash_profile on a Mac, which hides this one.
    monkeypatch.setattr(terminal, "is_login", lambda: True)
    assert init(shell="bash")["changed"]  # noqa: S604 (an option)
    assert (home / ".profile").read_text() == f"mine\n\n{block(ROOT, 'bash')}\n"
    assert not (home / ".bash_profile").exists()


def test_it_comes_before_ours_and_is_never_within_something(home: Path) -> None:
    place = home / ".zshrc"
    place.write_text(f"one\n{OURS}two\n")
    assert init()["changed"]
    assert place.read_text() == f"one\n\n{BLOCK}\n{OURS}two\n"
    for text in (f"if true; then\n{OURS}fi\n", f"cat <<EOF\n{OURS}EOF\n"):
        assert with_block(text, BLOCK) == f"{text}\n{BLOCK}\n"
    assert with_block("one \\", BLOCK) == f"one \\\n\n{BLOCK}\n"
    assert with_block("one \\\n", BLOCK) == f"one \\\n\n{BLOCK}\n"


WAYS = (
    f". {ROOT}/etc/profile.d/conda.sh\n",
    "[ -d ~/miniforge3 ] && source ~/miniforge3/bin/activate\n",
    'eval "$(~/miniforge3/bin/conda shell.zsh hook)"\n',
)


@pytest.mark.parametrize(
    ("text", "program", "changed"),
    [
        *((way, f"{ROOT}/bin/conda", False) for way in WAYS),
        (WAYS[0], "/opt/anaconda3/bin/conda", True),
        (WAYS[0], "", True),
        (f"# {WAYS[0]}", f"{ROOT}/bin/conda", True),
        # Our own block knows it too.
        (OURS.replace("x\n", WAYS[0]), f"{ROOT}/bin/conda", True),
    ],
)
def test_who_has_this_conda_in_a_way_of_their_own_keeps_that(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, program: str, changed: bool
) -> None:
    says(monkeypatch, conda="conda" if program else "", variables={"CONDA_EXE": program or f"{ROOT}/bin/conda"})
    (home / ".zshrc").write_text(text)
    assert init()["changed"] is changed
    assert ((home / ".zshrc").read_text() == text) is not changed


def test_bytes_that_are_no_utf8_stay(home: Path) -> None:
    (home / ".zshrc").write_bytes(b"# sch\xf6n\n")
    assert init()["diff"]["before"] == "# sch\ufffdn\n"
    assert (home / ".zshrc").read_bytes() == b"# sch\xf6n\n\n" + f"{BLOCK}\n".encode()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 0),
        (BLOCK + BLOCK, 0),
        (f"x\n{terminal.CONDA_FIRST}\nmine\n", 2),
        (f"x\n{terminal.CONDA_LAST}\n", 2),
        (f"{terminal.CONDA_FIRST}\nmine\n{BLOCK}", 1),
    ],
)
def test_half_a_block_is_seen(text: str, line: int) -> None:
    assert half_block(text) == line


@pytest.mark.parametrize(
    ("text", "mode", "options", "said"),
    [
        ("mine\n", 0o444, {}, ".zshrc is read-only. Mend that and run again"),
        (f"{terminal.CONDA_FIRST}\nmine\n", 0o644, {}, "has half a block of conda's, in line 1. Mend that"),
        ("mine\n", 0o644, {"shell": "fish"}, f"your login shell is fish, and only zsh and bash are handled. `{ROOT}"),
        ("mine\n", 0o644, {"root": "/it's"}, "the name /it's would mean something to a shell"),
    ],
)
def test_what_is_in_the_way_is_said_and_the_rest_goes_on(
    home: Path, text: str, mode: int, options: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = home / ".zshrc"
    place.write_text(text)
    place.chmod(mode)
    assert init(**options)["changed"] is False
    assert (place.read_text(), sorted(path.name for path in home.iterdir())) == (text, [".zshrc"])
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.usefixtures("home")
def test_a_system_that_refuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def replace(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(lab_record, "replace", replace)
    assert init()["changed"] is False
    assert "could not be written (Operation not permitted)" in " ".join(capsys.readouterr().err.split())


RECORDED = {
    name: one
    for name, one in conda_transcripts.transcripts().items()
    if one["argv"][1:] in (["init", "zsh"], ["init", "bash"])
}
OTHERWISE = {
    **dict.fromkeys(("crlf", "path-lines"), "conda touches lines of the user's"),
    **dict.fromkeys(("crlf-own-block", "own-block-changed"), "a block of this conda is there, and that is enough"),
    **dict.fromkeys(("other-block", "two-blocks"), "conda replaces the block of another one"),
    **dict.fromkeys(("not-utf8-rc", "readonly-rc", "readonly-home"), "conda fails"),
}
"""Situations in which the outcome is not conda's."""


@pytest.mark.skipif(not RECORDED, reason=conda_transcripts.ABSENT)
def test_the_recorded_situations_are_there() -> None:
    assert set(OTHERWISE) <= {name.split("-", 2)[2] for name in RECORDED}
    assert len(RECORDED) > 20


@pytest.mark.parametrize("name", RECORDED)
def test_each_recorded_situation(home: Path, name: str) -> None:
    """No line is touched, and where conda touches none either, its very bytes come about."""
    one = RECORDED[name]
    _, shell, situation = name.split("-", 2)
    root = f"{home}/miniforge3"

    def here(text: Any) -> bytes:
        if isinstance(text, dict):
            return bytes(text["bytes_latin1"].encode("latin-1"))
        return (text or "").replace("/Users/ana", str(home)).encode()

    places = {Path(place.replace("/Users/ana", str(home))): text for place, text in one["before"]["rc"].items()}
    for place, text in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            place.write_bytes(here(text))
    if situation == "symlink":
        (home / ".zshrc").unlink()
        (home / ".zshrc").symlink_to("dotfiles/zshrc")
    if situation.startswith("readonly"):
        (home / (".zshrc" if shell == "zsh" else ".bashrc")).touch()
        (home / (".zshrc" if shell == "zsh" else ".bashrc")).chmod(0o444)
    zdotdir = one["environment"].get("ZDOTDIR", "").replace("/Users/ana", str(home))
    init(root=root, shell=shell, zdotdir=zdotdir)
    for place, text in places.items():
        after = place.read_bytes() if place.exists() else b""
        assert after.startswith(here(text))
        assert after[len(here(text)) :] in (b"", f"\n{block(root, shell)}\n".encode())
        if situation not in OTHERWISE:
            assert after == here(one["after"]["rc"][str(place).replace(str(home), "/Users/ana")])
