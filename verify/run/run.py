"""One run over all its hosts: the result of each is written as soon as it is there, whatever the others do."""

import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from testinfra.host import Host

from ..checks.given import GivenHealth
from ..checks.health import HostHealth
from ..documents import MalformedError
from ..errors import UserError
from ..report import page, summary
from ..results import files, history
from ..results.model import CheckResult
from ..text import plain
from .settings import Settings

HEALTHY, UNHEALTHY, COULD_NOT_RUN = 0, 1, 2


class Run:
    """A run.

    Args:
        settings: what is asked.
        announce: called with a line before something that takes long.
    """

    def __init__(self, settings: Settings, announce: Callable[[str], None]) -> None:
        self.settings = settings
        # Read when the first host needs it, and once for all of them.
        lock = functools.cache(settings.plan.profile.lock)
        kind = GivenHealth if settings.plan.environment else HostHealth
        self._hosts = {
            address: kind(host, name, settings.plan, lock, announce)
            for address, (host, name) in _named(settings.hosts).items()
        }
        self._closed: set[str] = set()
        self._written: list[Path] = []
        self._page: Path | None = None
        self._complaints: list[str] = []

    def begin(self) -> None:
        """Put a result that says that nothing was said yet in the place of each host's older one.

        So neither an older result nor none stands for a host at which this run fails, even where the run is killed.

        Raises:
            UserError: it cannot be written, or a host has a name that no result can have.
        """
        try:
            for one in self._hosts.values():
                files.write(one.unfinished(), self.settings.results)
        except OSError as error:
            raise UserError(
                f"No result can be written to {self.settings.results}: {error.strerror}. Free some space there, or set "
                "--results."
            ) from error
        except MalformedError as error:
            raise UserError(f"A machine cannot be called that: {error}. Give it another name.") from error

    def health(self, host: Host) -> HostHealth:
        """The health of a host."""
        return self._hosts[host.backend.get_pytest_id()]

    def close(self, health: HostHealth) -> CheckResult:
        """Write the result of a host of which everything was looked at; returns its last answer, to `internal`."""
        try:
            content = files.serialize(health.report)
            # First, so that a result that says healthy is in its place only when all is well.
            history.keep(health.report, content, self.settings.results)
            self._written.append(files.put(self.settings.results, health.report.host, health.report.profile, content))
        except OSError as error:
            self._rewrite(health, UserError(f"its result could not be written: {error.strerror or error}"))
        except Exception as error:
            self._rewrite(health, error)
        self._closed.add(health.report.host)
        return health.report.checks[-1]

    def end(self, *, page_wanted: bool) -> Iterator[tuple[str, CheckResult]]:
        """Settle the hosts of which not everything was looked at or can be shown, and make the page.

        Args:
            page_wanted: whether the page is to be made.

        Yields:
            address of a host, and its failure that no check has told.
        """
        for address, one in self._hosts.items():
            closed = one.report.host in self._closed
            error = self._unshown(one)
            if error is not None or not closed:
                self._rewrite(one, error)
                yield address, one.report.checks[-1]
        for name, error in (self._make_page() if page_wanted else {}).items():
            for address, one in self._hosts.items():
                if _file(one) == name:
                    self._rewrite(one, error)
                    yield address, one.report.checks[-1]

    def complain(self, problem: str) -> None:
        """Note what went wrong with the run as a whole."""
        self._complaints.append(problem)

    @property
    def exit_code(self) -> int:
        """What the run means: the worst of its hosts."""
        verdicts = {one.report.verdict for one in self._hosts.values()}
        if self._complaints or "unverified" in verdicts:
            return COULD_NOT_RUN
        return UNHEALTHY if "unhealthy" in verdicts else HEALTHY

    def summary(self, *, colour: bool) -> str:
        """What people read at the end."""
        spoken = self.settings.language
        sections = []
        for one in self._hosts.values():
            try:
                sections.append(summary.host(one.report, spoken, colour=colour))
            except Exception:  # noted at the end of the run
                sections.append(summary.unshown(one.report, spoken, colour=colour))
        places = summary.places(self._written, self._page, spoken)
        return "\n" + "".join(sections) + places + "".join(f"verify: {one}\n" for one in self._complaints)

    def _unshown(self, health: HostHealth) -> Exception | None:
        """Why nothing can be shown of a host on the screen: a fault of verify, which keeps no other off it."""
        try:
            summary.host(health.report, self.settings.language, colour=False)
        except Exception as error:
            return error
        return None

    def _rewrite(self, health: HostHealth, error: Exception | None) -> None:
        """Settle a host's report after a failure of verify, and write it if that can be."""
        if error is not None:
            health.note(error)
        health.settle()
        path = self.settings.results / _file(health)
        try:
            files.write(health.report, self.settings.results)
        except Exception as again:
            if not isinstance(again, OSError):
                health.note(again)
                health.settle()
            if path in self._written:
                # It says more than is known by now; what `begin` wrote says that nothing is.
                self._written.remove(path)
                with suppress(OSError):
                    path.unlink()
            return
        if path not in self._written:
            self._written.append(path)

    def _make_page(self) -> dict[str, Exception]:
        """Make the page; returns the results that it could not show, by the names of their files."""
        try:
            self._page, broken = page.write(self.settings.results, self.settings.language)
        except OSError as error:
            self.complain(f"The page could not be written: {error}")
            return {}
        except Exception as error:
            return {_file(one): error for one in self._hosts.values()}
        return broken


def _file(health: HostHealth) -> str:
    return files.file_name(health.report.host, health.report.profile)


def _named(hosts: list[Host]) -> dict[str, tuple[Host, str]]:
    """Each host by its address, and what to call it: its bare name where that is one host's only, else its address."""
    addresses = {host.backend.get_pytest_id(): host for host in hosts}
    bare = {
        # As it is read back from its file.
        address: "localhost" if address == "local" else plain(host.backend.get_hostname())
        for address, host in addresses.items()
    }
    names = list(bare.values())
    return {
        address: (host, bare[address] if names.count(bare[address]) == 1 else plain(address))
        for address, host in addresses.items()
    }
