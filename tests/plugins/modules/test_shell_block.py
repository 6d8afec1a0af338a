"""The managed block: one of it, and not a byte of the rest changed but what it replaces."""

import errno
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.metal_lab.macs.plugins.module_utils import lab_record, shell_lines, startup_file, terminal
from ansible_collections.metal_lab.macs.plugins.module_utils.terminal import Terminal
from ansible_collections.metal_lab.macs.plugins.modules import shell_block
from ansible_collections.metal_lab.macs.plugins.modules.shell_block import (
    DamagedError,
    _store,
    adopt,
    edit,
    markers,
    place_of,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.helpers.plugins import run_module

BLOCK = "echo hello\n"
BEGIN, END = markers("ml-m1")
OURS = f"{BEGIN}\n{BLOCK}{END}\n"


def added(count: int) -> str:
    """The block where line ends were missing before it."""
    note = f"# Line ends that were missing before this block, and were added: {count}\n"
    return f"{BEGIN}\n{note}{BLOCK}{END}\n"


CONDA = "# >>> conda initialize >>>\nconda activate base\n# <<< conda initialize <<<\n"
BREW = 'eval "$(/opt/homebrew/bin/brew shellenv)"\n'
ACTIVATE = "conda activate ml-m1\n"
NAMES = ["ml-m1", "/c/envs/ml-m1"]
# What a start-up file is made of: the course's lines, lines like them, and constructs that they may stand in.
PARTS = [
    BREW, ACTIVATE, CONDA, OURS, "alias ll='ls -l'\n", "\n", "# conda activate ml-m1\n", "  conda activate ml-m1\n",
    "conda activate other\n", "conda activate ml-m1 \n", "conda activate ml-m1\r\n", "if true; then\n", "fi\n",
    "work() {\n", "}\n", "cat <<EOF\n", "EOF\n", "echo '\n", "'\n", "true && \\\n", "conda activate ml-m1",
    "for i in 1 2; do\n", "done\n", "# it's a comment\n", 'x="$(date)"\n', 'y="${HOME:-a b}"\n', "case x in\n",
    "a) echo 1 ;;\n", "esac\n", "true |\n", "(\n", ")\n", "`date`\n", "arr=()\n", "f ()\n", "echo $'it\\'s'\n",
    "caf\udce9\n", "[[ -n $x ]] || {\n", "while false; do :; done\n", 'eval "$(/usr/local/bin/brew shellenv)"\n',
]  # fmt: skip
# How long an example takes says something about this machine only.
STEADY = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
files = st.lists(st.sampled_from(PARTS), max_size=9).map("".join)


def test_the_block_is_appended_to_a_file() -> None:
    assert edit("alias ll=ls\n", "ml-m1", BLOCK) == f"alias ll=ls\n{OURS}"
    assert edit("", "ml-m1", BLOCK) == OURS


def test_a_last_line_without_newline_stays_a_line_of_its_own() -> None:
    assert edit("alias ll=ls", "ml-m1", BLOCK) == f"alias ll=ls\n{added(1)}"


def test_an_edited_block_is_mended_where_it_stands() -> None:
    before = f"one\n{BEGIN}\nsomething else\n{END}\ntwo\n"
    assert edit(before, "ml-m1", BLOCK) == f"one\n{OURS}two\n"


def test_several_blocks_become_one() -> None:
    assert edit(f"{OURS}middle\n{OURS}", "ml-m1", BLOCK) == f"{OURS}middle\n"


def test_a_file_with_windows_line_ends_keeps_them_and_our_lines_are_a_shells() -> None:
    """`fi` with a carriage return is another word."""
    assert edit("one\r\n", "ml-m1", BLOCK) == f"one\r\n{OURS}"
    assert edit(f"one\r\n{OURS}two\r\n".replace("\n", "\r\n"), "ml-m1", BLOCK) == f"one\r\r\n{OURS}two\r\r\n"
    assert edit("one\r\ntwo\r", "ml-m1", BLOCK) == f"one\r\ntwo\r\n{added(1)}"


@pytest.mark.parametrize(("before", "count"), [("one", 1), ("one\n", 0), ("one \\\n", 1), ("one \\", 2), ("\\\\\n", 0)])
def test_line_ends_that_had_to_be_added_go_with_the_block(before: str, count: int) -> None:
    once = edit(before, "ml-m1", BLOCK)
    ends = "\n" * count
    assert once == f"{before}{ends}{added(count) if count else OURS}"
    assert edit(once, "ml-m1", BLOCK) == once
    assert edit(once, "ml-m1", "") == before
    # What came behind the block later must not be joined to what was before it.
    assert edit(f"{once}later\n", "ml-m1", "") == f"{before}{ends}later\n"
    assert edit(f"{once}later\n", "ml-m1", BLOCK) == f"{before}{ends}{OURS}later\n"


def test_another_profiles_block_goes_only_when_ours_comes() -> None:
    other = edit("", "other", BLOCK)
    assert edit(f"one\n{other}two\n", "ml-m1", "") == f"one\n{other}two\n"
    assert edit(f"one\n{other}two\n", "ml-m1", BLOCK, alone=True) == f"one\n{OURS}two\n"
    assert edit(f"{OURS}one\n{other}", "ml-m1", "", alone=True) == "one\n"
    # A line that only looks like a marker is the user's.
    assert edit("# >>> metal-lab a <<<\n", "ml-m1", "", alone=True) == "# >>> metal-lab a <<<\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{BEGIN}\nx\n", "line 1 begins a block that does not end"),
        (f"x\n{END}\n", "line 2 ends a block that does not begin"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n", "line 1 begins a block, and so does line 2"),
    ],
)
def test_damaged_markers_are_refused_rather_than_guessed(text: str, said: str) -> None:
    for alone in (False, True):
        with pytest.raises(DamagedError, match=said) as raised:
            edit(text, "ml-m1", BLOCK, alone=alone)
        assert raised.value.profile == "ml-m1"


