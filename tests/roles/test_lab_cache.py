"""The cache's configuration: nothing from outside gets into it, and nginx does nothing but what it is for."""

import http.client
import json
import os
import plistlib
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.metal_lab.macs.plugins.filter import outside

from tests.helpers.roles import lets_pass, render
from tests.helpers.serving import serving
from tests.helpers.waiting import wait_until

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/opt/homebrew/bin")
INDEX = "https://index.example.org/simple"
SEEDS = 1000
KNOWN: dict[str, Any] = {
    "ansible_facts": {"system": "Linux", "user_id": "ana"},
    "ansible_managed": "Ansible managed",
    "lab_cache_port": 8423,
    "lab_cache_bundle": "",
    "lab_cache_conda": "https://conda.example.org",
    "lab_cache_packages": "/srv/packages",
    "__lab_cache_index": INDEX,
    "__lab_cache_origins": ["https://index.example.org"],
    "__lab_cache_resolvers": ["127.0.0.1"],
}
LOCATIONS = {
    *("/health", "/", "/git/", "/packages/CommandLineTools.pkg", "@outside", "index", "conda", "homebrew", "miniforge"),
    *("python",),
}


def configuration(**more: Any) -> str:
    return render("lab_cache", "nginx.conf", {**KNOWN, **more})


def accepted(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What nginx says of a configuration, where it is installed."""
    assert NGINX
    for part in ("store", "logs", "run"):
        (folder / part).mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    line = [NGINX, "-t", "-q", "-p", f"{folder}/", "-e", "stderr", "-g", "pid /dev/null;", "-c", f"{folder}/nginx.conf"]
    return subprocess.run(line, capture_output=True, text=True, check=False)


HOSTS = ["files.example.org", "a.b.c.example.net", "10.0.0.1", "169.254.169.254", "localhost", "[::1]", "router"]
HOSTS += [
    "nas.lan",
    "x.internal",
    "ex ample.org",
    "evil.org;",
    "evil.org'",
    "evil.org\\",
    "$host.org",
    "${uri}.org",
    "é.org",
]
HOSTS += [
    "user:pw@evil.org",
    "evil.org:8080",
    "evil.org:443",
    "-x.org",
    "x..org",
    ".org",
    "EVIL.org",
    "x.org\n",
    "x.org\r",
]
HOSTS += ["x.org{", "x.org}", "x.org#", "x.org`", "{{ 7*7 }}.org", "{% raw %}.org", "xn--e1afmkfd.org", "x.org%0a", ""]
TAILS = [
    "",
    "/",
    "/p/uv-1.whl",
    "/'; } location /evil { root /; } #",
    "/$http_x",
    "\n}} location /evil {{",
    '/"',
    "/\\",
]


def hostile_page(seed: int) -> str:
    chance = random.Random(seed)  # noqa: S311 (the same each time)
    links = []
    for _ in range(chance.choice([1, 2, 5, 20])):
        scheme = chance.choice(["https://", "https://", "http://", "ftp://", "//", "javascript:", "file://"])
        quote = chance.choice(['"', '"', '"', "'", ""])
        noise = "".join(chance.choices("abc.;{}$'\\\"\n\t /#%é\0", k=chance.choice([0, 0, 0, 3])))
        links.append(f"<a href={quote}{scheme}{chance.choice(HOSTS)}{noise}{chance.choice(TAILS)}{quote}>x</a>")
    return chance.choice(["\n", ""]).join(links)


def is_allowed(origin: str) -> bool:
    """Written apart from what is tested: HTTPS, letters, digits, dots, no number or lab's name at the end."""
    host = origin.removeprefix("https://")
    labels = host.split(".")
    return (
        origin.startswith("https://")
        and set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")
        and len(labels) > 1
        and all(label and label.strip("-") == label for label in labels)
        and labels[-1].isalpha()
        and labels[-1] not in ("lan", "local", "internal", "localhost")
    )


def test_hostile_pages_of_an_index_get_nothing_into_the_configuration(tmp_path: Path) -> None:
    seen: dict[tuple[str, ...], int] = {}
    refused = 0
    for seed in range(SEEDS):
        try:
            found = tuple(outside.index_origins(hostile_page(seed), INDEX))
        except AnsibleFilterError:
            refused += 1
            continue
        seen.setdefault(found, seed)
    assert refused < SEEDS / 2
    assert len(seen) > 5
    own = {"https://index.example.org", "https://conda.example.org", "https://formulae.brew.sh", "https://ghcr.io"}
    own |= {"https://github.com"}
    for origins, seed in seen.items():
        text = configuration(__lab_cache_origins=list(origins))
        named = set(re.findall(r"""https?://[^/"'\s;]+""", text)) - own
        assert named <= set(origins), seed
        assert all(is_allowed(one) for one in origins), seed
        assert locations(text) <= LOCATIONS, seed
        if NGINX:
            done = accepted(text, tmp_path)
            assert done.returncode == 0, (seed, done.stderr)


def locations(text: str) -> set[str]:
    """Which folders a configuration answers for."""
    found = re.findall(r"""^ *location (?:= |~ )?"?(\S+?)"? \{""", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"(?<![$\w])location\b", text))
    named = {re.sub(r"^\^/(\w+)/.*", r"\1", one) for one in found if not re.fullmatch(r"@[a-z_]+(?:_\d+)?", one)}
    return named | ({"@outside"} & set(found))


