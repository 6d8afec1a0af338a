"""Simulated Macs: Linux hosts that Ansible takes for Apple-silicon Macs, reached by real SSH. Needs root.

    simulate.py check                  say what is missing to run them here; exit code 2 if something is
    simulate.py up FOLDER MAC ...      start them; FOLDER gets keys, an inventory and what they are made of
    simulate.py save FOLDER MAC IMAGE  end one and keep its disk, for `up --base IMAGE`
    simulate.py down FOLDER            end them and leave nothing behind

Each MAC is a name, or NAME=PAST for one with a past (a script in pasts/). Each is a process tree in mount, UTS and PID
namespaces of its own, on an overlay of this machine's file system whose upper layer is a disk image in FOLDER, so that
ending one process takes mounts, files and users away with it. They listen on loopback addresses, or with --isolated
each in a network of its own without a way out (network.py), and get Homebrew and Miniforge (stand-ins) from this
machine. standins/ says what is imitated.

They show the roles' logic, what is resolved and what lands on the disk. They cannot show Metal, the BSD userland,
launchd or code signing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import network
from dressing import STANDINS, address_to, dress
from machine import LIMIT_S, PASSWORD, PORT, USER, Mac, SimulationError, missing_packages, run, settle
from served import make_served

HERE = Path(__file__).resolve().parent
WEB_PORT = 8422
DISK_GB = 24


def check_machine() -> None:
    """Say everything that is missing at once.

    Raises:
        SimulationError: not root, or commands are missing.
    """
    settle()
    problems = [] if os.geteuid() == 0 else ["it needs root, for namespaces, an overlay and a loop mount"]
    if missing := missing_packages("molecule-mac"):
        problems.append(f"it needs Debian's packages: apt-get install {' '.join(missing)}")
    if problems:
        raise SimulationError(f"Simulated Macs cannot run here: {'; '.join(problems)}.")


def roster(given: list[str], *, isolated: bool) -> list[Mac]:
    """The Macs that the command line names.

    Raises:
        SimulationError: a past is unknown, a name comes twice, or there are more than addresses.
    """
    macs = []
    for number, one in enumerate(given):
        name, _, past = one.partition("=")
        if past and not (HERE / "pasts" / f"{past}.sh").exists():
            raise SimulationError(f"No past is called {past!r}. Look in {HERE / 'pasts'}.")
        macs.append(Mac(name, network.address(number, isolated=isolated), past))
    if len({mac.name for mac in macs}) != len(macs):
        raise SimulationError(f"A name comes twice: {' '.join(given)}")
    if len(macs) > network.LAST - network.FIRST:
        raise SimulationError(f"At most {network.LAST - network.FIRST} Macs can be told apart by their addresses.")
    return macs


def make_shared(folder: Path, macs: list[Mac], *, isolated: bool) -> None:
    """What all Macs share: keys, the uname library, what they download, and the inventory that names them."""
    for name in ("key", "host_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    public = (folder / "host_key.pub").read_text(encoding="utf-8").split()[:2]
    lines = [f"[{mac.address}]:{PORT} {' '.join(public)}\n" for mac in macs]
    (folder / "known_hosts").write_text("".join(lines), encoding="utf-8")
    run("gcc", "-shared", "-fPIC", "-O2", "-o", folder / "uname.so", STANDINS / "uname.c")
    installer, commit = make_served(folder)
    web = f"http://{network.server_address(isolated=isolated)}:{WEB_PORT}"
    common = f"-F none -o UserKnownHostsFile={folder}/known_hosts -o IdentitiesOnly=yes"
    inventory = {
        "all": {
            "hosts": {mac.name: {"ansible_host": mac.address} for mac in macs},
            "vars": {
                "ansible_port": PORT,
                "ansible_user": USER,
                "ansible_become_password": PASSWORD,
                "ansible_ssh_private_key_file": f"{folder}/key",
                "ansible_ssh_common_args": common,
                "homebrew_git_remote": f"{web}/brew.git",
                "homebrew_commit": commit,
                "miniforge_mirror": web,
                "miniforge_checksums": {"MacOSX-arm64": installer},
                # The machine's own authorities: one that a registry's mirror may need is among them.
                "target_environment": {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"},
            },
        }
    }
    # JSON is YAML, and Ansible reads a file of that name as such.
    (folder / "hosts.yml").write_text(json.dumps(inventory, indent=2) + "\n", encoding="utf-8")


def inside(folder: Path, mac: Mac) -> None:
    """In the new namespaces: put the file system together, change into it, and become the SSH server."""
    place = folder / mac.name
    disk, root, base = place / "disk", place / "root", place / "base"
    run("mount", "--make-rprivate", "/")
    run("mount", "-o", "loop", place / "image", disk)
    for part in ("upper", "work"):
        (disk / part).mkdir()
    lower = "/"
    if (folder / "base").exists():
        run("mount", "-o", "loop,ro", folder / "base", base)
        lower = f"{base}/upper:/"
    run("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={disk}/upper,workdir={disk}/work", "overlay", root)
    for part in ("tmp", "run", "var/tmp"):
        run("mount", "-t", "tmpfs", "-o", "size=1g,mode=1777", "tmpfs", root / part)
    # What this machine's administrator and its users have put there is not seen.
    for part in ("usr/local", "home", "root"):
        run("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", root / part)
    for part in ("dev", "sys"):
        run("mount", "--rbind", f"/{part}", root / part)
    if lower == "/":
        dress(root, folder)
    address_to(root, folder, mac)
    socket.sethostname(f"{mac.name}.local")
    os.chroot(root)
    os.chdir("/")
    # No variable of the machine that started this reaches a Mac.
    server = ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sim_sshd_config"]
    os.execve(server[0], server, {"PATH": "/usr/bin:/bin"})  # noqa: S606 (becoming it is the point)


def start(folder: Path, mac: Mac, *, isolated: bool) -> None:
    """Start one Mac and note its process."""
    place = folder / mac.name
    for part in ("disk", "root", "base"):
        (place / part).mkdir(parents=True)
    image = place / "image"
    with image.open("wb") as file:
        file.truncate(DISK_GB * 10**9)
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
    line = [
        *(network.join(mac.name, mac.address) if isolated else []),
        *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"),
        *(sys.executable, str(Path(__file__).resolve()), "inside", str(folder), mac.name, mac.address),
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (folder / f"{mac.name}.pid").write_text(f"{process.pid}\n", encoding="utf-8")


def up(folder: Path, macs: list[Mac], *, isolated: bool, base: Path | None) -> None:
    """Start the web server and all Macs, and give each its past."""
    check_machine()
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    if base is not None:
        (folder / "base").symlink_to(base)
    if isolated:
        network.make_bridge()
    make_shared(folder, macs, isolated=isolated)
    serve(folder, network.server_address(isolated=isolated))
    for mac in macs:
        if not isolated:
            network.must_be_free(mac.address, PORT)
        start(folder, mac, isolated=isolated)
    for mac in macs:
        network.wait_for(mac.address, PORT, folder / mac.name / "log")
        seed_uv(folder, mac)
        if mac.past:
            script = (HERE / "pasts" / f"{mac.past}.sh").read_text(encoding="utf-8")
            run(*ssh(folder, mac), "/bin/sh -eu", text=script)


def serve(folder: Path, where: str) -> None:
    """Serve FOLDER/web."""
    network.must_be_free(where, WEB_PORT)
    line = [sys.executable, "-m", "http.server", "--bind", where, "--directory", str(folder / "web"), str(WEB_PORT)]
    with (folder / "web.log").open("wb") as log:
        server = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (folder / "web.pid").write_text(f"{server.pid}\n", encoding="utf-8")
    network.wait_for(where, WEB_PORT, folder / "web.log")


def ssh(folder: Path, mac: Mac) -> list[str]:
    """The command that logs in to a Mac."""
    options = [
        f"UserKnownHostsFile={folder}/known_hosts",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "ControlPath=none",
    ]
    # Whoever runs this may have settings for all hosts in ~/.ssh/config.
    line = ["ssh", "-F", "none", "-p", str(PORT), "-i", str(folder / "key")]
    return [*line, *(part for one in options for part in ("-o", one)), f"{USER}@{mac.address}"]


def seed_uv(folder: Path, mac: Mac) -> None:
    """Put this machine's uv where the roles put a Mac's: the one tool that cannot be a Mac's here, being a binary."""
    uv = Path(sys.executable).parent / "uv"
    version = run(uv, "--version").split()[1]
    place = f"/Users/{USER}/.local/share/metal-lab/uv/{version}/bin"
    copied = subprocess.run(
        [
            *ssh(folder, mac),
            f"test -x {place}/uv || {{ mkdir -p {place} && cat >{place}/uv && chmod 755 {place}/uv; }}",
        ],
        input=uv.read_bytes(),
        check=False,
        timeout=LIMIT_S,
    )
    if copied.returncode != 0:
        raise SimulationError(f"uv could not be put on {mac.name}")