@settings(STEADY, max_examples=500)
@example("\r")
@example("\n\r")
@example("one\r\ntwo")
@example("one\x0btwo\x85")
@given(st.text().filter(lambda text: "metal-lab" not in text))
def test_adding_twice_is_adding_once_and_removing_gives_the_rest_back(text: str) -> None:
    once = edit(text, "ml-m1", BLOCK)
    assert edit(once, "ml-m1", BLOCK) == once
    assert edit(once, "ml-m1", "") == text


def test_the_block_comes_after_condas_own() -> None:
    assert edit(CONDA, "ml-m1", BLOCK) == CONDA + OURS
    assert edit(f"{OURS}one\n{CONDA}two\n", "ml-m1", BLOCK) == f"one\n{CONDA}{OURS}two\n"
    # Where it stands after conda's, it stays: what the user put behind it is meant to come last.
    assert edit(f"{CONDA}one\n{OURS}two\n", "ml-m1", BLOCK) == f"{CONDA}one\n{OURS}two\n"
    assert edit(f"{OURS}{CONDA}".removesuffix("\n"), "ml-m1", BLOCK) == CONDA + added(1)


@pytest.mark.parametrize("around", ["if true; then\n{}fi\n", "f() {{\n{}}}\n", "for i in 1; do\n{}done\n", "(\n{})\n"])
def test_what_the_block_was_in_is_no_error_without_it(around: str) -> None:
    without = edit(around.format(OURS), "ml-m1", "")
    assert without == around.format(":\n")
    subprocess.run(["bash", "-n"], input=without.encode(), check=True)
    assert edit(around.format(f"x\n{OURS}"), "ml-m1", "") == around.format("x\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if true; then # a guard\n", "fi\n"),
        ("if true; then\n    # on this machine only\n", "\nfi\n"),
        ("f() {\n\n", "    # nothing more\n} # f\n"),
        ("( # apart\n", ")\n"),
        # Else the user's next line would be the one that depends on it.
        ("[ -t 0 ] &&\n", "export NEXT=1\n"),
        ("[ -n '#' ] ||\n# a remark\n", "export NEXT=1\n"),
    ],
)
def test_neither_is_it_with_remarks_and_empty_lines_around_it(before: str, after: str) -> None:
    assert edit(f"{before}{OURS}{after}", "ml-m1", "") == f"{before}:\n{after}"
    subprocess.run(["bash", "-n"], input=f"{before}:\n{after}".encode(), check=True)


def test_a_line_end_that_was_added_stays_once_something_came_behind_it() -> None:
    once = edit("x=1", "ml-m1", BLOCK)
    moved = edit(f"{once}{CONDA}", "ml-m1", BLOCK)
    assert moved == f"x=1\n{CONDA}{OURS}"
    assert edit(moved, "ml-m1", "") == f"x=1\n{CONDA}"


LAZY = f"lazily() {{\n{CONDA}}}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # People put conda's block into a function of theirs, or an `if`.
        (LAZY, LAZY + OURS),
        (f"{OURS}{LAZY}one\n", f"{LAZY}{OURS}one\n"),
        (f"if true; then\n{OURS}{CONDA}fi\none\n", f"if true; then\n{CONDA}fi\n{OURS}one\n"),
        (f"case x in\n{OURS}esac\none\n", f"case x in\nesac\n{OURS}one\n"),
        (f"cat <<EOF\n{OURS}EOF\none\n", f"cat <<EOF\nEOF\n{OURS}one\n"),
        (f"echo '\n{OURS}'\none\n", f"echo '\n'\n{OURS}one\n"),
        # Who put nothing else there would be left with what bash takes for an error.
        (f"if true; then\n{OURS}fi\none\n", f"if true; then\n:\nfi\n{OURS}one\n"),
        (f"work() {{\n{OURS}}}\n", f"work() {{\n:\n}}\n{OURS}"),
        # Where nothing more is understood, the end of the file is the one place that is in nothing.
        (f"fi\n{OURS}one\n", f"fi\none\n{OURS}"),
    ],
)
def test_the_block_is_never_within_something_bigger(before: str, after: str) -> None:
    assert edit(before, "ml-m1", BLOCK) == after
    assert edit(after, "ml-m1", BLOCK) == after
    # One that works may stand wherever its user put it.
    if OURS in before:
        assert edit(before, "ml-m1", BLOCK, settled=True) == before


def test_the_courses_lines_are_adopted() -> None:
    by_hand = f"setopt autocd\n{BREW}{BREW}\n{CONDA}\n{ACTIVATE}alias gs='git status'\n{ACTIVATE}"
    assert adopt(by_hand, NAMES) == f"setopt autocd\n{BREW}\n{CONDA}\nalias gs='git status'\n"


@pytest.mark.parametrize(
    "line", [ACTIVATE, "conda activate ml-m1 \t\n", "conda activate ml-m1\r\n", "conda activate ml-m1"]
)
def test_each_form_of_the_courses_line_goes(line: str) -> None:
    assert adopt(f"one\n{line}", NAMES) == "one\n"
    assert adopt(f"one\n{line}", []) == f"one\n{line}"