def test_hostile_accounts_of_a_bundle_get_nothing_anywhere() -> None:
    words = ["index", "conda", "git", "../x", "x;", "'", "\n", "$uri", "é", "", "python", "}} location / {{"]
    bundle = configuration(lab_cache_bundle="/srv/a bundle")
    accepted_any = 0
    for seed in range(SEEDS):
        chance = random.Random(seed)  # noqa: S311 (the same each time)
        odd: list[Any] = [*words, None, 1, [], {}, "0" * 64, "f" * 64, "darwin-arm64"]
        about: Any = {
            "holds": chance.choice([["index"], chance.choices(odd, k=2), "index", None, {"index": 1}]),
            "locks": chance.choice(
                [{}, {"darwin-arm64": "0" * 64}, {str(chance.choice(odd)): chance.choice(odd)}, [], "x"]
            ),
        }
        text = json.dumps(about)[: chance.choice([None, None, None, 20])]
        try:
            found = outside.bundle_about(text)
        except AnsibleFilterError:
            continue
        accepted_any += 1
        assert set(found) == {"holds", "locks"}
        assert set(found["holds"]) <= {"index", "conda", "python"}, seed
        assert all(re.fullmatch("[a-z0-9]+-[a-z0-9_]+", one) for one in found["locks"]), seed
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in found["locks"].values()), seed
        # It is a file beside the configuration, of which nothing is in it.
        assert configuration_is_the_same(bundle, found)
    assert 0 < accepted_any < SEEDS


def configuration_is_the_same(before: str, found: dict[str, Any]) -> bool:
    known = {"__lab_cache_holds": found["holds"], "__lab_cache_locks": found["locks"]}
    return not found["locks"] or configuration(lab_cache_bundle="/srv/a bundle", **known) == before


@pytest.mark.skipif(not NGINX, reason="There is no nginx here.")
def test_nginx_takes_what_the_role_writes(tmp_path: Path) -> None:
    (tmp_path / "a \\ bundle").mkdir()
    for more in ({}, {"lab_cache_bundle": f'{tmp_path}/a \\ "bundle; {{'}):
        done = accepted(configuration(**more), tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", ["$uri", "${uri}", "a\nb", "a\0", "\x1b[1m", "\u202e"])
def test_what_nginx_would_read_as_something_else_is_refused(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="cannot hold this text"):
        outside.nginx_quote(text)
    assert outside.nginx_quote('a "b" \\ {c}; é') == '"a \\"b\\" \\\\ {c}; é"'


@pytest.mark.parametrize(
    "address", ["https://a b", "ftp://x", "https://", "x", "https://x/$uri", "https://x/;", "https://x/\n"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(AnsibleFilterError, match="no address"):
        outside.plain_address(address)


def test_an_address_with_a_password_is_refused_and_not_shown() -> None:
    with pytest.raises(AnsibleFilterError, match="has a user or a password") as refused:
        outside.plain_address("https://ana:s3cret@index.example.org/simple")
    assert "s3cret" not in str(refused.value)
    assert outside.plain_address("http://[fd00::1]:8080/root/+simple/") == "http://[fd00::1]:8080/root/+simple"


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("https://ana:s3cret@git.example.org/brew", True),
        ("HTTPS://s3cret@git.example.org/brew", True),
        ("ssh://ana:s3cret@git.example.org/brew", True),
        ("ssh://git@git.example.org/brew", False),
        ("git@git.example.org:brew", False),
        ("https://git.example.org/@brew", False),
    ],
)
def test_a_mirror_is_made_of_no_address_with_a_password(address: str, refused: bool) -> None:
    assert lets_pass("homebrew", "mirror", {"homebrew_git_remote": address}) is not refused


def test_a_service_is_started_with_the_words_that_are_meant() -> None:
    folder = '/srv/100% "é" <&> $HOME'
    unit = render("lab_cache", "metal-lab-cache.service", {**KNOWN, "lab_cache_folder": folder})
    line = next(one for one in unit.splitlines() if one.startswith("ExecStart="))
    words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line.removeprefix("ExecStart="))]
    assert words[:5] == ["/usr/sbin/nginx", "-p", f"{folder}/", "-c", f"{folder}/nginx.conf"]
    assert not re.search(r"(?<!%)%(?!%)", line.replace("%%", ""))
    mac = {**KNOWN, "ansible_facts": {"system": "Darwin", "user_id": "a&b"}, "lab_cache_folder": folder}
    job = plistlib.loads(render("lab_cache", "metal-lab.cache.plist", mac).encode())
    assert (job["UserName"], job["ProgramArguments"][2]) == ("a&b", f"{folder}/")


