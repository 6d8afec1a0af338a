"""Files that lie, among the results: each is shown whole or refused by name, and no other one suffers for it."""

import copy
import json
import os
import random
import resource
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.verify.hostile import Samples, dumps, spoilt
from tests.verify.report.samples import DRIFT, TIME, made_fleet, measured, write
from verify import __main__ as verify
from verify import documents
from verify.documents import MalformedError
from verify.report import language, page
from verify.results import drift, files, history
from verify.results.files import SCHEMA, gather, load

ROUNDS, EACH = 12, 25
_SCHEMA = json.loads(SCHEMA.read_text(encoding="utf-8"))
_DRIFT_SCHEMA = json.loads(drift.SCHEMA.read_text(encoding="utf-8"))


def lying(seed: int, fleet: list[dict[str, Any]]) -> str:
    """A result with parts that the schema allows up to its bounds, or spoilt ones."""
    source = random.Random(seed)  # noqa: S311 - no secret
    samples = Samples(_SCHEMA, source)
    data = {**copy.deepcopy(source.choice(fleet)), "host": f"mac-{seed}"}
    way = source.randrange(4)
    if way == 0:
        return dumps(spoilt(data, source))
    if way == 1 or not data["frameworks"]:
        part = source.choice(("machine", "chip", "state", "seconds", "started", "level", "address", "profile"))
        data[part] = samples.of(_SCHEMA["properties"][part])
        return dumps(data)
    framework = source.choice(list(data["frameworks"].values()))
    part = source.choice([one for one in framework if one != "result"])
    if way == 2:
        framework[part] = samples.of(_SCHEMA["$defs"]["framework"]["properties"][part])
    else:
        framework[part] = spoilt(framework[part], source)
    return dumps(data)


def verdicts(text: str) -> str:
    return unescape(text[: text.index('id="reading"')])


@pytest.mark.parametrize("number", range(ROUNDS))
def test_each_is_shown_whole_or_refused_by_name(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "C")
    fleet = made_fleet(5)
    write(tmp_path, [measured(host="mac-a"), measured(host="mac-z")])
    seeds = range(number * EACH, (number + 1) * EACH)
    for seed in seeds:
        text = lying(seed, fleet)
        (tmp_path / f"mac-{seed}.json").write_text(text, encoding="utf-8", errors="surrogatepass")
        # Some of them as an earlier one, too.
        earlier = history.folder(tmp_path, "mac-a") / f"20261120T{seed:06}Z-full.json"
        earlier.parent.mkdir(parents=True, exist_ok=True)
        earlier.write_text(text, encoding="utf-8", errors="surrogatepass")
    assert verify.main(["report", "--results", str(tmp_path)]) == 0
    found, refused = gather(tmp_path)
    assert len(found) + len(refused) == EACH + 2
    shown = verdicts((tmp_path / page.FILE).read_text(encoding="utf-8"))
    for one in found:
        assert f">{one.data['host']}</a></h3>" in shown
    for bad in refused:
        assert f"<dt>{bad.path.name}</dt>" in shown
    assert verify.main(["compare", str(tmp_path)]) in (0, 1, 2)
    assert verify.main(["compare", "--fleet", str(tmp_path)]) in (0, 1, 2)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    for name in ("mac-a", "mac-z"):
        assert name in said.out
    assert {"mac-a", "mac-z"} <= {one.data["host"] for one in found}


@pytest.mark.parametrize("seed", range(60))
def test_a_drift_file_that_lies_is_shown_or_refused_and_never_the_end_of_the_page(seed: int, tmp_path: Path) -> None:
    source = random.Random(seed)  # noqa: S311 - no secret
    write(tmp_path, [measured(host="mac-a")])
    whole = {"schema": drift.SCHEMA_VERSION, "hosts": copy.deepcopy(DRIFT)}
    data = Samples(_DRIFT_SCHEMA, source).of(_DRIFT_SCHEMA) if seed % 3 == 0 else spoilt(whole, source)
    (tmp_path / "drift").mkdir()
    (tmp_path / drift.FILE).write_text(dumps(data), encoding="utf-8", errors="surrogatepass")
    path, broken = page.write(tmp_path, language.choose("en"))
    text = unescape(path.read_text(encoding="utf-8"))
    assert broken == {}
    assert ">mac-a</a></h3>" in text
    try:
        known = drift.read(tmp_path)
    except MalformedError:
        assert "<dt>drift.json</dt>" in text
    else:
        assert all(name in text for name in known)
    # And a run that has something to tell puts a whole one in its place.
    drift.renew(tmp_path, {"lab-09": {"ml-m1": {"time": TIME, "changes": [], "problem": ""}}}, {})
    assert "lab-09" in drift.read(tmp_path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        # The address of such a socket is short.
        os.chdir(path.parent)
        one.bind(path.name)


def unreadable(path: Path) -> None:
    path.write_text(json.dumps(measured(host="mac-b")), encoding="utf-8")
    path.chmod(0)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100_000_000)