@pytest.mark.parametrize(
    "text",
    [
        "  conda activate ml-m1\n",
        "# conda activate ml-m1\n",
        "conda activate ml-m1-old\n",
        "conda activate ml-m1 && cd ~/work\n",
        "conda activate base\n",
        "if true; then\nconda activate ml-m1\nfi\n",
        "work() {\nconda activate ml-m1\n}\n",
        "work()\n{\nconda activate ml-m1\n}\n",
        "case $HOST in\nlab*)\nconda activate ml-m1\n;;\nesac\n",
        "[ -t 0 ] &&\nconda activate ml-m1\n",
        "[ -t 0 ] && \\\nconda activate ml-m1\n",
        "cat >notes <<'END OF IT'\nconda activate ml-m1\nEND OF IT\n",
        "echo '\nconda activate ml-m1\n'\n",
        'echo "$(\nconda activate ml-m1\n)"\n',
        "# >>> mine >>>\nconda activate ml-m1\n# <<< mine <<<\n",
        f"{BREW}if true; then\n{BREW}fi\n",
        f"{BREW}  {BREW}# {BREW}",
        BREW + BREW.replace("/opt/homebrew", "/usr/local"),
    ],
)
def test_what_is_not_the_courses_line_stays(text: str) -> None:
    assert adopt(text, NAMES) == text


def test_after_something_bigger_has_ended_lines_stand_by_themselves_again() -> None:
    before = 'if true; then\n:\nfi\nf() { :; }\ncat <<A\nx\nA\nx="${y:-a b}" # it\'s\n'
    assert adopt(before + ACTIVATE, NAMES) == before


