"""Start-up files as people have them: what they hold, and what a new terminal then has once ours are put in.

`PYTHONPATH=.collections python -m tests.helpers.start_up` writes the table in docs/shells.md anew.
"""

from dataclasses import dataclass, field

from ansible_collections.metal_lab.macs.plugins.modules import conda_init

from verify import ROOT

DOCUMENT = ROOT / "docs" / "shells.md"
SHELLS = ("zsh", "bash")
MAIN = {"zsh": ".zshrc", "bash": ".bash_profile"}
IN, OTHER, NONE, SILENT, LEFT = "env", "other", "none", "silent", "left"
"""What a new terminal has: our environment, another Python or none, no prompt; or the file was left as it is."""
OUTCOMES = {
    IN: "in the environment",
    OTHER: "another Python",
    NONE: "no Python",
    SILENT: "no prompt",
    LEFT: "as before: the file is left",
}


@dataclass(frozen=True)
class Arrangement:
    """Start-up files.

    Attributes:
        text: of the main file of either shell; None where there is none. HOME stands for its path, CONDA for
            conda's own block, BLOCK for ours.
        files: others, by shell and path.
        links: symbolic links, by path.
        modes: permissions, by path; MAIN stands for the main file.
        outcome: what a new terminal has.
        left: of the main file once ours are gone, where they were there before.
    """

    text: str | bytes | None = ""
    files: dict[str, dict[str, str | None]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    outcome: str = IN
    left: str = ""

    def of(self, shell: str, home: str, ours: str) -> dict[str, bytes]:
        """The files of one shell, by their paths below the home folder."""
        texts = {MAIN[shell]: self.text, **self.files.get(shell, {})}
        found = {}
        for path, text in texts.items():
            if isinstance(text, bytes):
                found[path] = text
            elif text is not None:
                whole = text.replace("CONDA", conda_init.block(f"{home}/conda", shell)).replace("BLOCK", ours)
                found[path] = whole.replace("HOME", home).encode()
        return found


def only(shell: dict[str, str | None], bash: dict[str, str | None]) -> dict[str, dict[str, str | None]]:
    """Files of zsh and of bash."""
    return {"zsh": shell, "bash": bash}


STORED: dict[str, str | None] = {"store/rc": "PATH=HOME/other/bin:$PATH\n"}
ARRANGEMENTS = {
    "no file": Arrangement(None),
    "an empty file": Arrangement(""),
    "aliases, exports, a prompt": Arrangement("alias ll='ls -l'\nexport EDITOR=vim\nPS1='me> '\n"),
    "a last line without an end": Arrangement("export EDITOR=vim"),
    "a last line that goes on": Arrangement("export EDITOR=vim \\"),
    "Windows line ends": Arrangement("export EDITOR=vim\r\nalias ll='ls -l'\r\n"),
    "bytes that are no UTF-8": Arrangement(b"# caf\xe9\nx='\xff'"),
    "output": Arrangement("echo welcome; date\n"),
    "output without a line end": Arrangement("printf 'welcome'\n"),
    "output that comes late": Arrangement("(sleep 0.3; echo late) &\n"),
    "errors": Arrangement("nosuchcommand\nfalse\n. /nowhere/rc\n"),
    "another folder": Arrangement("cd /tmp\n"),
    "tmux instead of the shell": Arrangement('[ -z "$TMUX" ] && exec tmux\n'),
    "tmux, a session to come back to": Arrangement('if [ -z "$TMUX" ]; then tmux new-session -A -s main && exit; fi\n'),
    "a guard against TERM=dumb": Arrangement("case $TERM in dumb) return ;; esac\n"),
    "a guard against shells without a prompt": Arrangement("case $- in *i*) ;; *) return ;; esac\n"),
    "a guard against no terminal": Arrangement("[ -t 0 ] && [ -t 1 ] || return\n"),
    "a question to the terminal": Arrangement("printf '\\033[6n'; IFS= read -rs -d R answer\n"),
    "an instant prompt": Arrangement("printf '~ %% '; exec 3>&1 >/dev/null 2>&1; date; exec >&3 2>&1\n"),
    "a prompt that is drawn again": Arrangement(
        "again() { printf '\\033[2K\\rnow '; }\nprecmd() { again; }\nPROMPT_COMMAND=again\n"
    ),
    "a window title": Arrangement("printf '\\033]0;title\\007'\n"),
    "alias .": Arrangement("alias .=false source=false\n"),
    "alias eval, builtin, unset": Arrangement(
        "alias eval=false builtin=false unset=false printf=false command=false\n"
    ),
    "alias conda": Arrangement("CONDAalias conda=false\n"),
    "set -u": Arrangement("set -u\n"),
    "set -e": Arrangement("set -e\n"),
    "set -eu, after conda's block": Arrangement("CONDAset -eu\n"),
    "set -C": Arrangement("set -C\n"),
    "ksh_arrays, sh_word_split; posix": Arrangement(
        'if [ -n "$ZSH_VERSION" ]; then setopt ksh_arrays sh_word_split; else set -o posix; fi\n'
    ),
    "null_glob; failglob": Arrangement('if [ -n "$ZSH_VERSION" ]; then setopt null_glob; else shopt -s failglob; fi\n'),
    "noglob": Arrangement("set -o noglob\n"),
    "emulate sh; posix and noglob": Arrangement(
        'if [ -n "$ZSH_VERSION" ]; then emulate sh; else set -o posix; fi; set -o noglob\n'
    ),
    "errors to nowhere": Arrangement("exec 2>/dev/null\n"),
    "conda's block": Arrangement("CONDA\nalias ll='ls -l'\n"),
    "conda's block in a function": Arrangement("lazily() {\nCONDA}\n"),
    "conda's block in an if": Arrangement('if [ -z "$NOCONDA" ]; then\nCONDAfi\nexport EDITOR=vim\n'),
    "conda's block twice": Arrangement("CONDA\nCONDA"),
    "half of conda's block": Arrangement("# >>> conda initialize >>>\nexport EDITOR=vim\n"),
    "conda's block in a file read later": Arrangement(
        "export EDITOR=vim\n", only({".zlogin": "CONDA"}, {".bashrc": "CONDA", ".bash_profile": ". ~/.bashrc\n"})
    ),
    "mamba's block": Arrangement(
        "# >>> mamba initialize >>>\nexport MAMBA_EXE='/nowhere/mamba';\nalias mamba=\"$MAMBA_EXE\"\n"
        "# <<< mamba initialize <<<\n"
    ),
    "conda loaded lazily": Arrangement(
        'conda() { unset -f conda; . HOME/conda/etc/profile.d/conda.sh; conda "$@"; }\n'
    ),
    "conda.sh by hand": Arrangement(". HOME/conda/etc/profile.d/conda.sh\nconda activate\n"),
    "the course by hand": Arrangement("CONDA\nconda activate env\nconda activate env\n"),
    "the course by hand, in a function": Arrangement("CONDAwork() {\n    conda activate env\n}\n"),
    "another environment on PATH": Arrangement("PATH=HOME/other/bin:$PATH\nVIRTUAL_ENV=HOME/other\n"),
    "our block, wrapped by hand": Arrangement(
        "if [ -t 0 ]; then\nBLOCKfi\nexport EDITOR=vim\n", left="if [ -t 0 ]; then\n:\nfi\nexport EDITOR=vim\n"
    ),
    "our block in a here-document": Arrangement(
        "cat >/dev/null <<'EOF'\nBLOCKEOF\n", left="cat >/dev/null <<'EOF'\nEOF\n"
    ),
    "our block twice": Arrangement("BLOCKexport EDITOR=vim\nBLOCK", left="export EDITOR=vim\n"),
    "ZDOTDIR without export; only .profile": Arrangement(
        None, only({".zshenv": "ZDOTDIR=~/dots\n", "dots/.zshrc": "x=1\n"}, {".profile": "x=1\n"})
    ),
    "ZDOTDIR exported; .bash_login": Arrangement(
        None,
        only({".zshenv": "export ZDOTDIR=~/dots\n"}, {".bash_login": "x=1", ".profile": "PATH=HOME/other/bin:$PATH\n"}),
    ),
    "the other files too": Arrangement(
        "x=1\n",
        only(
            {".zprofile": "PATH=/usr/local/bin:$PATH\n", ".zlogin": "echo hello\n"},
            {".bashrc": "PATH=HOME/other/bin:$PATH\n", ".profile": "exit\n"},
        ),
    ),
    "a link to dotfiles": Arrangement(
        None, links={"MAIN": "dotfiles/rc"}, files=only({"dotfiles/rc": "x=1"}, {"dotfiles/rc": "x=1"})
    ),
    "a link into a store": Arrangement(
        None,
        links={"MAIN": "store/rc"},
        files=only(STORED, STORED),
        modes={"store/rc": 0o444},
        outcome=LEFT,
    ),
    "a read-only file": Arrangement("PATH=HOME/other/bin:$PATH\n", modes={"MAIN": 0o444}, outcome=LEFT),
    "private permissions": Arrangement("x=1\n", modes={"MAIN": 0o600}),
    "alias python": Arrangement("alias python=HOME/other/bin/python\n", outcome=OTHER),
    "a function python": Arrangement('python() { HOME/other/bin/python "$@"; }\n', outcome=OTHER),
    "PATH set at each prompt": Arrangement(
        "puts_first() { PATH=HOME/other/bin:$PATH; }\nprecmd() { puts_first; }\nPROMPT_COMMAND=puts_first\n",
        outcome=OTHER,
    ),
    "another shell instead": Arrangement(
        'export PATH=HOME/other/bin:$PATH\nif [ -n "$ZSH_VERSION" ]; then exec bash --norc; else exec zsh -f; fi\n',
        outcome=OTHER,
    ),
    "return before the end": Arrangement("PATH=HOME/other/bin:$PATH\nreturn\n", outcome=OTHER),
    "an unfinished here-document": Arrangement("PATH=HOME/other/bin:$PATH\ncat >/dev/null <<EOF\n", outcome=OTHER),
    "PATH without anything": Arrangement(
        "nothing() { PATH=/nowhere; }\nprecmd() { nothing; }\nPROMPT_COMMAND=nothing\n", outcome=NONE
    ),
    "a question to the user": Arrangement("printf 'Update? '; read answer\n", outcome=SILENT),
    "something that hangs": Arrangement("sleep 1000\n", outcome=SILENT),
    "exit": Arrangement("exit 3\n", outcome=SILENT),
}
"""By what they are."""


def table() -> str:
    """The table of the document."""
    rows = [f"| {name} | {OUTCOMES[one.outcome]} |" for name, one in ARRANGEMENTS.items()]
    return "\n".join(["| start-up files | a new terminal, zsh and bash |", "|---|---|", *rows, ""])


def document(before: str) -> str:
    """The document with the table of today."""
    head = before.partition("| start-up files |")[0]
    return f"{head}{table()}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
