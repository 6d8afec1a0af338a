"""Makes a copy of this machine's file system look like a Mac's, as far as the roles look."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from machine import ADMIN, PASSWORD, PORT, STAFF, UID, USER, WHEEL, Mac, run
from served import MINIFORGE

OWN_PYTHON = "METAL_LAB_MAC_PYTHON"
"""The variable that names another Python for a Mac's own."""
STANDINS = Path(__file__).resolve().parent / "standins"
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


FILES = {
    "passwd": (
        f"root:x:0:{WHEEL}:System Administrator:/var/root:/bin/sh",
        # As which Debian's SSH server speaks with somebody who has not logged in yet.
        "sshd:x:75:75::/var/empty:/usr/bin/false",
        "nobody:x:65534:65534::/var/empty:/usr/bin/false",
        f"{USER}:x:{UID}:{STAFF}:Ana:/Users/{USER}:/bin/zsh",
    ),
    "group": (
        f"wheel:x:{WHEEL}:root",
        f"staff:x:{STAFF}:root,{USER}",
        f"admin:x:{ADMIN}:root,{USER}",
        "nogroup:x:65534:",
    ),
    "nsswitch.conf": ("passwd: files", "group: files", "shadow: files", "hosts: files dns"),
    "pam.d/sudo": ("auth required pam_unix.so", "account required pam_unix.so", "session required pam_permit.so"),
    # macOS 15's own line for administrators; no ticket is kept, so that every sudo shows its password was given.
    "sudoers": ("Defaults timestamp_timeout=0", "root ALL=(ALL) ALL", "%admin ALL=(ALL) ALL"),
}
"""Files of /etc, by name, with their lines."""


def address_to(root: Path, folder: Path, mac: Mac) -> None:
    """Give a dressed file system the name and the address of one Mac, and the keys of this simulation."""
    (root / "etc" / "hosts").write_text(f"127.0.0.1 localhost {mac.name}.local\n", encoding="utf-8")
    settings = root / "etc" / "ssh" / "sim_sshd_config"
    settings.write_text(SSHD.format(port=PORT, address=mac.address), encoding="utf-8")
    # A disk that was saved has those of the simulation that it comes from.
    shutil.copy(folder / "key.pub", root / "Users" / USER / ".ssh" / "authorized_keys")
    shutil.copy(folder / "host_key", root / "etc" / "ssh" / "sim_host_key")
    (root / "etc" / "ssh" / "sim_host_key").chmod(0o600)
    # /run is new with every start.
    (root / "run" / "sshd").mkdir(parents=True, exist_ok=True)