# A file, and for each of its lines whether it stands by itself (+) or belongs to something bigger, or to something that
# is not understood (-).
STANDING = [
    ("a\nb", "++"),
    ("if a; then\nb\nfi\nc", "+--+"),
    ("if a; then b; elif c; then d; else e; fi\nc", "++"),
    ("for i in 1\ndo\nb\ndone\nc", "+---+"),
    ("while a; do\nb\ndone\nc", "+--+"),
    ("until a; do\nb\ndone\nc", "+--+"),
    ("select a; do\nb\ndone\nc", "+--+"),
    ("repeat 3; do\nb\ndone\nc", "+--+"),
    ("foreach i (1 2)\nb\nend\nc", "+--+"),
    ("case x in\na) b ;;\n(c) d ;;\nesac\ne", "+---+"),
    ("case x in a)\nb\nesac\nc", "+--+"),
    ("case x in a) fi ;; esac\nc", "+-"),
    ("{\nb\n}\nc", "+--+"),
    ("{ }\nb", "++"),
    ("! {\nb\n}\nc", "+--+"),
    ("time {\nb\n}\nc", "+--+"),
    # What closes nothing, or something else, is not understood.
    ("fi\nb\nc", "+--"),
    ("}\nb", "+-"),
    ("a)\nb", "+-"),
    ("if a; then b; done\nc", "+-"),
    ("if a; then b; }\nc", "+-"),
    ("{ a; fi\nb", "+-"),
    ("( a }\n)\nb", "+-+"),
    ("(fi)\nb", "+-"),
    ("$(fi)\nb", "+-"),
    ("`fi`\nb", "+-"),
    ("x | fi\nb", "+-"),
    ("if then fi\nb", "++"),
    # It closes only where a command may begin.
    ("echo fi\nb", "++"),
    ("echo }\nb", "++"),
    ("'a' fi\nb", "++"),
    ("(a) fi\nb", "++"),
    ("$(a)fi\nb", "++"),
    ("${fi}\nb", "++"),
    ("afi\nb", "++"),
    ("echo if\nb", "+-"),
    # Functions, and lists that look like one.
    ("f() {\nb\n}\nc", "+--+"),
    ("f ()\n{\nb\n}\nc", "+---+"),
    ("f()\na\nb", "+-+"),
    ("f() a\nb", "++"),
    ("f() (\nb\n)\nc", "+--+"),
    ("a=()\nb", "++"),
    ("a=(\n1\n)\nb", "+--+"),
    ("a=(1 2)\nb", "++"),
    # Operators.
    ("a |\nb\nc", "+-+"),
    ("a | \nb\nc", "+-+"),
    ("a |&\nb\nc", "+-+"),
    ("a ||\nb\nc", "+-+"),
    ("a &&\nb\nc", "+-+"),
    ("a &&\n\n\nb\nc", "+---+"),
    ("a &\nb", "++"),
    ("a ;\nb", "++"),
    ("a &&\n'b'\nc", "+-+"),
    ("a &&\n(b)\nc", "+-+"),
    ("a &&\n$(b)\nc", "+-+"),
    ("a &&\n`b`\nc", "+-+"),
    ("a &&\n{ b; }\nc", "+-+"),
    ("a && # why\nb\nc", "+-+"),
    # Joined lines.
    ("a \\\nb\nc", "+-+"),
    ("a\\\nb\nc", "+-+"),
    ("a && \\\nb\nc", "+-+"),
    ("a\\ b\nc", "++"),
    ("a \\\\\nb", "++"),
    ("# a \\\nb", "++"),
    # Quotation.
    ("echo 'a\nb\n'\nc", "+--+"),
    ('echo "a\nb\n"\nc', "+--+"),
    ("echo $'a\nb\n'\nc", "+--+"),
    ("echo $'a\\'\nb\n'\nc", "+--+"),
    ("echo $'\\\\'\nb", "++"),
    ("echo $'\\''\nb", "++"),
    ("echo 'a\\'\nb", "++"),
    ('echo "a\\"\nb\n"\nc', "+--+"),
    ('echo "\\""\nb', "++"),
    ('echo "\\\\"\nb', "++"),
    ("echo \\'\nb", "++"),
    ("echo \\\"\nb", "++"),
    ("echo '\"'\nb", "++"),
    ("echo \"'\"\nb", "++"),
    ("echo '#'\nb", "++"),
    ("echo 'a'b'c\nd'\ne", "+-+"),
    ("echo \"a\"'b\n'\nc", "+-+"),
    # Substitution.
    ("x=$(\nb\n)\nc", "+--+"),
    ('x="$(\nb\n)"\nc', "+--+"),
    ('x="$(echo ")")\nb\n"\nc', "+--+"),
    ("x=\"$('a\nb')\"\nc", "+-+"),
    ("x=${a}${b\nc\n}\nd", "+--+"),
    ("x=${a:-\nb\n}\nc", "+--+"),
    ('x="${a:-\nb\n}"\nc', "+--+"),
    ("x=`\nb\n`\nc", "+--+"),
    ('x="`\nb\n`"\nc', "+--+"),
    ('x="`a`"\nb', "++"),
    ("x=$(a)\nb", "++"),
    ("x=${a}\nb", "++"),
    ("x=${a}b}\nc", "++"),
    ("x=${a b}c\nd", "++"),
    ("x=${#a}\nb", "++"),
    ("x=${a#b}\nc", "++"),
    ("x=${a:-\"}\"}\nb", "++"),
    ("x=${a:-'}'}\nb", "++"),
    ("x=`a`\nb", "++"),
    ("echo $\nb", "++"),
    ("x=$((1 + 2))\nb", "++"),
    ("echo $(a) $(\nb\n)\nc", "+--+"),
    ("echo \"$(a) b\"\nc", "++"),
    ("echo \"${a} b\"\nc", "++"),
    # Comments.
    ("# it's\nb", "++"),
    ("a # it's\nb", "++"),
    ("a;# it's\nb", "++"),
    ("(a)# it's\nb", "++"),
    ("a#'\nb\n'\nc", "+--+"),
    ("$(a)#'\nb\n'\nc", "+--+"),
    ("`a`#'\nb\n'\nc", "+--+"),
    ("'a'#'\nb\n'\nc", "+--+"),
    ("x=$(# it's\n)\nb", "+-+"),
    # Here-documents.
    ("cat <<A\nb\nA\nc", "+--+"),
    ("cat << A\nb\nA\nc", "+--+"),
    ("cat <<'A B'\nb\nA\nA B\nc", "+---+"),
    ('cat <<"A"\nb\nA\nc', "+--+"),
    ("cat <<\\A\nb\nA\nc", "+--+"),
    ("cat <<A'B'\nb\nAB\nc", "+--+"),
    ("cat <<-A\n\tb\n\tA\nc", "+--+"),
    ("cat <<-A\n A\nA\nc", "+--+"),
    ("cat <<A\n\tA\nA\nc", "+--+"),
    ("cat <<A <<-B\na\nA\nb\n\tB\nc", "+----+"),
    ("cat <<A\nit's\n$(\nA\nc", "+---+"),
    ("cat <<A |\nb\nA\nd\ne", "+---+"),
    ("cat <<A \\\n-n\nb\nA\nc", "+---+"),
    ('cat <<A "b\nc"\nd\nA\ne', "+---+"),
    ("cat <<A; if b; then\nc\nA\nd\nfi\ne", "+----+"),
    ("cat <<A\r\nb\r\nA\r\nc", "+--+"),
    ("{ cat <<A\nb\nA\n}\nc", "+---+"),
    ("if a; then cat <<A\nb\nA\nfi\nc", "+---+"),
    ("cat <<A>x\nb\nA\nc", "+--+"),
    ("cat <<<a\nb", "++"),
    ("cat <<<'a\nb'\nc", "+-+"),
    ("a<<<if\nb", "+-"),
    # There it may be a shift, or be inside a word: nothing is said of what follows.
    ("x=$((1<<2))\nb\nc", "+--"),
    ("( cat <<A\nb\nA\n)\nc", "+----"),
    ("x=$(cat <<A\nb\nA\n)\nc", "+----"),
    ("x=${a<<b}\nc", "+-"),
    ("x=`cat <<A`\nA\nc", "+--"),
    ("cat <<\nb", "+-"),
    ('echo "<<A"\nb', "++"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "standing"), STANDING)
def test_a_line_stands_by_itself_or_does_not(text: str, standing: str) -> None:
    assert "".join("-+"[one] for one in shell_lines.by_themselves(text)) == standing


@settings(STEADY, max_examples=300)
@given(files)
def test_adopting_takes_out_whole_lines_of_the_course_and_nothing_else(text: str) -> None:
    after = adopt(text, NAMES)
    assert adopt(after, NAMES) == after
    left = iter(shell_lines.LINES.findall(after))
    wanted = next(left, None)
    for line in shell_lines.LINES.findall(text):
        if line == wanted:
            wanted = next(left, None)
        else:
            assert line.rstrip() in (ACTIVATE.strip(), BREW.strip())
    assert wanted is None
    assert after.count(BREW) >= min(1, text.count(BREW))


@settings(STEADY, max_examples=300)
@given(files)
def test_a_converge_after_a_converge_changes_nothing(text: str) -> None:
    once = edit(adopt(text, NAMES), "ml-m1", BLOCK)
    assert edit(adopt(once, NAMES), "ml-m1", BLOCK) == once
    assert once.count(BEGIN) == 1
    assert once.rfind(CONDA) < once.index(BEGIN)


