"""The page: everything is on it, nothing on it runs, and what hosts say stays text."""

import base64
import gzip
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.support import NullTranslations

from benchmarks.varied import HOSTILE
from tests.verify.report.samples import CHANGES, DRIFT, TIME, made_fleet, measured, write
from verify.checks.advice import ADVICE
from verify.report import language, page, view
from verify.report.language import LOCALES, Language
from verify.results import drift
from verify.results.files import Refused, Stored, gather

UNCLOSED = {"meta", "br", "td", "th", "tr", "thead", "tbody"}
"""Elements without an end, or whose end HTML lets one leave out."""


class Document(HTMLParser):
    """A document taken apart: elements with their attributes, its text, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in UNCLOSED:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]


def rendered(folder: Path, code: str = "en") -> str:
    return page.render(*gather(folder), language.choose(code), drift.read(folder)).text


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    write(tmp_path, made_fleet(8))
    drift.renew(tmp_path, DRIFT, {})
    return tmp_path


@pytest.mark.parametrize("code", LOCALES)
def test_every_host_with_its_verdict_the_worst_first(fleet: Path, code: str) -> None:
    results, _ = gather(fleet)
    text = Document(rendered(fleet, code)).text
    verdicts = text[text.index("lab-05") :]
    for one in results:
        assert one.data["host"] in text
    order = [verdicts.index(name) for name in ("lab-05", "lab-02", "lab-04", "lab-06")]
    assert order == sorted(order)
    spoken = language.choose(code)
    assert spoken.ngettext("%(n)s unhealthy", "%(n)s unhealthy", 3) in text
    assert spoken.lookup(ADVICE["wrong-value"]) in text
    assert "7.0 instead of 6" in text


def test_nothing_on_it_runs_or_is_loaded(fleet: Path) -> None:
    text = rendered(fleet)
    document = Document(text)
    tags = {tag for tag, _ in document.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "foreignobject", "animate"}
    names = {name for _, attributes in document.elements for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    # The style sheet of the page is the only style: its digest is all that the policy lets in.
    assert "style" not in names
    for address in document.attributes("href"):
        assert re.match(r"#[a-z0-9-]+$|data:application/gzip;base64,[A-Za-z0-9+/=]+$", address)
    assert document.attributes("src") == []
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (one["content"] for tag, one in document.elements if one.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_a_hostile_name_is_text_wherever_it_stands(fleet: Path) -> None:
    text = rendered(fleet)
    assert HOSTILE not in text
    document = Document(text)
    assert document.text.count(HOSTILE) > 5
    assert any(HOSTILE in one for one in document.attributes("aria-label"))
    assert "\x1b" not in text


def test_the_results_are_behind_a_link(fleet: Path) -> None:
    (link,) = [one for one in Document(rendered(fleet)).attributes("href") if one.startswith("data:")]
    linked = {one["host"]: one for one in json.loads(gzip.decompress(base64.b64decode(link.partition(",")[2])))}
    results, _ = gather(fleet)
    assert linked.keys() == {one.data["host"] for one in results}
    for one in results:
        found = linked[one.data["host"]]
        assert found.keys() == one.data.keys()
        assert found["checks"] == one.data["checks"]
        for name, framework in one.data["frameworks"].items():
            for product, again in zip(framework["matmul"], found["frameworks"][name]["matmul"], strict=True):
                assert again["tflops"] == product["tflops"]
                assert again["samples_s"] == pytest.approx(product["samples_s"], rel=1e-5)


def test_files_that_are_no_results_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    write(tmp_path, [measured(host="mac-1")])
    (tmp_path / "broken.json").write_text('{"schema": ', encoding="utf-8")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "old.json").write_text('{"schema": 1, "host": "mac-2"}', encoding="utf-8")
    (tmp_path / "<b>other.json").write_text('{"schema": "x", "verdict": "fine"}', encoding="utf-8")
    (tmp_path / "partly.json").write_text(json.dumps({**measured(), "checks": [{}]}), encoding="utf-8")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "gone")
    text = Document(rendered(tmp_path)).text
    assert "mac-1" in text
    assert "mac-2" not in text
    for name in ("broken", "binary", "deep", "list", "old", "<b>other", "partly", "folder", "nowhere"):
        assert f"{name}.json" in text
    assert "it has schema 1, understood is 3" in text


def test_drift_is_told_by_machine_those_that_need_a_person_first(fleet: Path) -> None:
    text = Document(rendered(fleet)).text
    section = text[text.index("at that time") : text.index("How to read this", text.index("at that time"))]
    assert "-mlx==0.1" in section
    assert section.index("no route to") < section.index("2 tasks would change it") < section.index("as it should be")
    # And beside the verdict, where it has drifted.
    assert text.count("drifted") == 1


def test_drift_alone_makes_a_page(tmp_path: Path) -> None:
    drift.renew(tmp_path, DRIFT, {})
    text = Document(rendered(tmp_path)).text
    assert "1 of 3 machines has drifted" in text
    assert "No result to show" not in text
    assert "Verdicts" not in text


def test_a_drift_file_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "drift").mkdir()
    (tmp_path / drift.FILE).write_text('{"schema": 1}', encoding="utf-8")
    assert "drift.json" in Document(page.write(tmp_path, language.choose("en"))[0].read_text(encoding="utf-8")).text


def test_no_result_at_all_is_said(tmp_path: Path) -> None:
    assert "No result to show" in Document(rendered(tmp_path)).text


def test_structure_for_those_who_do_not_see_it(fleet: Path) -> None:
    text = rendered(fleet)
    document = Document(text)
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = document.attributes("id")
    assert len(ids) == len(set(ids))
    for target in [
        *document.attributes("aria-labelledby"),
        *(one[1:] for one in document.attributes("href") if one[0] == "#"),
    ]:
        assert target in ids
    assert text.count("<table") == text.count("<caption")
    charts = [one for tag, one in document.elements if tag == "svg"]
    assert charts
    for one in charts:
        assert one["role"] == "img"
        # A chart's figures are in its text alternative.
        assert re.search(r"\d", one["aria-label"] or "")


@pytest.mark.parametrize(("code", "tag"), [("pt", "pt-PT"), ("pt_BR", "pt-BR")])
def test_portuguese_marks_what_stays_english(fleet: Path, code: str, tag: str) -> None:
    text = rendered(fleet, code)
    assert f'<html lang="{tag}">' in text
    assert '<span lang="en">3 of 384 entries are wrong' in text
    assert "Valor errado" in text
    assert "Wrong value" not in text


class Strict(NullTranslations):
    """A catalogue that does not let a message pass which it does not have."""

    def gettext(self, message: str) -> str:
        raise AssertionError(f"not in the catalogue: {message!r}")

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        raise AssertionError(f"not in the catalogue: {msgid1!r} {msgid2!r} {n}")


@pytest.mark.parametrize(
    ("code", "title", "headline"),
    [
        ("pt", "Veredictos", "Máquinas com desvios: 1 de 3"),
        ("pt_BR", "Vereditos", "1 de 3 máquinas tem desvios"),
    ],
)
def test_nothing_on_it_is_missing_in_the_catalogue(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, code: str, title: str, headline: str
) -> None:
    spoken: Language = language.choose(code)
    monkeypatch.setattr(spoken.translations, "_fallback", Strict())
    (fleet / "old.json").write_text('{"schema": 1}', encoding="utf-8")
    assert title in page.render(*gather(fleet), spoken, drift.read(fleet)).text
    assert headline in page.render([], [], spoken, drift.read(fleet)).text


def of_state(host: str, state: str, profile: str = "ml-m1") -> Stored:
    data = measured(host=host, profile=profile)
    if state == "broken":
        del data["frameworks"]
    result = {"unverified": "pass", "broken": "pass"}.get(state, state)
    verdict = {"fail": "unhealthy", "unverified": "unverified"}.get(state, "healthy")
    checks = [{"check": "internal", "result": result, "message": "", "fault": "x", "advice": ""}]
    return Stored(Path(f"{host}.json"), {**data, "verdict": verdict, "checks": checks})


@pytest.mark.parametrize(
    ("states", "headline", "counts"),
    [
        ("", "No result to show", ""),
        ("pass", "The machine is healthy", "1 healthy"),
        ("pass pass", "All 2 machines are healthy", "2 healthy"),
        ("pass warn warn", "All 3 machines are healthy", "2 healthy, with warnings 1 healthy"),
        ("fail pass", "1 of 2 machines is unhealthy", "1 unhealthy 1 healthy"),
        ("fail fail", "2 of 2 machines are unhealthy", "2 unhealthy"),
        ("fail unverified", "1 of 2 machines is unhealthy", "1 could not be verified 1 unhealthy"),
        ("pass unverified", "1 of 2 machines could not be verified", "1 could not be verified 1 healthy"),
        ("broken", "The machine could not be verified", "1 could not be verified"),
        ("broken unverified pass", "2 of 3 machines could not be verified", "2 could not be verified 1 healthy"),
        ("broken fail", "1 of 2 machines is unhealthy", "1 could not be verified 1 unhealthy"),
    ],
)
def test_the_headline_and_the_counts(states: str, headline: str, counts: str) -> None:
    results = [of_state(f"mac-{number}", state) for number, state in enumerate(states.split())]
    made = page.render(results, [], language.choose("en"))
    text = " ".join(Document(made.text).text.split())
    assert headline in text
    assert counts in text
    broken = {number for number, state in enumerate(states.split()) if state == "broken"}
    assert set(made.broken) == {f"mac-{number}.ml-m1.json" for number in broken}


@pytest.mark.parametrize(
    ("states", "headline", "counts"),
    [
        ("pass pass", "The machine is healthy", "1 healthy"),
        ("pass warn", "The machine is healthy", "1 healthy, with warnings"),
        ("pass fail", "The machine is unhealthy", "1 unhealthy"),
        ("unverified fail", "The machine could not be verified", "1 could not be verified"),
        ("pass broken", "The machine could not be verified", "1 could not be verified"),
    ],
)
def test_two_profiles_of_one_machine(states: str, headline: str, counts: str) -> None:
    """Both are there, each under a name of its own; of the machine the worse one counts."""
    results = [of_state("mac-1", state, profile) for state, profile in zip(states.split(), ("p", "q"), strict=True)]
    known = {"mac-1": {"q": {"time": TIME, "changes": CHANGES, "problem": ""}}}
    made = page.render(results, [], language.choose("en"), known)
    document = Document(made.text)
    text = " ".join(document.text.split())
    assert headline in text
    assert f"{headline} {counts} Verdicts" in text
    assert {"mac-1 (p)", "mac-1 (q)"} <= {one.strip() for one in document.text.splitlines()}
    shown = len([one for one in states.split() if one != "broken"])
    assert [one for one in document.attributes("id") if re.fullmatch(r"host-\d+", one)] == [
        f"host-{number}" for number in range(1, shown + 1)
    ]
    # Only the one has drifted, whose name is its own there.
    assert document.text.count("drifted") == shown - 1


def test_a_host_that_cannot_be_shown_is_named_and_the_rest_is_shown() -> None:
    results = [of_state("mac-1", "pass"), of_state("mac-2", "broken"), of_state("mac-3", "fail")]
    made = page.render(results, [Refused(Path("other.json"), "odd")], language.choose("en"))
    document = Document(made.text)
    assert "mac-2.ml-m1.json" in document.text
    assert "verify failed to show it: KeyError: 'frameworks'" in document.text
    assert "other.json" in document.text
    ids = document.attributes("id")
    assert [one for one in ids if re.fullmatch(r"host-\d+", one)] == ["host-1", "host-2"]
    assert document.text.index("mac-3") < document.text.index("mac-1")
    assert not [line for line in made.text.splitlines() if line and not line.strip()]


def test_a_fault_that_says_much_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("much \n " * 200)

    monkeypatch.setattr(view, "host", fails)
    text = Document(page.render([of_state("mac-1", "pass")], [], language.choose("en")).text).text
    (reason,) = re.findall("verify failed to show it: .*", text)
    assert reason == ("verify failed to show it: ValueError: " + "much " * 200)[:300]


def test_what_drift_alone_comes_to(tmp_path: Path) -> None:
    for names, headline in (
        (("lab-01",), "0 of 1 machines have drifted"),
        (("lab-01", "lab-03"), "1 of 2 machines has drifted"),
    ):
        folder = tmp_path / str(len(names))
        drift.renew(folder, {name: DRIFT[name] for name in names}, {})
        assert headline in Document(rendered(folder)).text
    made = page.render([], [], language.choose("en"), drift.read(folder))
    assert "No result to show" not in made.text
    with_results = page.render([of_state("mac-1", "pass")], [], language.choose("en"), drift.read(folder))
    assert "The machine is healthy" in with_results.text


def test_frameworks_are_columns_in_their_order_and_unknown_ones_come_last() -> None:
    one = of_state("mac-1", "pass")
    some = one.data["frameworks"]["mlx"]
    one.data["frameworks"] = dict.fromkeys(("zeta", "mlx", "alpha", "tensorflow"), some)
    text = Document(page.render([one], [], language.choose("en")).text).text
    places = [text.index(name) for name in ("TensorFlow", "MLX", "alpha", "zeta")]
    assert places == sorted(places)


def test_a_virtual_mac_is_called_one(tmp_path: Path) -> None:
    data = measured()
    data["machine"] = {**data["machine"], "cpu": "Apple M1 (Virtual)", "virtual": True}
    write(tmp_path, [data])
    for code, name in (("en", "virtual Mac, Apple M1 (Virtual)"), ("pt", "Mac virtual, Apple M1 (Virtual)")):
        assert name in rendered(tmp_path, code)


def test_the_page_is_written_beside_the_results(tmp_path: Path) -> None:
    write(tmp_path, [measured(host="mac-1")])
    (tmp_path / "od\udcff.json").write_text("{")
    path, broken = page.write(tmp_path, language.choose("en"))
    assert (path, broken) == (tmp_path / "report.html", {})
    assert "od .json" in path.read_text(encoding="utf-8")
