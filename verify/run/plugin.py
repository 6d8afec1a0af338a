"""What makes pytest the health check: options, hosts, progress, results, summary, exit code.

verify/conftest.py takes these hooks, so that `pytest verify --hosts=…` and `python -m verify` (which calls pytest
with the same conftest) behave alike.
"""

import functools
from contextlib import nullcontext
from pathlib import Path

import pytest
from testinfra.host import Host

from verify.checks import coreml as coreml_judgement
from verify.checks.framework import check_names
from verify.checks.health import HostHealth, setup_checks
from verify.errors import UserError
from verify.report import language, page, summary
from verify.results import history
from verify.results.model import CheckResult, HostReport, write
from verify.run import settings as options
from verify.run.settings import Settings

HEALTHY, UNHEALTHY, COULD_NOT_RUN = 0, 1, 2
_STATE = pytest.StashKey["Run"]()


class Run:
    """One run over all its hosts."""

    def __init__(self, config: pytest.Config, settings: Settings, hosts: list[Host]) -> None:
        self._config = config
        self.settings = settings
        # Read when the first host needs it, and once for all of them.
        self._lock = functools.cache(settings.profile.lock)
        self._names = _names(hosts)
        self._hosts: dict[str, HostHealth] = {}
        self.written: list[Path] = []
        self.page: Path | None = None

    def health(self, host: Host) -> HostHealth:
        """The health of a host."""
        address = host.backend.get_pytest_id()
        if address not in self._hosts:
            name = self._names[address]
            self._hosts[address] = HostHealth(host, name, self.settings, self._lock, self.say)
        return self._hosts[address]

    @property
    def reports(self) -> list[HostReport]:
        """What was found so far, host by host."""
        return [one.report for one in self._hosts.values() if one.report.checks]

    def say(self, line: str, result: str = "") -> None:
        """Print a line of progress at once, past pytest's capturing."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        capture = self._config.pluginmanager.getplugin("capturemanager")
        if reporter is None or self._config.option.verbose > 0:
            return
        colour = {"pass": "green", "warn": "yellow", "fail": "red"}.get(result)
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            reporter.ensure_newline()
            reporter.write(summary.plain(line) + "\n", flush=True, **({colour: True} if colour else {}))

    def tell(self, health: HostHealth, answer: CheckResult) -> None:
        """Print a check's answer; a skipped one only when it follows from nothing that was told before."""
        if answer.result != "skip":
            kind = f" [{answer.fault}]" if answer.fault else ""
            first = answer.message.splitlines()[0]
            self.say(f"{answer.result:<4}  {health.report.host}  {answer.check}{kind}: {first}", answer.result)


def add_options(parser: pytest.Parser) -> None:
    """The options that testinfra does not have; its --hosts and --ansible-inventory are ours as well."""
    group = parser.getgroup("verify", "health check of machine-learning machines")
    group.addoption("--profile", default=options.DEFAULT_PROFILE, help="the profile (default: %(default)s)")
    group.addoption("--level", default="quick", help="setup, quick, full or soak (default: %(default)s)")
    group.addoption("--frameworks", help="names separated by commas (default: those in each target's record)")
    group.addoption("--results", default=options.DEFAULT_RESULTS, help="folder (default: %(default)s)")
    group.addoption("--lang", help=language.HELP)
    group.addoption("--no-page", action="store_true", help=options.NO_PAGE_HELP)
    group.addoption("--timeout", help=options.TIMEOUT_HELP)
    group.addoption("--soak-seconds", help=options.SOAK_HELP)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the settings and resolve the hosts before anything runs."""
    option = config.option
    if option.collectonly or option.help:
        return
    option.hosts = option.hosts or options.DEFAULT_HOSTS
    # Our lines of progress stand for pytest's; with -v its own are shown instead.
    if option.verbose == 0:
        option.verbose = -1
    try:
        settings = options.resolve(
            profile_name=option.profile,
            level=option.level,
            frameworks=option.frameworks,
            results=option.results,
            timeout=option.timeout,
            soak=option.soak_seconds,
            lang=option.lang,
        )
        hosts = options.resolve_hosts(option.hosts, option.ansible_inventory)
    except UserError as error:
        pytest.exit(f"verify: {error}", returncode=COULD_NOT_RUN)
    config.stash[_STATE] = Run(config, settings, hosts)
    if not option.xmlpath:
        option.xmlpath = str(settings.results / "junit.xml")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per check of the level."""
    run = metafunc.config.stash.get(_STATE, None)
    if "check" in metafunc.fixturenames and run is not None:
        level, frameworks = run.settings.level, run.settings.candidates
        names = [name for one in frameworks for name in check_names(one, level)]
        optional = [coreml_judgement.CHECK] if level in ("full", "soak") else []
        metafunc.parametrize("check", [*setup_checks(frameworks, level), *names, *optional])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Host by host, each in the order of its checks: the sort keeps what stands in order."""
    items.sort(key=_host_of)


def _host_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    host = callspec.params.get("_testinfra_host") if callspec else None
    return host.backend.get_pytest_id() if isinstance(host, Host) else ""


@pytest.fixture
def health(host: Host, request: pytest.FixtureRequest) -> HostHealth:
    """The health of the test's host."""
    return request.config.stash[_STATE].health(host)


