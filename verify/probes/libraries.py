"""Which OpenMP runtimes this process has loaded: two of them crash it, or make it compute wrongly (pytorch #132372)."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path

# LLVM's, Intel's, GNU's, Microsoft's as ported: libomp.dylib, libiomp5.so, libgomp-24e2ab19.so.1.0.0, libomp140.so.
_OPENMP = re.compile(r"^lib(omp|iomp|gomp)[0-9]*([-.].*)?$")


def openmp() -> list[str]:
    """The files of OpenMP runtimes in this process, links resolved, sorted.

    Raises:
        OSError: the loader's list cannot be read.
    """
    loaded = _darwin() if platform.system() == "Darwin" else _linux(Path("/proc/self/maps").read_text())
    return sorted({os.path.realpath(path) for path in loaded if _OPENMP.match(path.rsplit("/", 1)[-1])})


def _linux(maps: str) -> list[str]:
    # Address, permissions, offset, device, inode, path (proc(5)); the path may hold spaces.
    fields = (line.split(None, 5) for line in maps.splitlines())
    return [one[5] for one in fields if len(one) == 6]  # noqa: PLR2004 - the six fields


def _darwin() -> list[str]:
    # <mach-o/dyld.h>: uint32_t _dyld_image_count(void); const char *_dyld_get_image_name(uint32_t), NULL past the end.
    system = ctypes.CDLL(None)
    system._dyld_image_count.restype = ctypes.c_uint32
    system._dyld_get_image_name.restype = ctypes.c_char_p
    system._dyld_get_image_name.argtypes = [ctypes.c_uint32]
    names = (system._dyld_get_image_name(one) for one in range(system._dyld_image_count()))
    return [os.fsdecode(one) for one in names if one]
