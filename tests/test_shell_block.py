"""The managed block: one of it, and not a byte of the rest changed."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roles.shell_profile.library.shell_block import DamagedError, _noted, _store, edit, markers

BLOCK = "echo hello\n"
BEGIN, END = markers("ml-m1")
OURS = f"{BEGIN}\n{BLOCK}{END}\n"


def test_the_block_is_appended_to_a_file() -> None:
    assert edit("alias ll=ls\n", "ml-m1", BLOCK) == f"alias ll=ls\n{OURS}"
    assert edit("", "ml-m1", BLOCK) == OURS


def test_a_last_line_without_newline_stays_a_line_of_its_own() -> None:
    assert edit("alias ll=ls", "ml-m1", BLOCK) == f"alias ll=ls\n{OURS}"


def test_an_edited_block_is_mended_where_it_stands() -> None:
    before = f"one\n{BEGIN}\nsomething else\n{END}\ntwo\n"
    assert edit(before, "ml-m1", BLOCK) == f"one\n{OURS}two\n"


def test_several_blocks_become_one() -> None:
    assert edit(f"{OURS}middle\n{OURS}", "ml-m1", BLOCK) == f"{OURS}middle\n"


def test_a_file_with_windows_line_ends_keeps_them() -> None:
    assert edit("one\r\n", "ml-m1", BLOCK) == ("one\n" + OURS).replace("\n", "\r\n")


def test_another_profiles_block_is_left_alone() -> None:
    other = edit("", "other", BLOCK)
    assert edit(other, "ml-m1", "") == other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{BEGIN}\nx\n", "line 1 begins a block that does not end"),
        (f"x\n{END}\n", "line 2 ends a block that does not begin"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", "line 1 begins a block, and so does line 2"),
    ],
)
def test_damaged_markers_are_refused_rather_than_guessed(text: str, said: str) -> None:
    with pytest.raises(DamagedError, match=said):
        edit(text, "ml-m1", BLOCK)


@settings(max_examples=500, derandomize=True)
@example("\r")
@example("\n\r")
@example("one\r\ntwo")
@example("one\x0btwo\x85")
@given(st.text().filter(lambda text: "metal-lab" not in text))
def test_adding_twice_is_adding_once_and_removing_gives_the_rest_back(text: str) -> None:
    once = edit(text, "ml-m1", BLOCK)
    assert edit(once, "ml-m1", BLOCK) == once
    assert edit(once, "ml-m1", "").startswith(text)
    assert edit(once, "ml-m1", "").removeprefix(text) in ("", "\n", "\r\n")


def test_permissions_and_bytes_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rc"
    path.write_bytes(b"# caf\xe9\n")
    path.chmod(0o600)
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    _store(path, edit(text, "ml-m1", BLOCK), remove=False)
    assert path.read_bytes() == b"# caf\xe9\n" + OURS.encode()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["rc"]


def test_the_record_says_whether_the_file_was_made_for_the_block() -> None:
    record = {"schema": 1, "prefix": "/p"}
    made = _noted(dict(record), "/h/.zshrc", wanted=True, exists=False)
    assert made["shell_created"] is True
    # The next run finds the file, and must not forget who made it.
    assert _noted(made, "/h/.zshrc", wanted=True, exists=True) == made
    assert _noted(dict(record), "/h/.zshrc", wanted=True, exists=True)["shell_created"] is False
    assert _noted(made, "/h/.zshrc", wanted=False, exists=True) == record
