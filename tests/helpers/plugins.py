"""Modules and action plugins in this process, as Ansible calls them: arguments in, the result out."""

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader
from ansible.template import Templar


def run_module(main: Callable[[], None], arguments: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
    """What a module answers; its exit code has to say the same.

    Args:
        main: the module's.
        arguments: its options, and what Ansible itself tells a module (`_ansible_…`).
        check: whether in check mode.
    """
    said = io.StringIO()
    code: object = None
    with patch_module_args({**arguments, "_ansible_check_mode": check}), redirect_stdout(said):
        try:
            main()
        except SystemExit as end:
            code = end.code
    answer: dict[str, Any] = json.loads(said.getvalue().strip().splitlines()[-1])
    assert code == int(answer.get("failed", False)), answer
    return answer


def by_shell(
    script: Path,
    home: Path,
    *arguments: str,
    path: str = "/usr/bin:/bin",
    shell: str = "/bin/sh",
    inline: bool = False,
) -> str:
    """What a script for the target's POSIX shell prints; it has nothing to complain of.

    Args:
        script: the file.
        home: the user's.
        arguments: the script's.
        path: where it finds its tools.
        shell: the command of the one that reads it.
        inline: whether it reads it as its argument (`-c`), and not as its input.
    """
    text = script.read_text(encoding="utf-8")
    done = subprocess.run(
        [*shell.split(), *(["-c", text, "sh"] if inline else ["-s", "--"]), *arguments],
        input="" if inline else text,
        env={"PATH": path, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def connection(*answers: tuple[int, str, str]) -> Any:
    """A connection to this machine; or to one that gives these answers: exit code, output, errors.

    What was run over it is in its list `lines`.
    """
    made = connection_loader.get("local", PlayContext())
    run, left = made.exec_command, iter(answers)
    made.lines = []

    def exec_command(line: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        # Whatever the target's own shell is.
        assert line.startswith("/bin/sh -c "), line
        made.lines.append(line)
        if not answers:
            done: tuple[int, bytes, bytes] = run(line, in_data=in_data, sudoable=sudoable)
            return done
        code, out, err = next(left)
        return code, out.encode(), err.encode()

    made.exec_command = exec_command
    return made


def action(
    plugin: type[ActionBase],
    arguments: Mapping[str, Any],
    *,
    check: bool = False,
    variables: Mapping[str, Any] | None = None,
    environment: list[dict[str, str]] | None = None,
    password: str = "",
    over: Any = None,
) -> ActionBase:
    """An action plugin as a task has it.

    Args:
        plugin: the class.
        arguments: the task's.
        check: whether in check mode.
        variables: what templates may name.
        environment: the play's and the task's, as Ansible keeps them.
        password: what --ask-become-pass was answered.
        over: the connection; this machine by default.
    """
    task = Task()
    task.action, task.args, task.check_mode = plugin.__module__.rpartition(".")[2], dict(arguments), check
    task.environment = environment or []
    context = PlayContext()
    context.become_pass = password
    # A target's shell may be any.
    context.executable = "/nowhere/fish"
    loader = DataLoader()
    loader.set_basedir(str(Path.cwd()))
    templar = Templar(loader=loader, variables=dict(variables or {}))
    return plugin(task, over or connection(), context, loader, templar)


def run_action(plugin: type[ActionBase], arguments: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """What an action plugin returns; see `action`. Where it raises its failure, that as Ansible shows it."""
    try:
        result: dict[str, Any] = action(plugin, arguments, **options).run(None, dict(options.get("variables") or {}))
    except AnsibleActionFail as error:
        return {"failed": True, "msg": error.message}
    return result


@contextmanager
def typed(text: str) -> Iterator[None]:
    """Something waits at this process's standard input, which no command may take."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
