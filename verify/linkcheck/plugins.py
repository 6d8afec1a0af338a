"""Plugins that a framework opens itself, as its own Python code and C++ code do.

TensorFlow: tensorflow/__init__.py opens every shared object in site-packages/tensorflow-plugins, once for its kernels
and once as a device (tensorflow/python/framework/load_library.py); dlopen is called by its Env with RTLD_NOW
(tsl/platform/default/load_library.cc) and must find SE_InitPlugin
(tensorflow/core/common_runtime/pluggable_device/pluggable_device_plugin_init.cc).
JAX: jax/_src/xla_bridge.py, discover_pjrt_plugins: every module of the namespace package jax_plugins, and the entry
points of the group jax_plugins; the shared object must export GetPjrtApi (openxla/xla, xla/pjrt/pjrt_api.cc).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from posixpath import dirname

from .findings import Finding
from .macho import Image
from .packages import Package
from .symbols import Symbols
from .tree import Tree

_JAX_MODULE = re.compile(r"jax_plugins/(?P<name>[^/]+)/__init__\.py")
_SUFFIXES = (".so", ".dylib")


@dataclass(frozen=True)
class Host:
    """A framework that opens plugins.

    Attributes:
        package: its package.
        statement: the line of Python that makes it open them.
        loaded: images that are loaded by then; the first that is there calls dlopen, and all that exist are opened.
        entry: the symbol that a plugin must export.
    """

    package: str
    statement: str
    loaded: tuple[str, ...]
    entry: str


TENSORFLOW = Host(
    "tensorflow",
    "import tensorflow",
    ("tensorflow/libtensorflow_framework.2.dylib", "tensorflow/python/_pywrap_tensorflow_internal.so"),
    "_SE_InitPlugin",
)
JAX = Host(
    "jax",
    "jax.devices()",
    ("jaxlib/xla_extension.so", "jaxlib/libjax_common.dylib", "jaxlib/_jax.so"),
    "_GetPjrtApi",
)


@dataclass(frozen=True)
class Plugin:
    """A plugin's image, and who opens it."""

    image: Image
    host: Host


def find(tree: Tree, packages: Iterable[Package]) -> tuple[list[Plugin], list[Finding]]:
    """The plugins of a tree, and those whose framework would not find them."""
    plugins: list[Plugin] = []
    findings: list[Finding] = []
    for package in packages:
        own = [row.path for row in package.rows]
        if package.name.startswith("tensorflow-") and any(path.startswith("tensorflow-plugins/") for path in own):
            images = [tree.images[path] for path in own if path in tree.images and _opened_by_tensorflow(path)]
            plugins.extend(Plugin(image, TENSORFLOW) for image in images)
            if not images:
                findings.append(_useless(package, "no shared object in tensorflow-plugins/, where TensorFlow looks"))
        modules = sorted(set(_jax_modules(package)))
        for module in modules:
            place = module.replace(".", "/")
            if f"{place}/__init__.py" not in tree.files and f"{place}.py" not in tree.files:
                findings.append(_useless(package, f"its module {module} does not exist"))
                continue
            folder = place if f"{place}/__init__.py" in tree.files else dirname(place)
            images = [
                tree.images[path]
                for path in own
                if path in tree.images and path.startswith(f"{folder}/") and path.endswith(_SUFFIXES)
            ]
            plugins.extend(Plugin(image, JAX) for image in images)
            if not images:
                findings.append(_useless(package, f"no shared object that loads beside {module}"))
    return plugins, findings


def check_entry(plugins: Iterable[Plugin], symbols: Symbols) -> Iterator[Finding]:
    """Plugins without the symbol that their framework calls first."""
    for plugin in plugins:
        if symbols.tables.exports(plugin.image).find(plugin.host.entry) is None:
            yield Finding(
                "plugin-entry",
                plugin.image.path,
                f"It does not export {plugin.host.entry}, which {plugin.host.package} calls first.",
                chain=(plugin.host.statement, plugin.image.path),
            )


def _opened_by_tensorflow(path: str) -> bool:
    return dirname(path) == "tensorflow-plugins" and path.endswith(_SUFFIXES)


def _jax_modules(package: Package) -> Iterator[str]:
    for group, _, value in package.entry_points:
        if group == "jax_plugins":
            yield value.split(":")[0].split("[")[0].strip()
    for row in package.rows:
        if found := _JAX_MODULE.fullmatch(row.path):
            yield f"jax_plugins.{found['name']}"


def _useless(package: Package, why: str) -> Finding:
    return Finding("plugin-entry", package.name, f"{package.name} {package.version} is a plugin without effect: {why}.")
