"""What goes wrong with a cache: the machines fail clearly or go on as configured, and afterwards all is well."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lab
import pytest
import runs

from tests.helpers.waiting import wait_until

STALL, STALLED = lab.OUTSIDE / "stall", lab.OUTSIDE / "stalled"
FILLER = lab.CACHE / "filler"
LEFT_BYTES = 4_000_000
"""Enough for pages and small files, not for the large ones."""
NGINX = ["/usr/sbin/nginx", "-p", f"{lab.CACHE}/", "-c", f"{lab.CACHE}/nginx.conf", "-e", "logs/error.log"]
NGINX += ["-g", "pid run/nginx.pid; user www-data;"]
OK, BAD_GATEWAY = 200, 502


@pytest.fixture(scope="module", autouse=True)
def _own_index() -> Iterator[None]:
    """The bundle's files behind the world outside, where faults can be planted; one Mac for each fault."""
    index = lab.OUTSIDE / "tree" / "index"
    if not index.exists():
        index.symlink_to(runs.BUNDLE / "index")
    lab.start_macs("whole", "altered", "killed", "full", "clock", "gone")
    empty_cache()
    runs.all_are_well(runs.converge("whole"), "whole")
    yield
    index.unlink()


def cache(**variables: object) -> None:
    runs.cache(lab_cache_index=runs.OWN_INDEX, **variables)


def empty_cache() -> None:
    runs.empty_cache(lab_cache_index=runs.OWN_INDEX)


def test_an_altered_file_is_refused_named_and_thrown_away() -> None:
    for part, name in (("/miniforge/", r"Miniforge3-[\w.-]*\w"), ("/mlx-0.32", r"mlx-0\.32[\w.-]*\w")):
        (file,) = runs.cached(part)
        content = bytearray(file.read_bytes())
        content[-10] ^= 1
        file.write_bytes(content)
        run = runs.converge("altered")
        assert run.code != 0
        found = re.search(rf"playbooks/cache.yml --tags purge -e purge=({name})`", run.words)
        assert found, run.output
        purged = runs.play("playbooks/cache.yml", "--tags", "purge", purge=found[1])
        assert purged.code == 0, purged.output
        assert not file.exists()
    runs.all_are_well(runs.converge("altered"), "altered")


def test_killed_in_the_middle_of_a_file() -> None:
    empty_cache()
    STALL.write_text("/mlx_metal-", encoding="utf-8")
    STALLED.unlink(missing_ok=True)
    process = subprocess.Popen(
        runs.line("site.yml", "--skip-tags", "verify", "--limit", "killed"),
        env=runs.environment(),
        cwd=runs.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(STALLED.exists, process)
        lab.stop_cache()
    finally:
        STALL.unlink()
    output = runs.Run(process.wait(), process.communicate()[0]).words
    assert process.returncode != 0
    assert "does not answer" in output, output
    cache()
    # What was whole is still there, what was not is not taken for it.
    assert runs.cached("/index/files/")
    assert not runs.cached("/mlx_metal-")
    runs.all_are_well(runs.converge("killed"), "killed")


def test_a_full_disk() -> None:
    empty_cache()
    room = os.statvfs(lab.CACHE)
    subprocess.run(["fallocate", "-l", str(room.f_bavail * room.f_frsize - LEFT_BYTES), str(FILLER)], check=True)
    try:
        # A Mac that has everything asks for no file.
        runs.all_are_well(runs.converge("whole"), "whole")
        run = runs.converge("full")
    finally:
        FILLER.unlink()
    assert run.code != 0
    assert "room on its disk" in run.words, run.output
    runs.all_are_well(runs.converge("full"), "full")


def test_a_clock_that_is_wrong() -> None:
    """The cache of a host that believes to be in 2001 gives what it has, and fetches nothing that it cannot check."""
    lab.stop_cache()
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    # nginx keeps no variable that it is not told to keep, and libfaketime reads its own again and again.
    wrong = {"LD_PRELOAD": str(library), "FAKETIME": "@2001-01-01 00:00:00", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    line = [*NGINX[:-1], f"{NGINX[-1]} env FAKETIME; env FAKETIME_DONT_FAKE_MONOTONIC;"]
    subprocess.run(line, env={**os.environ, **wrong}, check=True)
    for file in runs.cached("/mlx-0.32"):
        file.unlink()
    run = runs.converge("clock")
    assert run.code != 0
    assert "its clock right" in run.words, run.output
    assert "mlx-0.32" in run.words, run.output
    assert "certificate is not yet valid" in (lab.CACHE / "logs" / "error.log").read_text(encoding="utf-8")
    lab.stop_cache()
    cache()
    runs.all_are_well(runs.converge("clock"), "clock")


def test_gone() -> None:
    lab.stop_cache()
    strict = runs.converge("gone")
    assert strict.code != 0
    assert "Nothing was changed. The cache at http://10.78.0.1:8423 does not answer this machine" in strict.words
    # Not strict it goes on; this Mac is whole, so that no way out is needed.
    run = runs.converge("whole", cache_strict=False)
    assert "Going on without the cache" in run.words, run.output
    runs.all_are_well(run, "whole")
    cache()
    runs.all_are_well(runs.converge("gone"), "gone")


def test_an_address_outside_whose_certificate_nobody_vouches_for() -> None:
    system = "/etc/ssl/certs/ca-certificates.crt"
    run = runs.play("playbooks/cache.yml", lab_cache_index=runs.OWN_INDEX, lab_cache_authorities=system)
    assert run.code != 0
    assert "CERTIFICATE_VERIFY_FAILED" in run.output
    # And nginx itself, where such a configuration has come about.
    configuration = lab.CACHE / "nginx.conf"
    text = configuration.read_text(encoding="utf-8")
    configuration.write_text(text.replace(str(lab.OUTSIDE / "authorities.pem"), system), encoding="utf-8")
    lab.stop_cache()
    for file in runs.cached("/index/simple/mlx/"):
        file.unlink()
    subprocess.run(NGINX, check=True)
    assert runs.get("/index/simple/mlx/")[0] == BAD_GATEWAY
    lab.stop_cache()
    cache()
    assert runs.get("/index/simple/mlx/")[0] == OK