def huge_and_whole(path: Path) -> None:
    text = json.dumps(measured(host="mac-b"))
    path.write_text(text.ljust(documents.MAX_BYTES + 1), encoding="utf-8")


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": pipe,
    "socket": listening,
    "folder": Path.mkdir,
    "unreadable": unreadable,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "loop": lambda path: path.symlink_to(path),
    "gone": lambda path: path.symlink_to("/nowhere"),
    "huge": huge,
    "huge-and-whole": huge_and_whole,
    "empty": Path.touch,
}


@pytest.fixture
def limited() -> Iterator[None]:
    """A limit for what would otherwise wait for a pipe, or read without an end."""

    def over(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("place", ["mac-b.json", "drift/drift.json", "history/mac-a/20261120T000000Z-full.ml-m1.json"])
def test_what_is_no_file_with_text_is_refused_at_once(
    kind: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if kind == "unreadable" and os.geteuid() == 0:
        # Root may read all: as the kernel says it to others.
        monkeypatch.setattr(os, "open", refusing(os.open))
    write(tmp_path, [measured(host="mac-a")])
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    ODD[kind](path)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert verify.main(["report", "--results", str(tmp_path), "--lang", "en"]) == 0
    code = verify.main(["compare", str(tmp_path), "--lang", "en"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held < 100_000
    text = unescape((tmp_path / page.FILE).read_text(encoding="utf-8"))
    said = capsys.readouterr()
    assert ">mac-a</a></h3>" in text
    assert "mac-a" in said.out
    assert "Traceback" not in said.err
    # A link that leads nowhere is no drift file at all.
    named = place == "mac-b.json" or (place.startswith("drift") and kind not in ("gone", "loop"))
    assert (f"<dt>{path.name}</dt>" in text) is named
    assert code == 2
    if place.startswith("history"):
        assert f"{place}: " in said.out


def refusing(opened: Callable[..., int]) -> Callable[..., int]:
    def open_(path: Any, flags: int, *more: Any) -> int:
        if isinstance(path, Path) and path.exists() and not stat.S_IMODE(path.stat().st_mode):
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *more)

    return open_


def changed(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(changes)


def twice(data: dict[str, Any]) -> None:
    bad = next(one for one in data["checks"] if one["check"] == "mlx.value")
    data["checks"].insert(0, {**bad, "result": "fail", "fault": "wrong-value", "advice": "do not trust it"})


def framework_that_failed(data: dict[str, Any]) -> None:
    data["frameworks"]["mlx"]["result"] = "fail"


def framework_nobody_checked(data: dict[str, Any]) -> None:
    data["frameworks"]["theano"] = data["frameworks"]["mlx"]


def quartiles(data: dict[str, Any]) -> None:
    product = data["frameworks"]["mlx"]["matmul"][0]
    product["tflops"] = product["tflops_high"] * 2


def only(*names: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["checks"] = [one for one in data["checks"] if one["check"] in names]
        data["frameworks"] = {}

    return change


def all_skipped(data: dict[str, Any]) -> None:
    data["frameworks"] = {}
    for one in data["checks"]:
        if one["check"] != "internal":
            one.update(result="skip", fault="", advice="")


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (changed(verdict="unhealthy"), "its checks do not say"),
        (changed(verdict="unverified"), "its checks do not say"),
        (changed(checks=[]), "non-empty"),
        (changed(host="MAC-A"), "it is of the machine 'MAC-A'"),
        (changed(host="mac-b"), "it is of the machine 'mac-b'"),
        (changed(started="2926-11-21T07:51:46Z"), "has not been yet"),
        (changed(started="0000-00-00T00:00:00Z"), "is not a 'utc-time'"),
        (changed(machine={"cpu": "M1"}), "'system' is a required property"),
        (twice, "there twice"),
        (framework_that_failed, "its result of mlx is fail"),
        (framework_nobody_checked, "its result of theano is"),
        (quartiles, "outside of its quartiles"),
        (only("internal"), "its checks do not say"),
        (only("mlx.value"), "its checks do not say"),
        (all_skipped, "its checks do not say"),
    ],
)
def test_a_result_that_says_more_than_its_checks_is_refused(
    lie: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    data = measured(host="mac-a")
    (path,) = write(tmp_path, [data])
    assert [one.data["host"] for one in gather(tmp_path)[0]] == ["mac-a"]
    lie(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    found, (refused,) = gather(tmp_path)
    assert found == []
    assert said in refused.reason


def test_a_name_that_is_there_twice_in_one_object_is_refused(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [measured(host="mac-a")])
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"verdict"', '"verdict": "unhealthy", "verdict"', 1), encoding="utf-8")
    with pytest.raises(MalformedError, match="twice"):
        load(path)


def test_names_that_differ_by_case_only_have_files_of_their_own(tmp_path: Path) -> None:
    paths = write(tmp_path, [measured(host="mac-a"), measured(host="Mac-A"), measured(host="MAC-A")])
    assert len({path.name.casefold() for path in paths}) == 3
    found, refused = gather(tmp_path)
    assert {one.data["host"] for one in found} == {"mac-a", "Mac-A", "MAC-A"}
    assert refused == []
    assert files.file_name("mac-a", "ml-m1") == "mac-a.ml-m1.json"
