"""An environment of small packages that the real uv installed, from a folder of wheels, with a cache of its own."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.metal_lab.macs.verify import ROOT
from ansible_collections.metal_lab.macs.verify.profile.lock import UV_LOCK
from uv import find_uv_bin

MODULE = "ansible_collections.metal_lab.macs.plugins.modules.environment_packages"


@dataclass
class Environment:
    """A uv environment, and the module environment_packages run on it in its own process.

    Attributes:
        folder: holds all: the environment, wheels, uv's cache, a home.
        home: where the pinned uv is kept, or None for one in `folder`.
        packages: name to the requirement line of the wheel that is locked, all of version 1.0.
    """

    folder: Path
    home: Path
    packages: dict[str, str] = field(default_factory=dict)
    link_mode: str = "copy"

    @property
    def prefix(self) -> Path:
        return self.folder / "env"

    @property
    def site(self) -> Path:
        (found,) = self.prefix.glob("lib/python3.*/site-packages")
        return found

    @property
    def variables(self) -> dict[str, str]:
        """Nothing but the folder of wheels and the own cache: neither an index nor the user's settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "XDG_"))}
        return {
            **kept, "HOME": str(self.home), "UV_CACHE_DIR": str(self.folder / "cache"), "UV_NO_CONFIG": "1",
            "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.folder / "wheels"), "UV_LINK_MODE": self.link_mode,
            "PYTHONPATH": ":".join([str(ROOT / ".collections"), *sys.path]),
        }  # fmt: skip

    def uv(self, *arguments: str) -> None:
        subprocess.run([find_uv_bin(), *arguments], env=self.variables, check=True, capture_output=True, text=True)

    def make(self) -> None:
        self.uv("venv", "--no-project", "--python", sys.executable, str(self.prefix))

    def lock(self, name: str, **options: Any) -> None:
        """Make the wheel of a package and name it in the lock."""
        self.packages[name] = wheel(self.folder / "wheels", name, "1.0", **options)

    def install(self, *requirements: str) -> None:
        """Install by hand."""
        place = self.folder / "by-hand.txt"
        place.write_text("".join(requirements or self.packages.values()), encoding="utf-8")
        self.uv("pip", "install", "--python", str(self.prefix / "bin" / "python"), "--no-deps", "-r", str(place))

    def run(self, *, apply: bool, content: bool = False, names: list[str] | None = None) -> dict[str, Any]:
        """Run the module as the action plugin would."""
        wanted = self.packages if names is None else {name: self.packages[name] for name in names}
        arguments = {
            "prefix": str(self.prefix), "packages": dict.fromkeys(wanted, "1.0"), "variables": {},
            "apply": apply, "content": content, "requirements": "".join(wanted.values()),
            "uv_lock": UV_LOCK.read_text(encoding="utf-8"),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", MODULE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), env=self.variables, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    def cached(self, path: str) -> list[Path]:
        """A wheel's file, as uv keeps it unpacked in its cache."""
        return sorted((self.folder / "cache").glob(f"archive-v*/*/{path}"))

    def tree(self) -> dict[str, bytes | str]:
        """Every file of the environment with its content, every link with where it leads."""
        paths = [path for path in sorted(self.prefix.rglob("*")) if "__pycache__" not in path.parts]
        return {
            str(path.relative_to(self.prefix)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
            for path in paths
            if path.is_symlink() or path.is_file()
        }

    def copy(self, folder: Path) -> "Environment":
        """The same in another folder, with an empty cache."""
        for name in ("env", "wheels"):
            shutil.copytree(self.folder / name, folder / name, symlinks=True)
        return Environment(folder, self.home, dict(self.packages), self.link_mode)


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str] | None = None, misrecorded: str = "") -> str:
    """Write a wheel: a package of two modules, a command and a data file. Returns the requirement with its hash.

    Args:
        folder: where to.
        name: the distribution's; its package has an underscore for each hyphen.
        version: of the distribution.
        files: others than the two modules, by path.
        misrecorded: a file of which RECORD has another hash.
    """
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    contents = {
        **(files or {f"{module}/__init__.py": "NUMBER = 1\n", f"{module}/deep/words.py": "WORDS = 'a b'\n"}),
        f"{module}-{version}.data/data/share/{module}/notes.txt": "notes\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {module}:main\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nA package.\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    hashes = {path: digest(b"other" if path == misrecorded else text.encode()) for path, text in contents.items()}
    rows = [f"{path},sha256={hashes[path]},{len(text)}\n" for path, text in contents.items()]
    contents[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"])
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(place, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}\n"


def digest(content: bytes) -> str:
    """A SHA-256 as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def alter(path: Path) -> None:
    """Change one byte where it stands, as a bad disk or an editor does: the size stays, and links to it see it."""
    with path.open("r+b") as file:
        file.seek(0)
        file.write(b"#")