def end(folder: Path, name: str) -> None:
    """End what a FOLDER/NAME.pid names, and wait until its disk is let go."""
    number = int((folder / f"{name}.pid").read_text(encoding="utf-8"))
    # A number that was given to somebody else meanwhile is left alone.
    with contextlib.suppress(OSError):
        if str(folder) in Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8"):
            # unshare ignores TERM; --kill-child takes everything inside with it.
            os.kill(number, signal.SIGKILL)
            for _ in range(200):
                if "(zombie)" in Path(f"/proc/{number}/status").read_text(encoding="utf-8"):
                    break
                time.sleep(0.05)
    image = folder / name / "image"
    for _ in range(100):
        # The loop device lets go when the last process of the namespace is gone.
        if not image.exists() or not run("losetup", "-j", image).strip():
            break
        time.sleep(0.1)
    (folder / f"{name}.pid").unlink()


def save(folder: Path, name: str, image: Path) -> None:
    """End one Mac and keep its disk."""
    end(folder, name)
    (folder / name / "image").rename(image)


def down(folder: Path) -> None:
    """End what `up` started. The namespaces go with their processes; the files are removed."""
    settle()
    for note in sorted(folder.glob("*.pid")):
        end(folder, note.stem)
    network.remove()
    shutil.rmtree(folder, ignore_errors=True)


