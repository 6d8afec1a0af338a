"""Which lines of a shell file are commands of their own, as an `echo … >>` leaves them. Python 3.8+.

A line inside an `if`, a function, a quotation, a here-document or an unfinished command is part of something bigger,
and must not be taken away by itself. Where the scan cannot follow a file it says of no further line that it stands by
itself: a line that stays does no harm. The grammar is that of POSIX (XCU 2.2, 2.4, 2.7.4) with what bash and zsh add.
"""

from __future__ import annotations

import re

LINES = re.compile(r"[^\n]*\n|[^\n]+")
"""Only a newline ends a line for a shell; str.splitlines knows a dozen other characters."""

_CLOSERS = {
    "fi": ("if",),
    "done": ("for", "while", "until", "select", "repeat"),
    "esac": ("case",),
    "end": ("foreach",),
}
_OPENERS = {"if", "for", "while", "until", "select", "repeat", "case", "foreach", "{"}
# After these words a command begins, as it does after an operator.
_LEADERS = {"if", "then", "elif", "else", "while", "until", "do", "{", "!", "time"}
# Operators that wait for a command, if need be in the next line.
_WAITING = ("|", "&&", "|&")
# In these a `<<` may be a shift, and a newline ends nothing.
_WORDLIKE = {"(", "$(", "${", "`"}
_BLANKS = " \t\r\n"
_HEREDOC = re.compile(r"<<(-?)[ \t]*((?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^ \t\r\n'\"\\;&|()<>])+)")
_PART = re.compile(r"[^ \t\r\n'\"`\\;&|()<>$#}]+|.", re.DOTALL)


def by_themselves(text: str) -> list[bool]:
    """For each line of a file (as LINES finds them), whether it begins a command of its own.

    Args:
        text: the file.
    """
    scan = _Scan(text)
    return [scan.begins_command(match.start(), match.end()) for match in LINES.finditer(text)]


class _Scan:
    """One pass over a file, line by line; what is open is on a stack."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[str] = []
        self._word = ""  # the word that is being read
        self._command = True  # whether a command may begin here
        self._waiting = False  # whether the command before goes on in the next line
        self._documents: list[tuple[str, bool]] = []  # here-documents that begin with the next line
        self._lost = False

    def begins_command(self, start: int, end: int) -> bool:
        """Read one line, and say whether what it follows was complete."""
        line = self._text[start:end]
        if self._in_document(line):
            return False
        free = self._command and not (self._open or self._waiting or self._lost or self._word)
        if not self._lost:
            self._read(line)
        return free

    def _in_document(self, line: str) -> bool:
        # The documents of a line begin after it; `_command` is set by its newline.
        if not self._documents or not self._command:
            return False
        word, tabs = self._documents[0]
        if (line.lstrip("\t") if tabs else line).rstrip("\r\n") == word:
            self._documents.pop(0)
        return True

    def _read(self, line: str) -> None:
        at = 0
        while at < len(line) and not self._lost:
            at = self._step(line, at)

    def _step(self, line: str, at: int) -> int:
        inside = self._open[-1] if self._open else ""
        one = line[at]
        if inside == "'":
            self._pop_on(one, "'")
            return at + 1
        if inside == "$'" and one == "\\":
            return at + 2
        if inside == "$'":
            self._pop_on(one, "'")
            return at + 1
        if one == "\\":
            # Before a newline it joins the lines; before anything else it takes its meaning away.
            self._word += "\\"
            return at + 2
        if inside == '"':
            return self._quoted(line, at)
        return self._plain(line, at, inside)

    def _quoted(self, line: str, at: int) -> int:
        one = line[at]
        if line.startswith(("$(", "${"), at):
            self._begin(line[at : at + 2])
            return at + 2
        if one == "`":
            self._begin("`")
        else:
            self._pop_on(one, '"')
        return at + 1

    def _plain(self, line: str, at: int, inside: str) -> int:
        one = line[at]
        opener = next((it for it in ("$'", "$(", "${", "'", '"') if line.startswith(it, at)), "")
        if opener:
            self._begin(opener)
            return at + len(opener)
        if inside == "${" and one == "}":
            self._open.pop()
        elif one == "`" and inside == "`":
            self._end_word()
            self._open.pop()
            self._word = "`"
        elif one == "`":
            self._begin("`")
        elif one == "#" and not self._word:
            return len(line.rstrip("\n"))
        elif line.startswith("<<", at):
            return self._redirection(line, at)
        else:
            return self._part(line, at)
        return at + 1

    def _part(self, line: str, at: int) -> int:
        # The pattern takes any character.
        part = _PART.match(line, at)[0]  # type: ignore[index]
        if part in _BLANKS:
            self._end_word()
            if part == "\n":
                self._command = True
        elif part in ";&|":
            self._end_word()
            self._command = True
            self._waiting = line[: at + 1].endswith(_WAITING)
        elif part == "(":
            function = line.startswith("()", at) and not self._word.endswith("=")
            self._end_word()
            if function:
                # `name()`: its body follows, in this line or the next.
                self._command = self._waiting = True
                return at + 2
            self._begin("(")
        elif part == ")":
            self._close_round()
        else:
            self._word += part
        return at + len(part)

    def _close_round(self) -> None:
        self._end_word()
        inside = self._open[-1] if self._open else ""
        if inside in ("(", "$("):
            self._open.pop()
            # What follows belongs to a word that has begun, as in $(x)y.
            self._command, self._waiting = False, False
            self._word = ")" if inside == "$(" else ""
        elif inside == "case":
            self._command = True
        else:
            self._lost = True

    def _begin(self, what: str) -> None:
        self._waiting = False
        if what in ("(", "$(", "`"):
            self._word = ""
            self._command = True
        else:
            self._word += what
            self._command = False
        self._open.append(what)

    def _pop_on(self, one: str, closer: str) -> None:
        if one == closer:
            self._open.pop()

    def _redirection(self, line: str, at: int) -> int:
        """`<<<` takes a word; `<<` a here-document, which begins with the next line."""
        self._end_word()
        if line.startswith("<<<", at):
            return at + 3
        found = _HEREDOC.match(line, at)
        if not found or _WORDLIKE.intersection(self._open):
            # A shift in arithmetic, or a document inside a word: it is not followed further.
            self._lost = True
            return len(line)
        self._documents.append((re.sub(r"[\\'\"]", "", found[2]), bool(found[1])))
        return found.end()

    def _end_word(self) -> None:
        word, self._word = self._word, ""
        if not word:
            return
        self._waiting = False
        may_close, self._command = self._command, word in _LEADERS
        inside = self._open[-1] if self._open else ""
        if word in _OPENERS:
            self._open.append(word)
        elif may_close and word == "}":
            self._close(inside in ("{",))
        elif may_close and word in _CLOSERS:
            self._close(inside in _CLOSERS[word])

    def _close(self, fits: bool) -> None:
        if fits:
            self._open.pop()
        else:
            self._lost = True
