"""The workers: each with a copy of the tree, in a folder of its own that is also its home and its temporary folder."""

import json
import os
import queue
import shutil
import site
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.mutants import watch

_WATCH = Path(watch.__file__)
_RUN = f"exec(open({str(_WATCH)!r}).read(), {{'__name__': '__main__'}})"
# Python may come by such a file twice: under two names of its folder, or because two learn at once.
_PTH = f"import os, sys; exec({_RUN!r} if '{watch.TREE}' in os.environ and 'coverage' not in sys.modules else '')\n"
_WORKER = Path(__file__).with_name("worker.py")
_NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""A mutant may kill the wrong process; with root's rights, in the wrong place, that would be any process."""


class Worker:
    """One worker process."""

    def __init__(self, room: Path, modules: Sequence[str]) -> None:
        self.tree = room / "tree"
        for name in ("home", "temp"):
            (room / name).mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [*_namespace(), sys.executable, str(_WORKER), json.dumps(modules)],
            cwd=self.tree,
            env={**os.environ, "HOME": str(room / "home"), "TMPDIR": str(room / "temp")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have an order carried out; see worker.py."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def end(self) -> None:
        """End it; what it was doing is given up."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def rooms(root: Path, files: Sequence[str], count: int) -> Iterator[list[Path]]:
    """Folders with a copy of the project's files each, and its toolchain."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        made = [Path(folder) / str(number) for number in range(count)]
        for room in made:
            for file in files:
                (room / "tree" / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / file, room / "tree" / file, follow_symlinks=False)
            (room / "tree" / ".venv").symlink_to(root / ".venv")
            # Or the first import of a file would look as if a test had read its text.
            subprocess.run(
                [sys.executable, "-m", "compileall", "-q", room / "tree"], stdout=subprocess.DEVNULL, check=False
            )
        yield made


def share(
    places: Sequence[Path],
    modules: Sequence[str],
    orders: Sequence[dict[str, Any]],
    done: Callable[[int, dict[str, Any]], None],
) -> None:
    """Have the workers carry out orders; `done` gets each one's place in the list and its answer, one at a time."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[int, dict[str, Any] | Exception]] = queue.SimpleQueue()
    for place in range(len(orders)):
        waiting.put(place)

    def serve(worker: Worker) -> None:
        while True:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((place, worker.run(orders[place])))
            except (OSError, ValueError) as error:
                answers.put((place, error))
                return

    workers = [Worker(place, modules) for place in places]
    try:
        for worker in workers:
            threading.Thread(target=serve, args=[worker], daemon=True).start()
        for _ in orders:
            place, answer = answers.get()
            if isinstance(answer, Exception):
                raise RuntimeError(f"a worker ended unexpectedly: {answer}") from answer
            done(place, answer)
    finally:
        for worker in workers:
            worker.end()


@contextmanager
def watched() -> Iterator[None]:
    """Python processes of this toolchain look out for whether they are to be watched."""
    with tempfile.NamedTemporaryFile("w", prefix="watch-", suffix=".pth", dir=site.getsitepackages()[0]) as file:
        file.write(_PTH)
        file.flush()
        yield


def _namespace() -> list[str]:
    able = shutil.which(_NAMESPACE[0]) and subprocess.run([*_NAMESPACE, "true"], check=False, stderr=subprocess.DEVNULL)
    return _NAMESPACE if able and able.returncode == 0 else []