def judge(health: HostHealth, check: str, config: pytest.Config) -> None:
    """Turn a check's answer into a test's outcome.

    Args:
        health: of the test's host.
        check: the check's name.
        config: pytest's.
    """
    __tracebackhide__ = True
    try:
        answer = health.check(check)
    except UserError as error:
        pytest.exit(f"verify: {error}", returncode=COULD_NOT_RUN)
    config.stash[_STATE].tell(health, answer)
    text = f"{answer.check}: {answer.message}" + (f"\n{answer.advice}" if answer.advice else "")
    if answer.result == "fail":
        pytest.fail(f"[{answer.fault}] {text}", pytrace=False)
    if answer.result == "warn":
        # Told, and no failure: pytest calls that an expected one.
        pytest.xfail(f"[{answer.fault}] {text}")
    if answer.result == "skip":
        pytest.skip(answer.message)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """No letters: each check has its own line of progress."""
    if report.when == "call" and not hasattr(report, "wasxfail"):
        return report.outcome, "", report.outcome.upper()
    return None if report.when == "call" and report.failed else (_category(report), "", _category(report).upper())


def _category(report: pytest.TestReport) -> str:
    if report.when != "call":
        return "error" if report.failed else ""
    return "xfailed"


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the results, and say by the exit code what they mean."""
    run = session.config.stash.get(_STATE, None)
    if run is None:
        return
    finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    reports = run.reports
    if not finished or not reports:
        session.exitstatus = COULD_NOT_RUN
        return
    results = run.settings.results
    run.written = [write(one, results) for one in reports]
    for one, path in zip(reports, run.written, strict=True):
        history.keep(one, path, results)
    if not session.config.option.no_page:
        run.page = page.write(results, run.settings.language)
    unhealthy = exitstatus == pytest.ExitCode.TESTS_FAILED or any(one.verdict == "unhealthy" for one in reports)
    session.exitstatus = UNHEALTHY if unhealthy else HEALTHY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The verdict, the table, the findings."""
    run = config.stash.get(_STATE, None)
    if run is not None and run.written:
        terminalreporter.ensure_newline()
        terminalreporter.write(
            summary.render(run.reports, run.written, run.page, run.settings.language, colour=terminalreporter.hasmarkup)
        )


def _names(hosts: list[Host]) -> dict[str, str]:
    """What to call each host: by its bare name where that is one host's only, else by its address."""
    bare: dict[str, list[str]] = {}
    addresses = [host.backend.get_pytest_id() for host in hosts]
    for host, address in zip(hosts, addresses, strict=True):
        name = "localhost" if address == "local" else host.backend.get_hostname()
        bare.setdefault(name, []).append(address)
    return {address: name if len(set(group)) == 1 else address for name, group in bare.items() for address in group}