def test_a_page_that_names_more_hosts_than_an_index_has_is_refused() -> None:
    page = "".join(f'<a href="https://h{number}.example.org/x">' for number in range(7))
    assert len(outside.index_origins(page, INDEX)) == 8
    with pytest.raises(AnsibleFilterError, match="names files on 9 hosts, which no index does"):
        outside.index_origins(f'{page}<a href="https://h8.example.org/x">', INDEX)


def test_who_names_where_files_lie_has_no_other_place_asked() -> None:
    page = '<a href="https://files.example.org/x"> <a href="http://nas.lan:8080/x"> <a href="https://evil.org/x">'
    assert outside.index_origins(page, INDEX) == [
        *("https://index.example.org", "https://files.example.org", "https://evil.org")
    ]
    assert outside.index_origins(page, f"{INDEX}/", ["http://nas.lan:8080/"]) == [
        *("https://index.example.org", "http://nas.lan:8080")
    ]


class Outside(ThreadingHTTPServer):
    """The world outside: what it was asked, and what it answers of whatever it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.socket_file = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    server: Outside
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        if self.path.startswith("/v2/") and "moved" in self.path and "Authorization" in self.headers:
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        onward = {"twice": "/hop", "/hop": "/elsewhere", "socket": f"https://unix:{self.server.socket_file}:/x"}
        if leads := next((where for part, where in onward.items() if part in self.path), ""):
            self.send_response(302)
            self.send_header("Location", leads)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        # What a client says comes back, where it gets here.
        told = {name: value for name, value in self.headers.items() if name not in ("Host", "Connection")}
        content = json.dumps(told).encode()
        self.send_response(401 if "private" in self.path else 200)
        for name, value in {"Set-Cookie": "a=b", "WWW-Authenticate": "Basic", "Vary": "*"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 (its name in http.server)

    def log_message(self, *_: object) -> None:
        pass


class Cache:
    """A running cache in front of the world outside."""

    def __init__(self, folder: Path, world: Outside, **more: Any) -> None:
        self.folder, self.world, self.answered = folder, world, 0
        with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as free:
            self.port = free.server_address[1]
        for part in ("store", "logs", "run", "git"):
            (folder / part).mkdir()
        (folder / "health.json").write_text('{"holds": ["index"], "locks": {}}', encoding="utf-8")
        settings = {
            "lab_cache_port": self.port,
            "lab_cache_folder": str(folder),
            "lab_cache_homebrew_api": f"{world.url}/api",
            "lab_cache_miniforge": "http://127.0.0.1:9",
            "lab_cache_homebrew_bottles": f"{world.url}/v2",
            "lab_cache_conda": f"{world.url}/conda",
            "__lab_cache_index": f"{world.url}/simple",
            "__lab_cache_origins": [world.url],
            **more,
        }
        (folder / "nginx.conf").write_text(configuration(**settings), encoding="utf-8")
        own = "user root; " if os.geteuid() == 0 else ""
        line = [str(NGINX), "-p", f"{folder}/", "-c", f"{folder}/nginx.conf", "-e", "logs/error.log"]
        self.process = subprocess.Popen([*line, "-g", f"{own}pid run/nginx.pid; daemon off;"])
        wait_until(lambda: self.ask("/health", patient=True)[0] == 200, self.process)

    def ask(
        self, path: str, method: str = "GET", *, patient: bool = False, body: str | None = None, **headers: Any
    ) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=named)
            answer = connection.getresponse()
            # Who is refused for a link is in the error log alone.
            self.answered += answer.status not in (403, 404)
            return answer.status, dict(answer.headers), answer.read().decode()
        except OSError:
            if patient:
                return 0, {}, ""
            raise
        finally:
            connection.close()

    def stop(self) -> None:
        """End it; what it answered is in its log."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        (log,) = (self.folder / "logs").glob("access-*.log")
        assert log.read_text(encoding="utf-8").count("\n") >= self.answered