def dress(root: Path, folder: Path) -> None:
    """Turn a copy of this machine's file system into a Mac's, as far as the roles look.

    Args:
        root: the copy.
        folder: of the simulation, with the keys and what is built for it.
    """
    etc, room = root / "etc", root / "opt" / ".sim"
    for name in ("Applications", "Library", "System", "Users", "opt/homebrew", "opt/.sim", "var/root"):
        shutil.rmtree(root / name, ignore_errors=True)
    room.mkdir(parents=True)
    # What an administrator may have set on this machine; /etc/pip.conf stays, since it may name the way to an index.
    for name in ("gitconfig", "gshadow", "sudo.conf"):
        (etc / name).unlink(missing_ok=True)
    for name in ("sudoers.d", "zsh", "profile.d"):
        shutil.rmtree(etc / name, ignore_errors=True)
    for name in ("os-release", "debian_version", "lsb-release"):
        (etc / name).unlink(missing_ok=True)
    (root / "usr" / "lib" / "os-release").unlink(missing_ok=True)
    (root / "usr" / "sbin" / "init").unlink(missing_ok=True)
    # What comes with Apple's tools goes out of sight; the shims find it there.
    for name, source in (("python3.11", "python3.11"), ("git", "git")):
        real = (root / "usr" / "bin" / source).resolve()
        shutil.copy2(real, room / name)
    (room / "python3").symlink_to(own_python(root, room))
    # macOS's is bash, which goes by POSIX under this name.
    (root / "usr" / "bin" / "sh").unlink()
    (root / "usr" / "bin" / "sh").symlink_to("bash")
    for found in (root / "usr" / "bin").glob("python3*"):
        found.unlink()
    for name in ("apt-get", "apt", "dpkg", "dpkg-query"):
        (root / "usr" / "bin" / name).unlink(missing_ok=True)
    for name in ("git", "python3"):
        (root / "usr" / "bin" / name).unlink(missing_ok=True)
        shutil.copy2(STANDINS / "clt_shim", root / "usr" / "bin" / name)
    for name in ("sw_vers", "dscl", "xcode-select", "launchctl"):
        shutil.copy2(STANDINS / name, root / "usr" / "bin" / name)
    for name in ("sysctl", "system_profiler", "softwareupdate", "installer"):
        (root / "usr" / "sbin" / name).unlink(missing_ok=True)
        shutil.copy2(STANDINS / name, root / "usr" / "sbin" / name)
    shutil.copy(STANDINS / "sysctl.table", room / "sysctl")
    shutil.copy(folder / "uname.so", room / "uname.so")
    shutil.copy(folder / "web" / MINIFORGE, room / "miniforge.sh")
    for name in ("calls", "developer-folder"):
        (room / name).touch()
    (room / "calls").chmod(0o666)
    version = root / "System" / "Library" / "CoreServices" / "SystemVersion.plist"
    version.parent.mkdir(parents=True)
    # Python's sysconfig reads ProductUserVisibleVersion (Lib/_osx_support.py), ansible-core and sw_vers the others.
    shutil.copy(STANDINS / "SystemVersion.plist", version)
    make_accounts(root, etc)
    for name in ("Applications", "Library/Developer", "Library/LaunchDaemons", "etc/paths.d"):
        (root / name).mkdir(parents=True, exist_ok=True)
    # As macOS has it: administrators put applications there without sudo.
    os.chown(root / "Applications", 0, ADMIN)
    (root / "Applications").chmod(0o775)
    # Last, because everything started after it says Darwin.
    (etc / "ld.so.preload").write_text("/opt/.sim/uname.so\n", encoding="utf-8")


def own_python(root: Path, room: Path) -> str:
    """The Python that the Command Line Tools bring, as a path below `room`: this machine's, or that of an installation.

    Apple's is 3.9; Debian has none. OWN_PYTHON is the prefix of one, for example ~/.pyenv/versions/3.9.18.
    """
    prefix = os.environ.get(OWN_PYTHON)
    if not prefix:
        return "python3.11"
    # Its path may be in a folder that a Mac here does not see.
    shutil.copytree(prefix, room / "own", symlinks=True, ignore=shutil.ignore_patterns("test", "tests", "__pycache__"))
    for library in (room / "own" / "lib").glob("libpython3.*.so.*"):
        shutil.copy2(library, root / "usr" / "lib")
    return "own/bin/python3"


def make_accounts(root: Path, etc: Path) -> None:
    """The users and groups that macOS has, as far as they matter, and an administrator who needs a password for sudo.

    Nothing of this machine's own is kept: neither its users and groups, nor where else it looks for some.
    """
    for name, lines in FILES.items():
        (etc / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    secret = run("openssl", "passwd", "-6", "-stdin", text=PASSWORD).strip()
    (etc / "shadow").write_text(f"root:*:20000::::::\n{USER}:{secret}:20000::::::\n", encoding="utf-8")
    (etc / "shadow").chmod(0o600)
    (etc / "sudoers").chmod(0o440)
    (root / "var" / "root").mkdir(mode=0o700)
    home = root / "Users" / USER
    (home / ".ssh").mkdir(parents=True)
    (home / ".zshrc").touch()
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, STAFF)
    (home / ".ssh").chmod(0o700)