def parser() -> argparse.ArgumentParser:
    """The command line's."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("check")
    starting = commands.add_parser("up")
    starting.add_argument("folder", type=Path)
    starting.add_argument("macs", nargs="+", metavar="MAC")
    starting.add_argument("--isolated", action="store_true", help="each in a network of its own, without a way out")
    starting.add_argument("--base", type=Path, help="a disk that `save` kept: each Mac begins as that one was")
    saving = commands.add_parser("save")
    saving.add_argument("folder", type=Path)
    saving.add_argument("mac")
    saving.add_argument("image", type=Path)
    commands.add_parser("down").add_argument("folder", type=Path)
    within = commands.add_parser("inside", help="what `up` starts; of no use by itself")
    for name, kind in (("folder", Path), ("name", str), ("address", str)):
        within.add_argument(name, type=kind)
    return top


def main() -> int:
    """The command line."""
    options = parser().parse_args()
    try:
        if options.command == "check":
            check_machine()
        elif options.command == "up":
            macs = roster(options.macs, isolated=options.isolated)
            base = options.base.resolve(strict=True) if options.base else None
            up(options.folder.resolve(), macs, isolated=options.isolated, base=base)
        elif options.command == "save":
            save(options.folder.resolve(), options.mac, options.image.resolve())
        elif options.command == "down":
            down(options.folder.resolve())
        else:
            inside(options.folder, Mac(options.name, options.address, ""))
    except SimulationError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
