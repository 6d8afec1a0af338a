"""The world outside the lab, as far as it cannot be reached from here: a web server over TLS with stand-ins to give.

    outside.py make FOLDER           certificate, conda channel, Homebrew's API and registry, Miniforge, Homebrew
    outside.py serve FOLDER PORT     serve FOLDER/tree on 127.0.0.9 until killed, noting each answer in FOLDER/answers

It behaves where behaviour matters: the registry wants Homebrew's token and sends to another address that refuses it
(ghcr.io does so), releases are redirected (GitHub does so). While FOLDER/stall names a part of an address, an answer
to it stops in its middle.

The Python index is the real one, or, once a bundle is made, the bundle's own behind this server.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import sys
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from served import make_served

ADDRESS = "127.0.0.9"
TOKEN = "Bearer QQ=="  # noqa: S105 (everybody's: Homebrew/brew, Library/Homebrew/brew.sh)
TAGS = ("arm64_sequoia", "arm64_tahoe", "arm64_golden_gate")
FORMULAE = {"git": ["gettext", "pcre2"], "gettext": [], "pcre2": [], "htop": ["ncurses"], "ncurses": []}
"""Stand-ins of what the Brewfile names, with what they depend on."""
BLOCK = 64 * 1024


def make(folder: Path) -> None:
    """Make all that is served."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    make_certificate(folder)
    installer, commit = make_served(folder / "stand-ins")
    (tree / "releases").symlink_to(folder / "stand-ins" / "web")
    make_homebrew(tree)
    make_channel(tree / "conda" / "conda-forge")
    (folder / "pins.json").write_text(json.dumps({"installer": installer, "commit": commit}), encoding="utf-8")


def make_certificate(folder: Path) -> None:
    """A certificate of an authority of its own, and that authority added to a copy of the system's."""
    line = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"]
    for name, more in (
        ("authority", ["-addext", "basicConstraints=critical,CA:TRUE"]),
        (
            "certificate",
            [
                *("-CA", str(folder / "authority.pem"), "-CAkey", str(folder / "authority.key")),
                *("-addext", f"subjectAltName=IP:{ADDRESS},DNS:{ADDRESS}", "-addext", "basicConstraints=CA:FALSE"),
            ],
        ),
    ):
        files = [
            "-subj",
            f"/CN=outside {name}",
            "-keyout",
            str(folder / f"{name}.key"),
            "-out",
            str(folder / f"{name}.pem"),
        ]
        subprocess.run([*line, *files, *more], check=True, capture_output=True)
    system = Path("/etc/ssl/certs/ca-certificates.crt").read_text(encoding="utf-8")
    own = (folder / "authority.pem").read_text(encoding="utf-8")
    (folder / "authorities.pem").write_text(system + own, encoding="utf-8")


def make_homebrew(tree: Path) -> None:
    """The API's pages and the registry's manifests and blobs."""
    for name, dependencies in FORMULAE.items():
        content = f"stand-in of the bottle of {name}\n".encode() * 1000
        digest = hashlib.sha256(content).hexdigest()
        image = f"homebrew/core/{name}"
        file = {"url": f"https://ghcr.io/v2/{image}/blobs/sha256:{digest}", "sha256": digest, "cellar": ":any"}
        page = {
            "name": name,
            "versions": {"stable": "1.0"},
            "revision": 1,
            "bottle": {
                "stable": {"rebuild": 2, "files": {"all": file} if name == "ncurses" else dict.fromkeys(TAGS, file)}
            },
            "dependencies": dependencies,
            "variations": {},
        }
        put(tree / "api" / "formula" / f"{name}.json", json.dumps(page).encode())
        put(tree / "v2" / image / "manifests" / "1.0_1-2", b'{"schemaVersion": 2}')
        put(tree / "blob-store" / f"sha256:{digest}", content)
    for tag in TAGS:
        put(tree / "api" / "internal" / f"packages.{tag}.jws.json", b'{"payload": "{}", "signatures": []}')


def make_channel(channel: Path) -> None:
    """A conda channel with two Pythons, pip, and a package that an environment does not need."""
    packages = [
        ("osx-arm64", "python", "3.11.15", "h1_0_cpython", ["__osx >=11.0"]),
        ("osx-arm64", "python", "3.12.13", "h1_0_cpython", ["__osx >=11.0"]),
        ("osx-arm64", "ffmpeg", "8.0.1", "h1_0", []),
        ("linux-64", "python", "3.11.15", "h1_0_cpython", ["__glibc >=2.17"]),
        ("noarch", "pip", "26.0.1", "py_0", ["python >=3.10", "setuptools"]),
        ("noarch", "setuptools", "80.9.0", "py_0", ["python >=3.9"]),
    ]
    tables: dict[str, dict[str, object]] = {"osx-arm64": {}, "linux-64": {}, "noarch": {}}
    for subdir, name, version, build, depends in packages:
        content = f"stand-in of {name} {version} for {subdir}\n".encode()
        file = f"{name}-{version}-{build}.conda"
        put(channel / subdir / file, content)
        tables[subdir][file] = {
            "name": name, "version": version, "build": build, "build_number": 0, "depends": depends, "subdir": subdir,
            "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "timestamp": 1760000000000,
        }  # fmt: skip
    for subdir, table in tables.items():
        repodata = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": table, "repodata_version": 1}
        put(channel / subdir / "repodata.json", json.dumps(repodata).encode())


def put(path: Path, content: bytes) -> None:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


class Handler(BaseHTTPRequestHandler):
    """One connection to the world outside."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer."""
        path = unquote(urlsplit(self.path).path)
        token = self.headers.get("Authorization", "")
        if path.startswith("/v2/") and token != TOKEN:
            return self.say(401)
        if path.startswith("/v2/") and "/blobs/" in path:
            return self.say(307, location=f"https://{self.headers['Host']}/blob-store/{path.rpartition('/')[2]}")
        if path.startswith("/blob-store/") and token:
            return self.say(400)
        if path.startswith("/github/"):
            return self.say(302, location=f"https://{self.headers['Host']}/releases/{path.removeprefix('/github/')}")
        file = self.folder / "tree" / path.lstrip("/")
        if file.is_dir():
            file = file / "index.html"
        if not file.is_file():
            return self.say(404)
        return self.give(path, file)

    def say(self, status: int, location: str = "") -> None:
        """Answer without content."""
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def give(self, path: str, file: Path) -> None:
        """Answer with a file, which may stop in its middle."""
        size = file.stat().st_size
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if file.suffix == ".html" else "application/octet-stream")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        stall = self.folder / "stall"
        with file.open("rb") as content:
            self.wfile.write(content.read(size // 2))
            self.wfile.flush()
            while stall.exists() and stall.read_text(encoding="utf-8") in path:
                (self.folder / "stalled").touch()
                time.sleep(0.05)
            while block := content.read(BLOCK):
                self.wfile.write(block)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Note each answer."""
        del size
        with (self.folder / "answers").open("a", encoding="utf-8") as file:
            file.write(f"{code} {self.path}\n")

    def log_error(self, format: str, *args: object) -> None:  # noqa: A002 (its name in http.server)
        """Say nothing: connections that break are what the tests are about."""


def serve(folder: Path, port: int) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "certificate.key")
    server = ThreadingHTTPServer((ADDRESS, port), partial(Handler, folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    command, where, *rest = sys.argv[1:]
    if command == "make":
        make(Path(where))
    else:
        serve(Path(where), int(rest[0]))
