from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.helpers.serving import serving


class Site(ThreadingHTTPServer):
    """Pages by their path, and what was asked for: path and headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.fails: list[int] = []
        """What the next answers are instead: their status, or 0 for no answer that is HTTP."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        status = self.server.fails.pop(0) if self.server.fails else 200 if self.path in self.server.pages else 404
        if status == 0:
            self.wfile.write(b"nonsense\r\n\r\n")
            return
        if status != 200:
            self.send_error(status)
            return
        self.send_response(200)
        self.end_headers()  # it does not say how much comes
        self.wfile.write(self.server.pages[self.path])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Site]:
    with serving(Site()) as running:
        yield running
