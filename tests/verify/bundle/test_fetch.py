"""A file is whole or not there, and a download that was cut off goes on."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.helpers.serving import serving
from verify.bundle import fetch as fetching
from verify.bundle.fetch import fetch, read
from verify.errors import UserError

from .conftest import Site

CONTENT = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """What it was asked, and how it answers: `cut` answers end early, `ranges` may be asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str]] = []
        self.cut = 0
        self.ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted, token = self.headers.get("Range", ""), self.headers.get("Authorization", "")
        self.server.asked.append((self.path, wanted, token))
        if self.path == "/elsewhere":
            self.send_response(307)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/file")
            self.end_headers()
            return
        if self.path != "/file":
            self.send_error(404)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if begin >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        if self.server.cut:
            self.server.cut -= 1
            self.wfile.write(CONTENT[begin : begin + 300_000])
        else:
            self.wfile.write(CONTENT[begin:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as running:
        yield running


def test_it_comes_once(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "a" / "file"
    assert fetch(f"{server.url}/file", target, DIGEST)
    assert not fetch(f"{server.url}/file", target, DIGEST)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_is_cut_off_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.cut, server.ranges = 2, ranges
    assert fetch(f"{server.url}/file", tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [wanted for _, wanted, _ in server.asked] == [
        "",
        "bytes=300000-",
        "bytes=600000-" if ranges else "bytes=300000-",
    ]


def test_a_run_that_was_cut_off_is_taken_up_by_the_next(server: Server, tmp_path: Path) -> None:
    server.cut = 3
    with pytest.raises(UserError, match="run again to go on"):
        fetch(f"{server.url}/file", tmp_path / "file", DIGEST)
    assert not (tmp_path / "file").exists()
    assert fetch(f"{server.url}/file", tmp_path / "file", DIGEST)
    assert server.asked[-1][1] == "bytes=900000-"


def test_a_part_that_is_whole_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(f"{server.url}/file", tmp_path / "file", DIGEST)


def test_another_file_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"expected was {'0' * 64}"):
        fetch(f"{server.url}/file", tmp_path / "file", "0" * 64)
    assert not list(tmp_path.iterdir())


def test_a_token_does_not_go_to_the_host_that_it_is_sent_on_to(server: Server, tmp_path: Path) -> None:
    assert fetch(f"{server.url}/elsewhere", tmp_path / "file", DIGEST, {"Authorization": "Bearer x"})
    assert [(path, token) for path, _, token in server.asked] == [("/elsewhere", "Bearer x"), ("/file", "")]


def test_what_is_not_there_is_asked_for_once(server: Server) -> None:
    with pytest.raises(UserError, match="404"):
        read(f"{server.url}/nothing")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("fails", "asked", "comes"),
    [
        ([], 1, True),
        ([500, 0], 3, True),
        ([0, 503], 3, True),
        ([500, 500, 500], 3, False),
        ([0, 0, 0], 3, False),
        ([399, 399, 399], 3, False),
        ([400], 1, False),
        ([404], 1, False),
        ([499], 1, False),
        ([500, 404], 2, False),
    ],
)
def test_how_often_something_is_asked_for(web: Site, tmp_path: Path, fails: list[int], asked: int, comes: bool) -> None:
    web.pages["/x"] = b"content"
    digest = hashlib.sha256(b"content").hexdigest()
    gets: list[tuple[Callable[[], object], object]] = [
        (lambda: read(f"{web.url}/x"), b"content"),
        (lambda: fetch(f"{web.url}/x", tmp_path / "x", digest), True),
    ]
    for get, answer in gets:
        web.fails, web.asked = list(fails), []
        if comes:
            assert get() == answer
        else:
            with pytest.raises(UserError, match=f"(?s){web.url}/x cannot be fetched: .*un again"):
                get()
        assert len(web.asked) == asked


def test_a_page_that_is_cut_off_is_asked_for_again(server: Server) -> None:
    server.cut = 2
    assert read(f"{server.url}/file") == CONTENT
    server.cut = 3
    with pytest.raises(UserError, match="Is the network up"):
        read(f"{server.url}/file")


def test_headers_go_along(web: Site, tmp_path: Path) -> None:
    web.pages["/x"] = b"content"
    read(f"{web.url}/x", {"Accept": "text/html", "Authorization": "Bearer x"})
    (tmp_path / "x.part").write_bytes(b"")  # nothing that could be gone on with
    fetch(f"{web.url}/x", tmp_path / "x", hashlib.sha256(b"content").hexdigest(), {"Accept": "text/html"})
    (tmp_path / "x").unlink()
    (tmp_path / "x.part").write_bytes(b"con")
    with pytest.raises(UserError, match="is not the file"):
        fetch(f"{web.url}/x", tmp_path / "x", "0" * 64, {"Accept": "text/html"})
    sent = [(one.get("Accept"), one.get("Authorization"), one.get("Range")) for _, one in web.asked]
    assert sent == [("text/html", "Bearer x", None), ("text/html", None, None), ("text/html", None, "bytes=3-")]


def test_a_file_that_is_another_one_is_replaced(web: Site, tmp_path: Path) -> None:
    web.pages["/x"] = b"content"
    (tmp_path / "x").write_bytes(b"old")
    assert fetch(f"{web.url}/x", tmp_path / "x", hashlib.sha256(b"content").hexdigest())
    assert (tmp_path / "x").read_bytes() == b"content"


def test_a_host_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UserError, match="timed out"):
        read(f"http://127.0.0.1:{silent.getsockname()[1]}/x")
