"""A package index of a test's own, on this machine: the simple API as JSON, with upload times (PEP 691, PEP 700)."""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

from tests.helpers.serving import serving as at_work

JSON = "application/vnd.pypi.simple.v1+json"


def wheel(name: str, version: str, needs: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
    """A wheel with nothing in it but what describes it; returns it, and its METADATA."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {one}" for one in needs),
    ]
    metadata = "\n".join([*lines, ""]).encode()
    described, content = f"{name}-{version}.dist-info", BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        # A fixed time, for the same bytes each time.
        for path, text in (
            (f"{described}/METADATA", metadata),
            (f"{described}/WHEEL", b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            (f"{described}/RECORD", b""),
        ):
            file.writestr(zipfile.ZipInfo(path), text)
    return content.getvalue(), metadata


@dataclass
class Index:
    """What the index has; it may gain and lose files while it serves.

    Attributes:
        url: of the simple API.
        projects: by name, what the index says of each file.
        files: by file name.
    """

    url: str = ""
    projects: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, version: str, *needs: str, uploaded: str, build: str = "") -> str:
        """Have a wheel uploaded on a day; returns its SHA-256.

        Args:
            name: the package.
            version: its version.
            needs: its requirements.
            uploaded: the day that the index states, for example 2026-01-31.
            build: number of a build, for one more file of the same version.
        """
        content, metadata = wheel(name, version, needs)
        if build:
            # Anything may follow in a zip; the hash becomes another one.
            content += build.encode()
        file = f"{name}-{version}-{build}-py3-none-any.whl" if build else f"{name}-{version}-py3-none-any.whl"
        digest = hashlib.sha256(content).hexdigest()
        self.files[file] = content
        self.files[f"{file}.metadata"] = metadata
        self.projects.setdefault(name, []).append(
            {
                "filename": file,
                "url": f"../../files/{file}",
                "hashes": {"sha256": digest},
                "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
                "upload-time": f"{uploaded}T12:00:00.000000Z",
                "yanked": False,
            }
        )
        return digest

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Type and content of what stands at a path."""
        if found := re.fullmatch(r"/files/([^/]+)", path):
            return ("application/octet-stream", self.files[found[1]]) if found[1] in self.files else None
        found = re.fullmatch(r"/simple/([^/]+)/", path)
        if found is None or found[1] not in self.projects:
            return None
        page = {"meta": {"api-version": "1.1"}, "name": found[1], "files": self.projects[found[1]]}
        return JSON, json.dumps(page).encode()


@contextmanager
def serving() -> Iterator[Index]:
    """Serve an index until the block ends."""
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            answer = index.answer(self.path)
            if answer is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    with at_work(server):
        yield index