@settings(STEADY, max_examples=150)
@given(files)
def test_bash_agrees_that_the_line_stands_by_itself(text: str) -> None:
    """What comes before a line is complete: bash's parser does not miss the end of something."""
    text = text.replace("\r", "") + "" if text.endswith("\n") or not text else f"{text}\n"
    if not shell_lines.by_themselves(text + ACTIVATE)[-1]:
        return
    done = subprocess.run(
        ["bash", "-n"], input=text.encode("utf-8", "surrogateescape"), capture_output=True, check=False
    )
    for word in (b"end of file", b"EOF", b"here-document"):
        assert word not in done.stderr
    assert not text.endswith(("\\\n", "|\n"))


def test_permissions_and_bytes_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rc"
    path.write_bytes(b"# caf\xe9\n")
    path.chmod(0o4751)
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    _store(path, edit(text, "ml-m1", BLOCK), remove=False)
    assert path.read_bytes() == b"# caf\xe9\n" + OURS.encode()
    assert path.stat().st_mode & 0o7777 == 0o4751
    assert [one.name for one in tmp_path.iterdir()] == ["rc"]


def test_a_file_keeps_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where root runs this, the file that takes the old one's place would be root's."""
    path, given = tmp_path / "rc", []
    path.touch()
    monkeypatch.setattr(os, "chown", lambda *arguments: given.append(arguments))
    mine = path.stat()
    startup_file.copy(path, b"1", mine)
    assert given == []
    for uid, gid in ((mine.st_uid + 1, mine.st_gid), (mine.st_uid, mine.st_gid + 1)):
        startup_file.copy(path, b"2", os.stat_result([*mine[:4], uid, gid, *mine[6:]]))
        assert given.pop() == (path, uid, gid)


def test_the_block_goes_into_the_last_file_that_puts_base_first(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in "abcde"]
    for name, text in zip(names, (CONDA, "x\n", CONDA, CONDA, "x\n"), strict=True):
        Path(name).write_text(text)
    assert [place_of(name, names) for name in names] == [names[3], names[3], names[3], names[3], names[4]]
    assert place_of(str(tmp_path / "z"), names) == str(tmp_path / "z")


BASH: dict[str, Any] = {"shell": "bash"}
FISH: dict[str, Any] = {"shell": "fish"}


@dataclass
class Home:
    """A home with start-up files and a record, and the module run on it."""

    path: Path

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        place = self.path / name
        place.write_text(text, encoding="utf-8")
        place.chmod(mode)
        return place

    @property
    def record(self) -> dict[str, Any]:
        return self.record_of("ml-m1")

    def record_of(self, profile: str) -> dict[str, Any]:
        text = (self.path / f".local/share/metal-lab/{profile}.json").read_text(encoding="utf-8")
        loaded: dict[str, Any] = json.loads(text)
        return loaded

    def run(self, *, block: str = BLOCK, check: bool = False, refused: bool = False, **options: Any) -> dict[str, Any]:
        base = {"shell": "zsh", "profile": "ml-m1", "block": block, "activations": NAMES}
        arguments = {**base, **options}
        answer = run_module(shell_block.main, arguments, check=check)
        assert answer.get("failed", False) is refused, answer
        return answer

    def uninstall(self, **options: Any) -> dict[str, Any]:
        return self.run(block="", shell="", activations=[], **options)

    def tree(self) -> dict[str, tuple[int, bytes]]:
        found = (path for path in sorted(self.path.rglob("*")) if path.is_file() and path.suffix != ".json")
        return {str(path): (path.lstat().st_mode, path.read_bytes()) for path in found}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    made = Home(tmp_path / "home")
    monkeypatch.setenv("HOME", str(made.path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(terminal, "is_login", lambda: True)
    _environment(made, "ml-m1")
    return made


def _environment(home: Home, profile: str) -> None:
    """Note an environment of a profile."""
    place = home.path / f".local/share/metal-lab/{profile}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    record = {"schema": 1, "profile": profile, "provider": "conda", "prefix": f"/{profile}"}
    place.write_text(json.dumps(record), encoding="utf-8")


BY_HAND = f"setopt autocd\n{BREW}{BREW}{CONDA}{ACTIVATE}{ACTIVATE}"
ADOPTED = f"setopt autocd\n{BREW}{CONDA}{OURS}"


def test_a_file_written_by_hand_is_adopted_and_kept_as_it_was(home: Home) -> None:
    rc = home.write(".zshrc", BY_HAND, 0o600)
    profile = home.write(".zprofile", BREW + BREW)
    before = home.tree()
    checked = home.run(check=True)
    assert home.tree() == before
    answer = home.run()
    assert (checked["changed"], checked["diff"]) == (answer["changed"], answer["diff"]) == (True, answer["diff"])
    assert rc.read_text() == ADOPTED
    assert profile.read_text() == BREW
    for path, text, mode in ((rc, BY_HAND, 0o600), (profile, BREW + BREW, 0o644)):
        backup = Path(f"{path}.before-metal-lab")
        assert backup.read_text() == text
        assert (backup.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (mode, mode)
        assert f"kept as it was: {backup}\n" in [part.get("prepared") for part in answer["diff"]]
    again = home.run()
    assert (again["changed"], again["diff"]) == (False, [])


def test_the_copy_is_made_once(home: Home) -> None:
    rc = home.write(".zshrc", BY_HAND)
    home.run()
    rc.write_text(rc.read_text() + ACTIVATE)
    assert [part["after"] for part in home.run()["diff"]] == [ADOPTED]
    assert Path(f"{rc}.before-metal-lab").read_text() == BY_HAND


def test_a_file_of_which_no_line_goes_is_not_copied(home: Home) -> None:
    home.write(".zshrc", f"alias ll='ls -l'\n{BREW}{CONDA}")
    assert home.run()["backups"] == []
    assert sorted(path.name for path in home.path.iterdir()) == [".local", ".zshrc"]


def test_a_linked_file_stays_a_link_and_the_copy_lies_beside_the_link(home: Home) -> None:
    dotfiles = home.path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "zshrc").write_text(BY_HAND)
    (home.path / ".zshrc").symlink_to("dotfiles/zshrc")
    home.run()
    assert (home.path / ".zshrc").readlink() == Path("dotfiles/zshrc")
    assert (dotfiles / "zshrc").read_text() == ADOPTED
    assert (home.path / ".zshrc.before-metal-lab").read_text() == BY_HAND
    assert [path.name for path in dotfiles.iterdir()] == ["zshrc"]


def test_one_file_under_two_names_has_one_block(home: Home) -> None:
    home.write(".zshrc", BY_HAND)
    (home.path / ".zprofile").symlink_to(".zshrc")
    home.run()
    assert (home.path / ".zshrc").read_text() == ADOPTED
    assert home.run()["changed"] is False


def test_the_block_goes_where_condas_comes_last(home: Home) -> None:
    """conda's block in .zlogin, which zsh reads after .zshrc, would put base first again."""
    home.run()
    assert home.record["shell"] == str(home.path / ".zshrc")
    login = home.write(".zlogin", CONDA)
    assert home.run()["changed"] is True
    assert login.read_text() == CONDA + OURS
    # The file that had been made for the block goes with it.
    assert not (home.path / ".zshrc").exists()
    assert (home.record["shell"], home.record["shell_created"]) == (str(login), False)
    assert home.run()["changed"] is False


