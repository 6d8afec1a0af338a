"""Notes which lines of the project a process runs, and which of its files it reads as text, for the test it belongs to.

A script without a module around it: every Python process that a test starts runs it too, by a .pth file.
"""

import atexit
import os
import sys
from pathlib import Path
from typing import Any

import coverage

TREE = "METAL_LAB_WATCHED_TREE"
DATA = "METAL_LAB_WATCHED_DATA"
TEST = "METAL_LAB_WATCHED_TEST"
READ = 0
"""The line under which a file counts as read: a probe is sent as text, and so are Ansible's modules."""


class Watch:
    """Coverage of one process, with the tests as contexts."""

    def __init__(self) -> None:
        self._tree = os.environ[TREE] + "/"
        self.test = os.environ.get(TEST, "")
        self._read: dict[str, set[str]] = {}
        self._coverage = coverage.Coverage(
            data_file=str(Path(os.environ[DATA]) / "lines"),
            data_suffix=True,
            config_file=False,
            include=[self._tree + "*"],
            omit=[self._tree + ".venv/*"],
            messages=False,
        )
        # It would be said on the stderr of the process, which a test may look at.
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])
        sys.addaudithook(self._note)
        self._coverage.start()
        self.switch(self.test)

    def switch(self, test: str) -> None:
        """What runs from now on runs for this test."""
        self.test = os.environ[TEST] = test
        self._coverage.switch_context(test)

    def end(self) -> None:
        """Write what was seen."""
        self._coverage.stop()
        data = self._coverage.get_data()
        for test, paths in self._read.items():
            data.set_context(test)
            data.add_lines({path: [READ] for path in paths})
        self._coverage.save()

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".py") and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            # Ansible finds the plugins by a link.
            path = os.path.realpath(arguments[0])
            if path.startswith(self._tree):
                self._read.setdefault(self.test, set()).add(path)


if __name__ == "__main__":
    atexit.register(Watch().end)
