"""What makes pytest the health check: options, hosts, progress, results, summary, exit code.

verify/conftest.py takes these hooks, so that `pytest verify --hosts=…` and `python -m verify` (which calls pytest
with the same conftest) behave alike.
"""

from contextlib import nullcontext
from typing import Any

import pytest
from testinfra.host import Host

from ..checks import stages
from ..checks.health import HostHealth
from ..errors import UserError
from ..results.model import INTERNAL, CheckResult
from ..target import connection
from ..text import plain
from . import options
from .run import COULD_NOT_RUN, HEALTHY, Run
from .settings import JUNIT, resolve

_STATE = pytest.StashKey[Run]()


def add_options(parser: pytest.Parser) -> None:
    """The options that testinfra does not have; its --hosts and --ansible-inventory are ours as well."""
    group = parser.getgroup("verify", "health check of machine-learning machines")
    options.add(group.addoption, testinfra_too=False)


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
        run = Run(resolve(option), lambda line: _say(config, line))
        run.begin()
    except UserError as error:
        pytest.exit(f"verify: {error}", returncode=COULD_NOT_RUN)
    config.stash[_STATE] = run
    if not option.xmlpath:
        option.xmlpath = str(run.settings.results / JUNIT)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per check of the level."""
    run = metafunc.config.stash.get(_STATE, None)
    if "check" in metafunc.fixturenames and run is not None:
        plan = run.settings.plan
        metafunc.parametrize("check", stages.check_names(plan))


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
    answer = health.check(check)
    if check == INTERNAL:
        answer = config.stash[_STATE].close(health)
    _tell(config, health, answer)
    text = f"{answer.check}: {answer.message}" + (f"\n{answer.advice}" if answer.advice else "")
    if answer.result == "fail":
        pytest.fail(f"[{answer.fault}] {text}", pytrace=False)
    if answer.result == "warn":
        # Told, and no failure: pytest calls that an expected one.
        pytest.xfail(f"[{answer.fault}] {text}")
    if answer.result == "skip":
        pytest.skip(answer.message)


def _tell(config: pytest.Config, health: HostHealth, answer: CheckResult) -> None:
    """Print a check's answer; not a skipped one, nor that verify did what it should."""
    if answer.result == "skip" or (answer.check, answer.result) == (INTERNAL, "pass"):
        return
    kind = f" [{answer.fault}]" if answer.fault else ""
    first = answer.message.splitlines()[0]
    _say(config, f"{answer.result:<4}  {health.report.host}  {answer.check}{kind}: {first}", answer.result)


def _say(config: pytest.Config, line: str, result: str = "") -> None:
    """Print a line of progress at once, past pytest's capturing."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    capture = config.pluginmanager.getplugin("capturemanager")
    if reporter is None or config.option.verbose > 0:
        return
    colour = {"pass": "green", "warn": "yellow", "fail": "red"}.get(result)
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        reporter.ensure_newline()
        reporter.write(plain(line) + "\n", flush=True, **({colour: True} if colour else {}))


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str]:
    """No letters: each check has its own line of progress."""
    if report.when == "call":
        category: str = "xfailed" if hasattr(report, "wasxfail") else report.outcome
    else:
        category = "error" if report.failed else ""
    return category, "", category.upper()


# Last of the wrappers, next to what writes junit.xml: where that fails, the summary around it is still shown.
@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Any:
    """Settle what was not looked at to the end, make the page, and say by the exit code what it all means."""
    # Nothing that was asked ahead, or before an interrupt, goes on computing; nor is it waited for.
    with connection.ending_all():
        return (yield from _finish(session))


def _finish(session: pytest.Session) -> Any:
    run = session.config.stash.get(_STATE, None)
    if run is None:
        return (yield)
    for address, answer in run.end(page_wanted=not session.config.option.no_page):
        _log(session, address, answer)
    if run.exit_code == HEALTHY and session.exitstatus != pytest.ExitCode.OK:
        run.complain(
            f"pytest ended with exit code {int(session.exitstatus)} although no check failed: please report it"
        )
    try:
        return (yield)
    except OSError as error:
        # pytest's own junit.xml, on a full disk.
        run.complain(f"{session.config.option.xmlpath} could not be written: {error.strerror}")
    finally:
        session.exitstatus = run.exit_code
    return None


def _log(session: pytest.Session, address: str, answer: CheckResult) -> None:
    """Have JUnit tell a failure that no test could."""
    name = f"test_check[{answer.check}-{address}]"
    report = pytest.TestReport(
        nodeid=f"verify/run/test_checks.py::{name}",
        location=("verify/run/test_checks.py", None, name),
        keywords={},
        outcome="failed",
        longrepr=f"[{answer.fault}] {answer.check}: {answer.message}",
        when="call",
    )
    session.config.hook.pytest_runtest_logreport(report=report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The verdict, the table, the findings."""
    run = config.stash.get(_STATE, None)
    if run is None:
        return
    terminalreporter.ensure_newline()
    terminalreporter.write(run.summary(colour=terminalreporter.hasmarkup))
