"""Simulated Macs: Linux hosts that Ansible takes for Apple-silicon Macs, reached by real SSH. Needs root.

    simulate.py check               say what is missing to run them here; exit code 2 if something is
    simulate.py up FOLDER CACHE     start them; FOLDER gets a key, known_hosts and what they are made of
    simulate.py down FOLDER         end them and leave nothing behind

Each is a process tree in mount, UTS and PID namespaces of its own, on an overlay of this machine's file system whose
upper layer is a file in FOLDER, so that ending one process takes mounts, files and users away with it. They listen on
127.0.0.11 and following, and get Homebrew and Miniforge (stand-ins) from 127.0.0.10. standins/ says what is imitated.

They show the roles' logic, what is resolved and what lands on the disk. They cannot show Metal, the BSD userland,
launchd or code signing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pack_installer import pack

HERE = Path(__file__).resolve().parent
STANDINS = HERE / "standins"
ADDRESS, PORT, WEB_PORT = "127.0.0.{}", 2222, 8422
PASSWORD = "sudo needs this"  # noqa: S105 (of users that exist in the simulation only)
USER, UID, STAFF, WHEEL, ADMIN = "ana", 501, 20, 0, 80
DISK_GB = 24
TOOLS = {
    "unshare": "util-linux", "mkfs.ext4": "e2fsprogs", "sshd": "openssh-server", "ssh-keygen": "openssh-client",
    "sudo": "sudo", "zsh": "zsh", "gcc": "gcc", "git": "git", "openssl": "openssl", "perl": "perl-base",
}  # fmt: skip
"""Commands that are needed, and the Debian package of each."""


class SimulationError(Exception):
    """The simulation cannot be had here; the message says what is missing."""


@dataclass(frozen=True)
class Mac:
    """A simulated Mac: its name, the last number of its address, and the script that gives it a past."""

    name: str
    number: int
    past: str

    @property
    def address(self) -> str:
        """Its loopback address."""
        return ADDRESS.format(self.number)


MACS = (Mac("fresh", 11, ""), Mac("by-hand", 12, "by-hand.sh"), Mac("drifted", 13, "drifted.sh"))


def check_machine() -> None:
    """Say everything that is missing at once.

    Raises:
        SimulationError: not root, or commands are missing.
    """
    problems = [] if os.geteuid() == 0 else ["it needs root, for namespaces, an overlay and a loop mount"]
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool, path=path) is None})
    if missing:
        problems.append(f"it needs Debian's packages: apt-get install {' '.join(missing)}")
    if problems:
        raise SimulationError(f"Simulated Macs cannot run here: {'; '.join(problems)}.")


def run(*command: str | Path, text: str | None = None) -> str:
    """Run a command that must succeed, and return what it printed."""
    line = [str(part) for part in command]
    done = subprocess.run(line, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SimulationError(f"{' '.join(line)} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def make_shared(folder: Path) -> None:
    """What all Macs share: keys, the uname library, Homebrew's repository and Miniforge's installer."""
    for name in ("key", "host_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    public = (folder / "host_key.pub").read_text(encoding="utf-8").split()[:2]
    lines = [f"[{mac.address}]:{PORT} {' '.join(public)}\n" for mac in MACS]
    (folder / "known_hosts").write_text("".join(lines), encoding="utf-8")
    run("gcc", "-shared", "-fPIC", "-O2", "-o", folder / "uname.so", STANDINS / "uname.c")
    web = folder / "web"
    (web / "26.3.2-3").mkdir(parents=True)
    digest = pack(web / "26.3.2-3" / "Miniforge3-26.3.2-3-MacOSX-arm64.sh")
    commit = make_homebrew(folder / "brew", web / "brew.git")
    (folder / "pins").write_text(f"{digest}\n{commit}\n", encoding="utf-8")


def make_homebrew(work: Path, bare: Path) -> str:
    """A repository with two releases of the stand-in, served as plain files; returns the newer one's commit."""
    environment = {
        **os.environ, "GIT_AUTHOR_NAME": "stand-in", "GIT_AUTHOR_EMAIL": "stand-in@localhost",
        "GIT_COMMITTER_NAME": "stand-in", "GIT_COMMITTER_EMAIL": "stand-in@localhost", "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_DATE": "2026-08-17T00:00:00Z", "GIT_COMMITTER_DATE": "2026-08-17T00:00:00Z",
    }  # fmt: skip

    def git(*arguments: str) -> str:
        line = ["git", "-C", str(work), *arguments]
        return subprocess.run(line, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    (work / "bin").mkdir(parents=True)
    git("init", "-q", "-b", "main")
    for tag in ("6.0.0", "6.0.18"):
        shutil.copy(STANDINS / "brew", work / "bin" / "brew")
        (work / "README.md").write_text(f"Stand-in for Homebrew {tag}\n", encoding="utf-8")
        git("add", "-A")
        git("commit", "-q", "-m", f"Stand-in for {tag}")
        git("tag", tag)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True, env=environment)
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True, env=environment)
    return git("rev-parse", "6.0.18^{commit}")