@pytest.fixture
def world() -> Iterator[Outside]:
    with serving(Outside()) as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path, world: Outside) -> Iterator[Cache]:
    if not NGINX:
        pytest.skip("There is no nginx here.")
    running = Cache(tmp_path, world)
    yield running
    running.stop()


BLOB = f"homebrew/core/git/blobs/sha256:{'0' * 64}"


def test_no_client_colours_anothers_answer_and_nothing_of_it_goes_outside(cache: Cache) -> None:
    odd: dict[str, Any] = {
        "Accept": "x/y",
        "Accept_Encoding": "gzip",
        "Accept_Language": "pt",
        "Range": "bytes=0-1",
        "Cookie": "a=b",
    }
    odd |= {"Authorization": "Basic secret", "X_Forwarded_For": "1.2.3.4", "X_Forwarded_Host": "evil", "Host": "evil"}
    odd |= {"User_Agent": "evil", "If_None_Match": '"x"', "Cache_Control": "no-store", "Forwarded": "host=evil"}
    given = {
        "/index/simple/uv/": {"User-Agent": "metal-lab", "Accept": "text/html"},
        "/index/files/0/p/uv-1.whl": {"User-Agent": "metal-lab"},
        "/homebrew/api/formula/git.json": {"User-Agent": "metal-lab"},
        f"/homebrew/v2/{BLOB}": {"Authorization": "Bearer QQ==", "User-Agent": "metal-lab"},
        "/homebrew/v2/homebrew/core/git/manifests/1.0_1-2": {
            "Authorization": "Bearer QQ==",
            "Accept": "application/vnd.oci.image.index.v1+json",
            "User-Agent": "metal-lab",
        },
        "/conda/conda-forge/noarch/x-1-0.conda": {"User-Agent": "metal-lab"},
    }
    for path, wanted in given.items():
        first = cache.ask(path, body="harm", **odd)
        assert first[0] in (200, 206), path
        status, headers, text = cache.ask(path)
        assert (status, json.loads(text)) == (200, wanted), path
        # One of them asked for a part, and got it; what is kept is whole.
        assert first[2] == (text if first[0] == 200 else text[:2])
        assert not {"Set-Cookie", "WWW-Authenticate"} & set(headers)
    assert [asked[0] for asked in cache.world.asked] == ["GET"] * len(given)
    assert all(asked[2]["Host"] == cache.world.url.removeprefix("http://") for asked in cache.world.asked)
    assert not any("Content-Length" in asked[2] for asked in cache.world.asked)


def test_a_token_does_not_go_on_to_where_a_registry_sends(cache: Cache) -> None:
    path = f"/homebrew/v2/homebrew/core/moved/blobs/sha256:{'1' * 64}"
    status, headers, text = cache.ask(path)
    assert (status, json.loads(text)) == (200, {"User-Agent": "metal-lab"})
    assert [asked[1] for asked in cache.world.asked] == [path.removeprefix("/homebrew"), "/elsewhere"]
    assert "Location" not in headers
    status, headers, _ = cache.ask("/index/files/0/private.whl")
    assert (status, "WWW-Authenticate" in headers) == (401, False)