def test_uninstalling_gives_files_back_as_they_were(home: Home) -> None:
    """Lines that the block had replaced are there again, in every file, after several runs as well."""
    home.write(".zshrc", BY_HAND, 0o600)
    home.write(".zprofile", BREW + BREW)
    home.write(".zlogin", "mine")
    before = home.tree()
    for block in (BLOCK, "echo more\n"):
        home.run(block=block)
    changed = home.tree()
    assert home.uninstall(check=True)["changed"] is True
    assert home.tree() == changed
    assert home.uninstall()["backups"] == []
    assert home.tree() == before
    assert home.uninstall()["changed"] is False


def test_a_file_that_somebody_has_changed_loses_our_lines_and_the_copy_is_named(home: Home) -> None:
    rc = home.write(".zshrc", BY_HAND)
    home.run()
    rc.write_text(f"{rc.read_text()}mine\n")
    home.run(block="echo more\n")
    assert home.uninstall()["backups"] == [f"{rc}.before-metal-lab"]
    assert rc.read_text() == f"setopt autocd\n{BREW}{CONDA}mine\n"
    assert "shell" not in home.record
    # That copy is not what the file is to become the next time.
    rc.write_text(f"{rc.read_text()}{ACTIVATE}")
    home.run()
    home.uninstall()
    assert rc.read_text() == f"setopt autocd\n{BREW}{CONDA}mine\n"


def test_uninstalling_leaves_lines_that_came_later(home: Home) -> None:
    rc = home.write(".zshrc", "")
    home.run()
    rc.write_text(rc.read_text() + ACTIVATE + BREW + BREW)
    assert home.uninstall()["backups"] == []
    assert rc.read_text() == ACTIVATE + BREW + BREW


