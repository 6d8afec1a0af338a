"""Makes a copy of this machine's file system look like a Mac's, as far as the roles look."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from machine import ADMIN, PASSWORD, PORT, STAFF, UID, USER, WHEEL, Mac, run
from served import MINIFORGE

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
    make_user(root, etc)
    for name in ("Applications", "Library/Developer", "Library/LaunchDaemons"):
        (root / name).mkdir(parents=True, exist_ok=True)
    # As macOS has it: administrators put applications there without sudo.
    os.chown(root / "Applications", 0, ADMIN)
    (root / "Applications").chmod(0o775)
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
    for path in (home, *home.rglob("*")):
        os.chown(path, UID, STAFF)
    (home / ".ssh").chmod(0o700)