def dress(root: Path, folder: Path, host: str) -> None:
    """Turn a copy of this machine's file system into a Mac's, as far as the roles look."""
    etc, room = root / "etc", root / "opt" / ".sim"
    room.mkdir(parents=True)
    for name in ("os-release", "debian_version", "lsb-release"):
        (etc / name).unlink(missing_ok=True)
    (root / "usr" / "lib" / "os-release").unlink(missing_ok=True)
    (root / "usr" / "sbin" / "init").unlink(missing_ok=True)
    # What comes with Apple's tools goes out of sight; the shims find it there.
    for name, source in (("python3.11", "python3.11"), ("git", "git")):
        real = (root / "usr" / "bin" / source).resolve()
        shutil.copy2(real, room / name)
    (room / "python3").symlink_to("python3.11")
    for found in (root / "usr" / "bin").glob("python3*"):
        found.unlink()
    for name in ("apt-get", "apt", "dpkg", "dpkg-query"):
        (root / "usr" / "bin" / name).unlink(missing_ok=True)
    for name in ("git", "python3"):
        (root / "usr" / "bin" / name).unlink(missing_ok=True)
        shutil.copy2(STANDINS / "clt_shim", root / "usr" / "bin" / name)
    for name in ("sw_vers", "dscl", "xcode-select"):
        shutil.copy2(STANDINS / name, root / "usr" / "bin" / name)
    for name in ("sysctl", "system_profiler", "softwareupdate"):
        (root / "usr" / "sbin" / name).unlink(missing_ok=True)
        shutil.copy2(STANDINS / name, root / "usr" / "sbin" / name)
    shutil.copy(STANDINS / "sysctl.table", room / "sysctl")
    shutil.copy(folder / "uname.so", room / "uname.so")
    shutil.copy(folder / "web" / "26.3.2-3" / "Miniforge3-26.3.2-3-MacOSX-arm64.sh", room / "miniforge.sh")
    for name in ("calls", "developer-folder"):
        (room / name).touch()
    (room / "calls").chmod(0o666)
    version = root / "System" / "Library" / "CoreServices" / "SystemVersion.plist"
    version.parent.mkdir(parents=True)
    # Python's sysconfig reads ProductUserVisibleVersion (Lib/_osx_support.py), ansible-core and sw_vers the others.
    shutil.copy(STANDINS / "SystemVersion.plist", version)
    make_user(root, etc)
    make_sshd(root, etc, folder)
    for name in ("Applications", "Library/Developer"):
        (root / name).mkdir(parents=True, exist_ok=True)
    # As macOS has it: administrators put applications there without sudo.
    os.chown(root / "Applications", 0, ADMIN)
    (root / "Applications").chmod(0o775)
    (etc / "hosts").write_text(f"127.0.0.1 localhost {host}.local\n", encoding="utf-8")
    # Last, because everything started after it says Darwin.
    (etc / "ld.so.preload").write_text("/opt/.sim/uname.so\n", encoding="utf-8")