def test_a_shell_that_is_not_handled_is_told_what_to_do_and_nothing_is_written(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(home.path.rglob("*"))
    answer = home.run(**FISH, unhandled="Your login shell is /usr/bin/fish.")
    # In the controller's process, where this runs, a module's warning is Ansible's own.
    assert capsys.readouterr().err == "[WARNING]: Your login shell is /usr/bin/fish.\n"
    assert (answer["changed"], answer["backups"]) == (False, [])
    assert sorted(home.path.rglob("*")) == before


def test_whose_the_file_is_counts_for_the_one_with_the_block(home: Home) -> None:
    home.write(".zlogin", "x\n")
    home.run()
    assert home.record["shell_created"]
    home.uninstall()
    assert not (home.path / ".zshrc").exists()
    home.write(".zshrc", "")
    home.run()
    assert not home.record["shell_created"]
    # An empty file that was the user's stays.
    home.uninstall()
    assert (home.path / ".zshrc").read_text() == ""


def test_a_file_that_was_made_for_the_block_stays_for_what_the_user_added(home: Home) -> None:
    home.run()
    rc = home.path / ".zshrc"
    rc.write_text(f"{rc.read_text()}mine\n")
    assert home.uninstall()["changed"]
    assert rc.read_text() == "mine\n"


def test_a_block_too_many_goes_and_the_users_file_stays(home: Home) -> None:
    profile = home.write(".zprofile", OURS)
    home.run()
    assert home.record["shell_created"]
    profile.write_text(OURS)
    assert home.run()["changed"]
    assert profile.read_text() == ""


def test_with_another_shell_the_block_moves(home: Home) -> None:
    rc = str(home.path / ".bash_profile")
    home.run(**BASH)
    assert home.record["shell"] == rc
    answer = home.run()
    assert [part["before_header"] for part in answer["diff"]] == [str(home.path / ".zshrc"), rc]
    assert not Path(rc).exists()
    assert (home.record["shell"], home.record["shell_created"]) == (str(home.path / ".zshrc"), True)


def test_a_block_that_is_there_already_is_noted(home: Home) -> None:
    home.write(".zshrc", OURS)
    assert home.run(check=True)["changed"] is True
    assert "shell" not in home.record
    answer = home.run()
    assert (answer["changed"], answer["diff"]) == (True, [])
    assert (home.record["shell"], home.record["shell_created"]) == (str(home.path / ".zshrc"), False)


def test_used_alone_it_makes_no_record(home: Home) -> None:
    place = home.path / ".local/share/metal-lab/ml-m1.json"
    place.unlink()
    assert home.run()["changed"] is True
    assert home.run()["changed"] is False
    assert not place.exists()
    nothing = home.uninstall()
    assert (nothing["changed"], nothing["backups"], nothing["msg"]) == (False, [], "The record names no shell file.")
    assert home.run(block="", path=str(home.path / ".zshrc"))["changed"] is True
    assert (home.path / ".zshrc").read_text() == ""


def test_a_copy_that_is_a_link_is_not_written_over(home: Home) -> None:
    rc = home.write(".zshrc", BY_HAND)
    (home.path / ".zshrc.before-metal-lab").symlink_to("nowhere")
    answer = home.run()
    assert (rc.read_text(), [set(part) & {"prepared"} for part in answer["diff"]]) == (ADOPTED, [set()])
    assert not (home.path / "nowhere").exists()


def test_bytes_that_are_no_text_can_be_shown(home: Home) -> None:
    rc = home.path / ".zshrc"
    rc.write_bytes(b"# caf\xe9\n")
    assert home.run()["diff"][0]["before"] == "# caf\ufffd\n"
    assert rc.read_bytes() == b"# caf\xe9\n" + OURS.encode()


OTHER = OURS.replace("ml-m1", "other")


def test_terminals_move_to_the_profile_that_comes_last(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    _environment(home, "other")
    rc = home.write(".zshrc", "one\n")
    home.run()
    assert home.run()["others"] == ["other"]
    assert capsys.readouterr().err == ""
    rc.write_text(f"{rc.read_text()}two\n")
    before = home.tree()
    assert home.run(profile="other", check=True)["changed"] is True
    assert home.tree() == before
    assert home.run(profile="other")["changed"] is True
    assert rc.read_text() == f"one\n{OTHER}two\n"
    assert ("shell" in home.record, home.record_of("other")["shell"]) == (False, str(rc))
    # Ansible shows the same warning once.
    said = "New terminals move from ml-m1 to other. To put them back: ./converge -e profile=ml-m1 --tags shell"
    assert said in " ".join(capsys.readouterr().err.split())
    assert home.run(profile="other")["changed"] is False
    # Whose terminals they are not has nothing to take away.
    assert home.uninstall()["msg"] == "The record names no shell file."
    assert home.uninstall(profile="other")["others"] == ["ml-m1"]
    assert rc.read_text() == "one\ntwo\n"


def test_terminals_stay_where_that_is_asked_for(home: Home) -> None:
    _environment(home, "other")
    assert home.run(move=False)["changed"] is True
    before = home.tree()
    assert home.run(profile="other", move=False)["msg"] == "New terminals stay in ml-m1."
    assert home.tree() == before
    # Its own block is mended all the same.
    (home.path / ".zshrc").write_text("")
    assert home.run(move=False)["changed"] is True
    assert (home.path / ".zshrc").read_text() == OURS


def test_a_file_made_for_one_profiles_block_goes_with_the_others(home: Home) -> None:
    _environment(home, "other")
    home.run()
    home.run(profile="other")
    assert home.record_of("other")["shell_created"] is True
    home.uninstall(profile="other")
    assert not (home.path / ".zshrc").exists()


def test_the_other_profiles_block_goes_wherever_it_is(home: Home) -> None:
    _environment(home, "other")
    elsewhere = str(home.path / ".bashrc")
    home.run(profile="other", path=elsewhere)
    home.write(".zprofile", "mine\n" + OURS.replace("ml-m1", "forgotten"))
    home.run()
    assert not Path(elsewhere).exists()
    assert (home.path / ".zprofile").read_text() == "mine\n"
    assert home.record_of("other") == {"schema": 1, "profile": "other", "provider": "conda", "prefix": "/other"}


def test_a_record_of_another_profile_that_cannot_be_used_stops_nothing(home: Home) -> None:
    _environment(home, "other")
    (home.path / ".local/share/metal-lab/other.json").write_text("{}")
    answer = home.run()
    assert (answer["changed"], answer["others"]) == (True, [])


def test_the_damaged_block_of_another_profile_is_named(home: Home) -> None:
    home.write(".zshrc", "# >>> metal-lab other >>>\n")
    assert "between '# >>> metal-lab other >>>' and '# <<< metal-lab other <<<'" in home.run(refused=True)["msg"]


def test_what_cannot_be_understood_is_refused_with_what_to_do(home: Home) -> None:
    rc = home.write(".zshrc", f"x\n{END}\n")
    assert home.run(refused=True)["msg"] == (
        f"{rc}: the block of metal-lab is damaged: line 2 ends a block that does not begin. Remove its lines by hand "
        f"(they are between '{BEGIN}' and '{END}'), then run again."
    )
    (home.path / ".local/share/metal-lab/ml-m1.json").write_text("{}")
    assert "Move it away" in home.run(refused=True)["msg"]
    assert rc.read_text() == f"x\n{END}\n"


def test_in_check_mode_the_record_stays(home: Home) -> None:
    before = home.record
    home.run(check=True)
    assert home.record == before


@pytest.mark.parametrize("case", ["read-only", "link into a store", "link to nowhere"])
def test_a_file_that_may_not_be_written_is_left_and_it_is_said_what_to_add(
    home: Home, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rc = home.path / ".zshrc"
    if case == "read-only":
        home.write(".zshrc", BY_HAND, 0o444)
    else:
        rc.symlink_to("store/zshrc")
    if case == "link into a store":
        (home.path / "store").mkdir()
        home.write("store/zshrc", BY_HAND, 0o444)
    before = home.tree()
    answer = home.run()
    assert (answer["changed"], home.tree(), "shell" in home.record) == (False, before, False)
    said = capsys.readouterr().err
    link = f"leads to {home.path}/store/zshrc, which"
    found = {
        "read-only": "is read-only",
        "link into a store": f"{link} is read-only",
        "link to nowhere": f"{link} is not",
    }
    assert f"{rc} {found[case]}" in " ".join(said.split())
    assert "add these lines at the end of it" in " ".join(said.split())
    assert BLOCK.strip() in said


def test_what_no_shell_can_read_is_left(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    (home.path / ".zlogin").mkdir()
    assert home.run()["changed"] is True
    home.uninstall()
    (home.path / ".zshrc").mkdir()
    assert home.run()["changed"] is False
    assert f"{home.path}/.zshrc is no file" in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_may_not_be_written(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """For root, who runs this here and there, permissions are none: as chflags(1) and chattr(1) have it."""
    rc = home.write(".zshrc", "mine\n")

    def replace(place: Path, *_: Any, **__: Any) -> None:
        if place == rc:
            raise OSError(errno.EPERM, "Operation not permitted")
        write(place, *_, **__)

    write = lab_record.replace
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab_record, "replace", replace)
        answer = home.run()
    assert (answer["changed"], rc.read_text(), "shell" in home.record) == (False, "mine\n", False)
    assert "could not be written (Operation not permitted)" in " ".join(capsys.readouterr().err.split())
    assert home.run()["changed"] is True


def test_only_the_file_that_may_not_be_written_is_left(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    profile = home.write(".zprofile", BREW + BREW, 0o444)
    rc = home.write(".zshrc", BY_HAND)
    assert home.run()["changed"] is True
    assert (rc.read_text(), profile.read_text()) == (ADOPTED, BREW + BREW)
    assert f"{profile} is read-only: the lines that the block replaces stay in it." in " ".join(
        capsys.readouterr().err.split()
    )
    assert home.run()["changed"] is False
    rc.chmod(0o444)
    assert home.uninstall()["changed"] is True
    assert f"remove what is from '{BEGIN}' to '{END}'" in " ".join(capsys.readouterr().err.split())
    assert rc.read_text() == ADOPTED


def test_without_the_variable_of_an_earlier_run_the_block_stays_where_that_had_it(home: Home) -> None:
    home.run(zdotdir=str(home.path / "dots"))
    assert (home.path / "dots" / ".zshrc").read_text() == OURS
    assert home.run()["changed"] is False
    # Where the block is gone from there, the home folder counts.
    (home.path / "dots" / ".zshrc").unlink()
    home.run()
    assert (home.path / ".zshrc").read_text() == OURS


@pytest.mark.parametrize(
    ("there", "name"),
    [([], ".bash_profile"), ([".profile"], ".profile"), ([".profile", ".bash_login"], ".bash_login")],
)
def test_the_file_that_bash_reads(home: Home, there: list[str], name: str) -> None:
    """A .bash_profile that was made would hide the .profile."""
    for one in there:
        home.write(one, "mine\n")
    home.run(**BASH)
    assert home.record["shell"] == str(home.path / name)
    assert {path.name for path in home.path.iterdir()} == {".local", name, *there}


def terminals(monkeypatch: pytest.MonkeyPatch, *prefixes: str) -> list[str]:
    """Have new terminals be in these, one after the other; "" for one that does not answer. Returns those to come."""
    left = list(prefixes)

    def ask() -> Terminal:
        prefix = left.pop(0)
        return Terminal("/bin/zsh", "" if prefix else "it hangs", "zsh", python=f"{prefix}/bin/python", prefix=prefix)

    monkeypatch.setattr(terminal, "ask", ask)
    return left


def test_a_block_that_works_stays_where_it_is(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rc = home.write(".zshrc", "")
    left = terminals(monkeypatch, "/env", "/env", "/env", "/base", "/env")
    home.run(prefix="/env")
    assert left == ["/env", "/env", "/base", "/env"]
    home.run(prefix="/env")
    rc.write_text(f"{OURS}one\n{LAZY}{CONDA}")
    assert home.run(prefix="/env")["changed"] is False
    # What stands in it is mended there.
    rc.write_text(f"{BEGIN}\nold\n{END}\none\n{LAZY}{CONDA}")
    assert home.run(prefix="/env")["changed"] is True
    assert rc.read_text() == f"{OURS}one\n{LAZY}{CONDA}"
    assert left == ["/env"]


def test_a_block_that_does_not_work_moves(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    rc = home.write(".zshrc", "")
    left = terminals(monkeypatch, "/env", "/base", "/env")
    home.run(prefix="/env")
    rc.write_text(f"{OURS}{CONDA}")
    assert home.run(prefix="/env")["changed"] is True
    assert (rc.read_text(), left) == (CONDA + OURS, [])


@pytest.mark.parametrize(
    ("prefix", "said"), [("/usr", "is /usr/bin/python"), ("", "does not say what it has: it hangs")]
)
def test_what_new_terminals_have_in_spite_of_the_block_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prefix: str, said: str
) -> None:
    left = terminals(monkeypatch, prefix)
    assert home.run(prefix="/env", check=True)["changed"] is True
    assert left == [prefix]
    assert home.run(prefix="/env")["changed"] is True
    told = " ".join(capsys.readouterr().err.split())
    assert f"{home.path}/.zshrc has the block, and yet" in told
    assert said in told