def test_a_redirection_leads_to_another_and_to_no_socket(cache: Cache, tmp_path: Path) -> None:
    path = f"/homebrew/v2/homebrew/core/twice/blobs/sha256:{'2' * 64}"
    assert cache.ask(path)[0] == 200
    assert [asked[1] for asked in cache.world.asked] == [path.removeprefix("/homebrew"), "/hop", "/elsewhere"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.setblocking(False)
        cache.world.socket_file = str(tmp_path / "s")
        listening.bind(cache.world.socket_file)
        listening.listen()
        (tmp_path / "s").chmod(0o777)
        assert cache.ask(path.replace("twice", "socket"))[0] == 502
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_only_get_and_head_are_answered(cache: Cache) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PURGE", "PROPFIND", "CONNECT"):
        for path in ("/index/simple/uv/", "/health", "/git/x", f"/homebrew/v2/{BLOB}"):
            assert cache.ask(path, method)[0] in (400, 405), (method, path)
    assert cache.world.asked == []
    assert cache.ask("/index/simple/uv/", "HEAD")[0] == 200
    # One who only asks for the head does not leave others without the rest.
    assert cache.ask("/index/simple/uv/")[2]
    assert [asked[0] for asked in cache.world.asked] == ["GET"]


NO_FILES = [
    *(
        "/index/simple/",
        "/index/simple/../../etc",
        "/index/uv/json",
        "/index/files/0/admin",
    ),
    *(
        "/index/files/0/a.whl%0d%0aX-Evil:%201",
        "/index/files/0/a%0d%0a%0d%0aGET%20/x.whl",
        "/index/files/0/a%3Fx=.whl",
    ),
    *("/index/files/0/a.whl%0a", "/index/files/0/%252e%252e/a.whl", "/index/simple/uv%0a", "/index/simple/$uri"),
    *("/conda/", "/conda/conda-forge/noarch/x.exe", "/homebrew/api/", "/homebrew/api/x.html", "/homebrew/v2/"),
    *(
        "/homebrew/v2/_catalog",
        "/homebrew/v2/x/tags/list",
        "/homebrew/v2/x/blobs/uploads/",
        f"/homebrew/v2/{BLOB}0",
    ),
    *("/miniforge/x.exe", "/python/x", "/anything", "/", "/nginx.conf", "/store/", "/logs/error.log"),
    *("/packages/", "/packages/other", "/git/../nginx.conf", "/git/%2e%2e/nginx.conf", "http://169.254.169.254/"),
]


def test_nothing_is_asked_for_outside_that_is_no_file_of_its_kind(cache: Cache) -> None:
    for path in NO_FILES:
        assert cache.ask(path)[0] in (400, 403, 404), path
    assert cache.world.asked == []


def test_what_follows_a_question_mark_is_not_asked_and_makes_no_other_file(cache: Cache) -> None:
    for query in ("", "?x=1", "?y=%0d%0aX:1"):
        assert cache.ask(f"/index/files/0/p/uv-1.whl{query}")[0] == 200
    assert [asked[1] for asked in cache.world.asked] == ["/p/uv-1.whl"]


def test_what_cannot_be_had_is_said_in_words(cache: Cache) -> None:
    status, _, text = cache.ask("/miniforge/1/Miniforge3-1-MacOSX-arm64.sh")
    assert (status, "The cache could not get /miniforge/1/" in text) == (502, True)


def test_the_mirror_of_a_repository_leads_out_through_no_link_either(cache: Cache) -> None:
    (cache.folder / "git" / "HEAD").write_text("ref", encoding="utf-8")
    (cache.folder / "git" / "out").symlink_to(cache.folder / "nginx.conf")
    assert cache.ask("/git/HEAD")[::2] == (200, "ref")
    assert cache.ask("/git/out")[0] in (403, 404)


def test_nothing_that_is_served_leads_out_through_a_link(tmp_path: Path, world: Outside) -> None:
    if not NGINX:
        pytest.skip("There is no nginx here.")
    bundle = tmp_path / "a bundle"
    for place in (bundle / "index" / "files", bundle / "git"):
        place.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (bundle / "index" / "files" / "a.whl").write_text("whole", encoding="utf-8")
    (bundle / "index" / "files" / "b.whl").symlink_to(tmp_path / "secret")
    (bundle / "git" / "out").symlink_to(tmp_path)
    # The bundle's own place may be reached through one, as /var is on a Mac.
    (tmp_path / "linked").symlink_to(tmp_path)
    folder = tmp_path / "cache"
    folder.mkdir()
    running = Cache(folder, world, lab_cache_bundle=f"{tmp_path}/linked/a bundle")
    try:
        assert running.ask("/index/files/a.whl")[::2] == (200, "whole")
        for path in ("/index/files/b.whl", "/git/out/secret", "/bundle.json", "/SHA256SUMS"):
            assert running.ask(path)[0] in (403, 404), path
        assert running.ask("/index/files/a.whl", "PUT", body="x")[0] == 405
    finally:
        running.stop()
    assert world.asked == []
