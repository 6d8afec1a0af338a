"""The check itself: every load that the environment's files can lead to, one process each."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from ..macos import Version, show_version
from . import macho, metallib, numpy_abi, packages, pjrt, plugins, runtimes
from .dyld import Process
from .findings import SHOWN, Finding, Result
from .limits import reading
from .macho import Image, MalformedError
from .packages import Package, Target
from .plugins import Plugin
from .symbols import Missing, Symbols
from .system import System
from .tree import SITE, Tree

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Root:
    """Something that is loaded on its own account.

    Attributes:
        image: what is loaded.
        how: the Python statement that loads it, or how else it is loaded.
        plugin: what a framework opens, None for all else.
    """

    image: Image
    how: str
    plugin: Plugin | None = None

    @property
    def is_module(self) -> bool:
        """Whether it is a module that Python imports."""
        return self.plugin is None and self.how.startswith("import ")

    def __str__(self) -> str:
        return self.how if self.how.startswith("import ") else f"{self.how} {self.image.path}"


@dataclass
class _Failures:
    """Failed links and symbols, each with the shortest way to it."""

    dependencies: dict[tuple[str, str], Finding] = field(default_factory=dict)
    symbols: dict[tuple[str, str | None], dict[str, list[str]]] = field(default_factory=dict)


class Check:
    """Checks a tree against a target."""

    def __init__(self, tree: Tree, target: Target, progress: Progress, *, hashes: bool) -> None:
        """Prepare a check; `progress` is told what is done, `hashes` compares files with their RECORD."""
        self.hashes = hashes
        self.tree = tree
        self.target = target
        self.progress = progress
        self.result = Result(findings=list(tree.findings))
        self.symbols = Symbols(self.result.counts, tree.known.tables)
        needed = [image.minos for image in tree.images.values() if image.platform == macho.MACOS]
        needed += [metallib.needs(libraries) for libraries in tree.metallibs.values()]
        self.points = target.points(one for one in needed if one is not None)
        for sentence in tree.assumptions:
            self.result.assume(sentence)
        above = [*tree.root.absolute().parents][2:3]
        self.system = System(target.floor, next((one for one in above if (one / "conda-meta").is_dir()), None))
        if self.system.prefix is not None:
            self.result.assume("What lies in lib of conda's environment loads, and has what is bound to it.")
        self._owners: dict[str, str] = {}
        self._packages: dict[str, Package] = {}
        self._before: dict[tuple[str, ...], Process] = {}
        self._roots: list[Root] = []
        self._processes: dict[str, Process] = {}
        self._failures = _Failures()
        self._damaged: set[str] = set()

    def run(self) -> Result:
        """Do the whole check."""
        found, findings = packages.read_all(self.tree)
        self._add(findings)
        self._packages = {package.name: package for package in found}
        self.result.wheels = {package.name: number for package in found if (number := package.macos)}
        self.progress(f"comparing {len(self.tree.files)} files with what {len(found)} packages say of them")
        self._owners, findings = packages.owners(self.tree, found)
        self._add(findings)
        if self.hashes:
            self._add(packages.check_files(self.tree, found, self.result.counts))
        self._add(packages.check_tags(found, self.target, self.points))
        self._add(packages.check_requirements(found, self.target))
        self._check_builds()
        self._check_metallibs()
        opened, findings = plugins.find(self.tree, found)
        self._add(findings)
        self.progress(f"following the loads of {len(self.tree.images)} Mach-O images")
        self._roots = self._find_roots(opened)
        self._follow()
        self._check_plugins(opened)
        self._add(runtimes.check(self.tree, self.symbols, self._loaders, self._owners))
        self._add(numpy_abi.check(self.tree, self.symbols, found, self._owners, self.target))
        self._conclude(len(found))
        everywhere = self._shown(self.points)
        self.result.findings = [
            replace(one, releases=one.releases or everywhere, package=self._package_of(one.subject))
            for one in self.result.findings
        ]
        self.result.releases = everywhere
        return self.result

    def _package_of(self, subject: str) -> str | None:
        """The package that a finding's subject belongs to, or is."""
        for name in (subject, subject.partition(">")[0], subject.partition("+")[0]):
            if name in self._owners or name in self._packages:
                return self._owners.get(name, name)
        return None

    def _add(self, findings: Iterable[Finding]) -> None:
        self.result.findings.extend(findings)

    def _check_builds(self) -> None:
        """Images for another platform, or for a newer macOS than the floor."""
        for image in self.tree.images.values():
            if image.platform is None:
                self.result.assume(f"{image.path} states no platform: taken to be for macOS.")
            elif image.platform != macho.MACOS:
                platform = macho.PLATFORMS.get(image.platform, f"platform {image.platform}")
                self._add([Finding("wrong-platform", image.path, f"It is built for {platform}, not for macOS.")])
            elif image.minos is not None and image.minos > self.target.floor:
                self._add(
                    [
                        Finding(
                            "too-new",
                            image.path,
                            f"It is built for macOS {show_version(image.minos)} and newer. dyld does not refuse it for "
                            "that, but symbols that are newer fail.",
                            details=(f"macOS {show_version(image.minos)}",),
                            releases=self._shown(one for one in self.points if one < image.minos),
                        )
                    ]
                )

    def _check_metallibs(self) -> None:
        """Metal libraries that a macOS would refuse."""
        for path, libraries in self.tree.metallibs.items():
            needed = metallib.needs(libraries)
            if needed is None or needed > self.target.floor:
                known = f"macOS {show_version(needed)}" if needed else "a newer macOS than is known here"
                message = (
                    f"Its Metal code is {', or '.join(map(str, libraries))}. A macOS that does not know that AIR or "
                    "language refuses it; on another that is older than it is made for, its kernels may use what is "
                    "not there."
                )
                releases = self._shown(one for one in self.points if needed is None or one < needed)
                self._add([Finding("metal-version", path, message, details=(known,), releases=releases)])
            if len(libraries) > 1:
                made_for = " and ".join(sorted({show_version(one.made_for) for one in libraries}))
                self.result.assume(f"{path} opens that of its Metal libraries, made for {made_for}, which fits.")

    def _shown(self, points: Iterable[Version]) -> tuple[str, ...]:
        return tuple(map(show_version, points))

    def _find_roots(self, opened: list[Plugin]) -> list[Root]:
        """All that is loaded on its own account: modules, plugins, programs, then what nothing else links to."""
        roots: list[Root] = []
        by_path = {plugin.image.path: plugin for plugin in opened}
        other: list[Image] = []
        for path, image in sorted(self.tree.images.items()):
            module = packages.module_of(path, self.target.python)
            plugin = by_path.get(path)
            if plugin is not None:
                roots.append(Root(image, plugin.host.statement, plugin=plugin))
            elif image.filetype == macho.EXECUTE:
                roots.append(Root(image, "run"))
            elif module is not None and self._is_module(image, module):
                roots.append(Root(image, f"import {module}"))
            elif packages.for_another_python(path, self.target.python):
                self.result.assume(f"{path} is for another Python and never imported.")
            else:
                other.append(image)
        linked = {path for root in roots for path in self._alone(root).loaded}
        roots.extend(Root(one, "dlopen") for one in other if one.path not in linked)
        return roots

    def _is_module(self, image: Image, module: str) -> bool:
        try:
            with reading(image.path):
                return self.symbols.tables.exports(image).find(f"_PyInit_{module.rpartition('.')[2]}") is not None
        except MalformedError as error:
            self._damage(image, error)
            return False

    def _alone(self, root: Root) -> Process:
        """A new process in which only this is loaded, and a plugin's framework before it."""
        process = self._processes.get(root.image.path)
        if process is None:
            process = Process(self.tree, self.system)
            if root.image.filetype == macho.EXECUTE:
                process.executable = f"{SITE}/{root.image.path}"
            try:
                with reading(root.image.path):
                    if root.plugin is not None:
                        self._open_plugin(process, root.plugin)
                    else:
                        process.open(root.image)
            except MalformedError as error:
                self._damage(root.image, error)
                process = Process(self.tree, self.system)
            self._processes[root.image.path] = process
        return process

    def _open_plugin(self, process: Process, plugin: Plugin) -> None:
        there = [self.tree.images[path] for path in plugin.host.loaded if path in self.tree.images]
        for image in there:
            process.open(image)
        process.open(plugin.image, caller=there[0] if there else None)

    def _imported(self, names: tuple[str, ...]) -> Process:
        """A process in which the modules and libraries of some packages are loaded, as far as they can be."""
        if names not in self._before:
            process = Process(self.tree, self.system)
            waiting = [root for root in self._roots if self._owners.get(root.image.path) in names and not root.plugin]
            waiting.sort(key=lambda root: not root.is_module)
            for root in [*waiting, *waiting]:  # the second time with what the first has brought
                if root.image.filetype != macho.EXECUTE and root.image.path not in process.loaded:
                    attempt = self._opened(root.image, process)
                    if attempt is not None and not self._problems(root, attempt):
                        process = attempt
            self._before[names] = process
        return self._before[names]

    def _opened(self, image: Image, process: Process) -> Process | None:
        """A copy of a process in which an image is loaded; None where that takes too long."""
        attempt = process.copy()
        try:
            with reading(image.path):
                attempt.open(image)
        except MalformedError as error:
            self._damage(image, error)
            return None
        return attempt

    def _follow(self) -> None:
        for root in self._roots:
            self.result.counts.processes += 1
            process = self._alone(root)
            if not process.loaded:
                continue  # it is damaged
            if root.plugin is None and self._problems(root, process):
                process = self._with_others(root, process)
            self._record(root, process)

    def _with_others(self, root: Root, alone: Process) -> Process:
        """The process in which it misses least, given what Python may have imported before.

        What a package's Python code imports is taken to be imported before its libraries are opened: torchaudio, for
        one, links to torch's libraries by `@rpath` without any rpath, and imports torch first.
        """
        package = self._packages.get(self._owners.get(root.image.path, ""))
        if package is None:
            return alone
        others = packages.uses(self.tree, package, self._packages.values())
        choices = [(package.name,), *((other, package.name) for other in others), (*others, package.name)]
        best, fewest = alone, self._problems(root, alone)
        for names in dict.fromkeys(choices):
            process = self._opened(root.image, self._imported(names)) or alone
            problems = self._problems(root, process)
            if problems < fewest:
                best, fewest = process, problems
            if not problems:
                self.result.assume(f"{root}: it loads once modules of {' and '.join(names)} have been imported.")
                break
        return best

    def _problems(self, root: Root, process: Process) -> int:
        """How many libraries and symbols are missing for something that is loaded."""
        count = 0
        for image in process.reached(root.image):
            links = zip(image.dependencies, process.outcomes[image.path], strict=True)
            gone = {
                dependency.name for dependency, outcome in links if outcome.where == "missing" and not dependency.weak
            }
            count += len(gone) + len(self._missing(process, image))
            count += sum(len(names) for names in self._lost(process, image).values()) if gone else 0
        return count

    def _lost(self, process: Process, image: Image) -> dict[str, list[str]]:
        if image.path in self._damaged:
            return {}
        try:
            with reading(image.path):
                return self.symbols.lost(process, image)
        except MalformedError as error:
            self._damage(image, error)
            return {}

    def _missing(self, process: Process, image: Image) -> list[Missing]:
        if image.path in self._damaged:
            return []
        try:
            with reading(image.path):
                return self.symbols.check(process, image)
        except MalformedError as error:
            self._damage(image, error)
            return []

    def _damage(self, image: Image, error: MalformedError) -> None:
        if image.path not in self._damaged:
            self._damaged.add(image.path)
            self._add(
                [
                    Finding(
                        "damaged",
                        image.path,
                        f"dyld would refuse it, or a library that it binds to: {error}.",
                    )
                ]
            )

    def _record(self, root: Root, process: Process) -> None:
        way = process.chains(root.image)
        for image in process.reached(root.image):
            missing = self._missing(process, image)
            if not missing and all(one.where != "missing" for one in process.outcomes[image.path]):
                continue
            chain = [root.how, *way(image.path)]
            for dependency, outcome in zip(image.dependencies, process.outcomes[image.path], strict=True):
                if outcome.where == "missing" and not dependency.weak:
                    self._record_library(process, image, dependency.name, chain, outcome.tried)
            for one in missing:
                ways = self._failures.symbols.setdefault((one.image, one.provider), {})
                if one.symbol not in ways or len(chain) < len(ways[one.symbol]):
                    ways[one.symbol] = chain

    def _record_library(
        self, process: Process, image: Image, name: str, chain: list[str], tried: tuple[str, ...]
    ) -> None:
        known = self._failures.dependencies.get((image.path, name))
        if known is not None and len(known.chain) <= len(chain):
            return
        self._failures.dependencies[image.path, name] = Finding(
            "missing-dependency",
            f"{image.path}>{name}",
            f"{name}, which {image.path} links to, is not found.",
            chain=tuple(chain),
            symbols=tuple(sorted(self._lost(process, image).get(name, []))),
            details=tried,
        )

    def _check_plugins(self, opened: list[Plugin]) -> None:
        for plugin in opened:
            try:
                with reading(plugin.image.path):
                    self._add(plugins.check_entry([plugin], self.symbols))
            except MalformedError as error:
                self._damage(plugin.image, error)
        checked = pjrt.check(self.tree, opened, self.symbols, compatibility=self.target.pjrt_compatibility)
        for finding, assumption in checked:
            if finding is not None:
                self._add([finding])
            if assumption is not None:
                self.result.assume(assumption)

    def _loaders(self, image: Image) -> Iterator[str]:
        """Statements that load an image, through whatever others."""
        for root in self._roots:
            if image.path in self._alone(root).loaded:
                yield str(root)

    def _conclude(self, packages_found: int) -> None:
        self._add(self._failures.dependencies.values())
        for (path, provider), ways in self._failures.symbols.items():
            where = f"not exported by {provider}" if provider else "not exported by any image that is loaded then"
            first = min(ways.values(), key=len)
            self._add(
                [
                    Finding(
                        "missing-symbol",
                        path,
                        f"{len(ways)} symbol(s) that it binds are {where}.",
                        chain=tuple(first),
                        symbols=tuple(sorted(ways)),
                    )
                ]
            )
        counts = self.result.counts
        counts.packages += packages_found
        counts.files += len(self.tree.files)
        counts.images += len(self.tree.images)
        for image in self.tree.images.values():
            counts.dependencies += len(image.dependencies)
            counts.system_dependencies += sum(self.system.is_system(one.name) for one in image.dependencies)
        counts.flat_symbols = len(self.symbols.assumed)
        if self.symbols.assumed:
            images = sorted({one[0] for one in self.symbols.assumed})
            more = f" and {len(images) - SHOWN} more" if len(images) > SHOWN else ""
            self.result.assume(
                f"macOS has the symbols that these look up in all images and that none of the environment exports: "
                f"{', '.join(images[:SHOWN])}{more}."
            )
        for path in sorted(self.system.assumed):
            self.result.assume(f"macOS has {path}.")
        self.result.assume("All symbols that are bound to macOS's libraries and to Python are there.")