def make_user(root: Path, etc: Path) -> None:
    """An administrator who needs a password for sudo, in the groups that macOS has."""
    group = [line.split(":") for line in (etc / "group").read_text(encoding="utf-8").splitlines()]
    kept = [":".join(one) for one in group if int(one[2]) not in {STAFF, WHEEL, ADMIN}]
    ours = [f"wheel:x:{WHEEL}:root", f"staff:x:{STAFF}:root,{USER}", f"admin:x:{ADMIN}:root,{USER}"]
    (etc / "group").write_text("\n".join([*kept, *ours, ""]), encoding="utf-8")
    users = [line for line in (etc / "passwd").read_text(encoding="utf-8").splitlines() if f":{UID}:" not in line]
    if not any(line.startswith("sshd:") for line in users):
        users.append("sshd:x:75:65534::/var/empty:/usr/bin/false")
    users.append(f"{USER}:x:{UID}:{STAFF}:Ana:/Users/{USER}:/bin/zsh")
    (etc / "passwd").write_text("\n".join([*users, ""]), encoding="utf-8")
    secret = run("openssl", "passwd", "-6", "-stdin", text=PASSWORD).strip()
    with (etc / "shadow").open("a", encoding="utf-8") as file:
        file.write(f"{USER}:{secret}:20000:0:99999:7:::\n")
    sudoers = etc / "sudoers"
    # macOS 15's own line for administrators; no ticket is kept, so that every sudo shows its password was given.
    sudoers.write_text("Defaults timestamp_timeout=0\nroot ALL=(ALL) ALL\n%admin ALL=(ALL) ALL\n", encoding="utf-8")
    sudoers.chmod(0o440)
    shutil.rmtree(etc / "sudoers.d", ignore_errors=True)
    home = root / "Users" / USER
    (home / ".ssh").mkdir(parents=True)
    (home / ".zshrc").touch()


def make_sshd(root: Path, etc: Path, folder: Path) -> None:
    """The SSH server's settings, and the key that the user may come with."""
    home = root / "Users" / USER
    shutil.copy(folder / "key.pub", home / ".ssh" / "authorized_keys")
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, STAFF)
    (home / ".ssh").chmod(0o700)
    shutil.copy(folder / "host_key", etc / "ssh" / "sim_host_key")
    (etc / "ssh" / "sim_host_key").chmod(0o600)
    (root / "run" / "sshd").mkdir(parents=True, exist_ok=True)


SSHD = """Port {port}
ListenAddress {address}
HostKey /etc/ssh/sim_host_key
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
# A Mac's own path for a shell that comes by SSH.
SetEnv PATH=/usr/bin:/bin:/usr/sbin:/sbin
Subsystem sftp internal-sftp
"""


def inside(folder: Path, name: str, cache: Path) -> None:
    """In the new namespaces: put the file system together, change into it, and become the SSH server."""
    mac = next(one for one in MACS if one.name == name)
    place = folder / mac.name
    disk, root = place / "disk", place / "root"
    run("mount", "--make-rprivate", "/")
    run("mount", "-o", "loop", place / "image", disk)
    for part in ("upper", "work"):
        (disk / part).mkdir()
    options = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
    run("mount", "-t", "overlay", "-o", options, "overlay", root)
    for part in ("tmp", "run", "var/tmp"):
        run("mount", "-t", "tmpfs", "-o", "size=1g,mode=1777", "tmpfs", root / part)
    for part in ("dev", "sys"):
        run("mount", "--rbind", f"/{part}", root / part)
    dress(root, folder, mac.name)
    (root / "opt" / ".sim" / "uv-cache").mkdir()
    run("mount", "--bind", cache, root / "opt" / ".sim" / "uv-cache")
    settings = root / "etc" / "ssh" / "sim_sshd_config"
    settings.write_text(SSHD.format(port=PORT, address=mac.address), encoding="utf-8")
    socket.sethostname(f"{mac.name}.local")
    os.chroot(root)
    os.chdir("/")
    # No variable of the machine that started this reaches a Mac.
    server = ["/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sim_sshd_config"]
    os.execve(server[0], server, {"PATH": "/usr/bin:/bin"})  # noqa: S606 (becoming it is the point)


