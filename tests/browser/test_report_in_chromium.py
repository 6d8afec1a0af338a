"""The report opened in Debian's Chromium: sound for those who look at it, listen to it, tab through it or print it.

It needs Chromium (`apt-get install chromium`), so it is a part of its own: `./run-tests report`. With a folder named in
SCREENSHOTS it leaves pictures there, to be looked at.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.varied import HOSTILE
from tests.verify.report.samples import DRIFT, made_fleet, write
from verify.report import language, page
from verify.results import drift

WIDTHS = {"phone": 360, "desktop": 1280}
HEIGHT = 900
# Levels A and AA of the Web Content Accessibility Guidelines 2.2, and what axe advises besides.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = shutil.which("chromium")
    assert found, "Debian's Chromium is missing: apt-get install chromium"
    # Chromium refuses its sandbox to root, as whom containers run tests.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=list(language.LOCALES))
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with everything a page can have, in one language."""
    folder = tmp_path_factory.mktemp(request.param)
    fleet = made_fleet(4)
    write(folder, [*fleet, {**fleet[-1], "profile": "current"}])
    drift.renew(folder, DRIFT, {})
    (folder / "old.json").write_text('{"schema": 1}', encoding="utf-8")
    return page.write(folder, language.choose(request.param))[0].as_uri()


class Opened:
    """The page in a window.

    Attributes:
        page: the window.
        noticed: what the page asked for, said or complained about: nothing, if all is well.
    """

    def __init__(self, browser: Browser, address: str, width: str, scheme: str = "light") -> None:
        size = {"width": WIDTHS[width], "height": HEIGHT}
        self.page: Page = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
        self.noticed: list[str] = []
        self.page.on("console", lambda message: self.noticed.append(message.text))
        self.page.on("pageerror", lambda error: self.noticed.append(str(error)))
        self.page.on("dialog", lambda dialog: self.noticed.append(dialog.message))
        self.page.on("request", lambda request: self.noticed.append(request.url) if request.url != address else None)
        self._name = f"{width}-{scheme}"
        self.page.goto(address)

    def unfold(self) -> None:
        """Open everything that opens."""
        self.page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def keep(self, what: str) -> None:
        """Leave a picture where SCREENSHOTS says."""
        if folder := os.environ.get("SCREENSHOTS"):
            name = f"{self.page.locator('html').get_attribute('lang')}-{self._name}-{what}.png"
            self.page.screenshot(path=Path(folder) / name, full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_and_nothing_is_loaded(chromium: Browser, address: str, width: str, scheme: str) -> None:
    opened = Opened(chromium, address, width, scheme)
    opened.keep("folded")
    assert opened.overflow() == 0
    assert HOSTILE in opened.page.inner_text("main")
    opened.unfold()
    opened.keep("unfolded")
    assert opened.overflow() == 0
    found = Axe().run(opened.page, options=RULES)
    assert found.violations_count == 0, found.generate_report()
    # The rules were really asked: among them those of contrast, on text as it is shown.
    assert "color-contrast" in [one["id"] for one in found.response["passes"]]
    assert opened.noticed == []
    opened.page.close()


def test_every_verdict_and_result_can_be_seen(chromium: Browser, address: str) -> None:
    opened = Opened(chromium, address, "desktop")
    opened.unfold()
    marks = opened.page.locator(".badge, .mark")
    places = marks.evaluate_all("all => all.map(one => [one.className, one.getBoundingClientRect().left])")
    assert {"mark skip", "mark pass", "badge fail", "badge warn", "badge pass"} <= {name for name, _ in places}
    assert [name for name, left in places if left < 0] == []
    opened.page.close()


def test_light_and_dark_differ(chromium: Browser, address: str) -> None:
    shades = []
    for scheme in ("light", "dark"):
        opened = Opened(chromium, address, "desktop", scheme)
        shades.append(opened.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        opened.page.close()
    assert shades[0] != shades[1]


def test_the_keyboard_reaches_everything(chromium: Browser, address: str) -> None:
    opened = Opened(chromium, address, "desktop")
    opened.unfold()
    ways = "a, summary, [tabindex]"
    wanted = opened.page.locator(ways).count()
    reached = set()
    for _ in range(wanted):
        opened.page.keyboard.press("Tab")
        reached.add(opened.page.evaluate(f"[...document.querySelectorAll('{ways}')].indexOf(document.activeElement)"))
        outline = opened.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", (
            f"the focus cannot be seen on {opened.page.evaluate('document.activeElement.outerHTML')}"
        )
    assert len(reached - {-1}) == wanted
    opened.page.close()


def test_enter_on_skip_goes_to_the_verdicts(chromium: Browser, address: str) -> None:
    opened = Opened(chromium, address, "phone")
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Enter")
    # The address changes when the browser comes to it, and not with the key; where it never does, this fails.
    opened.page.wait_for_url(f"{address}#verdicts")
    opened.page.close()


def test_printed_it_says_the_verdicts_on_white(chromium: Browser, address: str, tmp_path: Path) -> None:
    opened = Opened(chromium, address, "desktop", "dark")
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert opened.page.locator("nav").is_visible() is False
    assert opened.page.locator(".findings").first.is_visible()
    opened.keep("print")
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    tag = opened.page.locator("html").get_attribute("lang")
    printed = opened.page.pdf(path=folder / f"{tag}-print.pdf", format="A4")
    assert printed.startswith(b"%PDF")
    opened.page.close()


def test_without_styles_and_scripts_it_still_says_everything(chromium: Browser, address: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    shown = context.new_page()
    shown.goto(address)
    assert HOSTILE in shown.inner_text("main")
    context.close()