def start(folder: Path, mac: Mac, cache: Path) -> None:
    """Start one Mac and note its process."""
    place = folder / mac.name
    for part in ("disk", "root"):
        (place / part).mkdir(parents=True)
    image = place / "image"
    with image.open("wb") as file:
        file.truncate(DISK_GB * 10**9)
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
    line = [
        "unshare",
        "--mount",
        "--uts",
        "--pid",
        "--fork",
        "--kill-child",
        sys.executable,
        str(Path(__file__).resolve()),
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [*line, "inside", str(folder), mac.name, str(cache)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (folder / f"{mac.name}.pid").write_text(f"{process.pid}\n", encoding="utf-8")


def wait_for(address: str, port: int, log: Path) -> None:
    """Wait until something listens, at most 30 s."""
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.1)
    raise SimulationError(f"Nothing listens on {address}:{port}. Its log says:\n{log.read_text(encoding='utf-8')}")


def up(folder: Path, cache: Path) -> None:
    """Start the web server and all Macs, and give each its past."""
    check_machine()
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    cache.mkdir(parents=True, exist_ok=True)
    os.chown(cache, UID, STAFF)
    make_shared(folder)
    with (folder / "web.log").open("wb") as log:
        where = ["--bind", ADDRESS.format(10), "--directory", str(folder / "web"), str(WEB_PORT)]
        server = subprocess.Popen(
            [sys.executable, "-m", "http.server", *where],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (folder / "web.pid").write_text(f"{server.pid}\n", encoding="utf-8")
    wait_for(ADDRESS.format(10), WEB_PORT, folder / "web.log")
    for mac in MACS:
        start(folder, mac, cache)
    for mac in MACS:
        wait_for(mac.address, PORT, folder / mac.name / "log")
        seed_uv(folder, mac)
        if mac.past:
            script = (HERE / "pasts" / mac.past).read_text(encoding="utf-8")
            run(*ssh(folder, mac), "/bin/sh -eu", text=script)


def ssh(folder: Path, mac: Mac) -> list[str]:
    """The command that logs in to a Mac."""
    options = [
        f"UserKnownHostsFile={folder}/known_hosts",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
        "ControlPath=none",
    ]
    line = ["ssh", "-p", str(PORT), "-i", str(folder / "key")]
    return [*line, *(part for one in options for part in ("-o", one)), f"{USER}@{mac.address}"]


def seed_uv(folder: Path, mac: Mac) -> None:
    """Put this machine's uv where the roles put a Mac's: the one tool that cannot be a Mac's here, being a binary."""
    uv = Path(sys.executable).parent / "uv"
    version = run(uv, "--version").split()[1]
    place = f"/Users/{USER}/.local/share/metal-lab/uv/{version}/bin"
    copied = subprocess.run(
        [*ssh(folder, mac), f"mkdir -p {place} && cat >{place}/uv && chmod 755 {place}/uv"],
        input=uv.read_bytes(),
        check=False,
    )
    if copied.returncode != 0:
        raise SimulationError(f"uv could not be put on {mac.name}")


def down(folder: Path) -> None:
    """End what `up` started. The namespaces go with their processes; the files are removed."""
    for note in sorted(folder.glob("*.pid")):
        number = int(note.read_text(encoding="utf-8"))
        # A number that was given to somebody else meanwhile is left alone.
        with contextlib.suppress(OSError):
            if str(folder) in Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8"):
                # unshare ignores TERM; --kill-child takes everything inside with it.
                os.kill(number, signal.SIGKILL)
                while Path(f"/proc/{number}").exists() and "(zombie)" not in Path(f"/proc/{number}/status").read_text(
                    encoding="utf-8"
                ):
                    time.sleep(0.05)
    for mac in MACS:
        image = folder / mac.name / "image"
        for _ in range(100):
            # The loop device lets go when the last process of the namespace is gone.
            if not image.exists() or not run("losetup", "-j", image).strip():
                break
            time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    arguments_of = {"check": [], "up": ["folder", "cache"], "down": ["folder"], "inside": ["folder", "name", "cache"]}
    for name, arguments in arguments_of.items():
        command = commands.add_parser(name)
        for argument in arguments:
            command.add_argument(argument, type=str if argument == "name" else Path)
    options = parser.parse_args()
    try:
        if options.command == "check":
            check_machine()
        elif options.command == "up":
            up(options.folder.resolve(), options.cache.resolve())
        elif options.command == "down":
            down(options.folder.resolve())
        else:
            inside(options.folder, options.name, options.cache)
    except SimulationError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
