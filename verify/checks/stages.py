"""The one table of what is checked: each probe's stages in their order, and the checks that rest on them."""

from collections.abc import Iterable

from ..profile.model import ARRAYS, BASE, LANGUAGE_MODEL
from ..results.model import INTERNAL
from ..target.remote import COREML, ENVIRONMENT, FRAMEWORK, INTERPRETER, LOOK, SYSTEM
from . import chips, coreml, machine, state, system
from .environment import EnvironmentJudge
from .framework import FrameworkJudge
from .plan import LEVELS, MEASURED, RUNNING, SOAK, Plan
from .reach import InterpreterJudge, ReachJudge
from .walk import Check, Stage

_ALL = tuple(LEVELS)
_REACHABLE = Check("environment.reachable", "The machine answers")
_RECORD = Check("environment.record", "There is an environment")

TABLE = (
    Stage(LOOK, LOOK, (_REACHABLE,), ReachJudge.look, _ALL),
    Stage(
        LOOK,
        "record",
        (_RECORD,),
        ReachJudge.record,
        _ALL,
        recorded=False,
    ),
    Stage(
        INTERPRETER,
        INTERPRETER,
        (_REACHABLE, _RECORD),
        InterpreterJudge.found,
        _ALL,
    ),
    Stage(
        SYSTEM,
        SYSTEM,
        (
            Check("system.homebrew", "Homebrew runs"),
            Check("system.formulae", "Homebrew's formulae are installed"),
            Check("system.casks", "Homebrew's applications are installed"),
            Check("system.conda", "conda runs"),
        ),
        system.judge,
        _ALL,
    ),
    Stage(
        ENVIRONMENT,
        "python",
        (Check("environment.python", "The Python is the right one", goes_on=True),),
        EnvironmentJudge.python,
        _ALL,
    ),
    Stage(
        ENVIRONMENT,
        "machine",
        (Check("environment.platform", "The platform is a known one", goes_on=True),),
        EnvironmentJudge.machine,
        _ALL,
    ),
    Stage(
        ENVIRONMENT,
        "packages",
        (Check("packages.{set}", "Packages are as locked", goes_on=True),),
        EnvironmentJudge.packages,
        _ALL,
    ),
    Stage(
        ENVIRONMENT,
        "variables",
        (Check("environment.variables", "The stored variables are the profile's", goes_on=True),),
        EnvironmentJudge.variables,
        _ALL,
    ),
    Stage(
        ENVIRONMENT,
        "shell",
        (
            Check("shell.homebrew", "A new terminal finds Homebrew", goes_on=True),
            Check("shell.conda", "A new terminal knows conda", goes_on=True),
            Check("shell.login", "A new terminal is in the environment", goes_on=True),
        ),
        EnvironmentJudge.shell,
        _ALL,
    ),
    Stage(
        ENVIRONMENT,
        "state",
        (
            Check(chips.CHECK, "The chip is known"),
            Check(state.CHECK, "The machine is calm"),
        ),
        machine.judge,
        RUNNING,
    ),
    Stage(
        FRAMEWORK,
        "import",
        (
            Check("{framework}.import", "It can be imported"),
            Check("{framework}.version", "It has its locked version", goes_on=True),
        ),
        FrameworkJudge.imported,
        RUNNING,
    ),
    Stage(FRAMEWORK, "device", (Check("{framework}.device", "It sees its device"),), FrameworkJudge.devices, RUNNING),
    Stage(
        FRAMEWORK,
        "execute",
        (
            Check("{framework}.value", "A small exact computation is right"),
            Check("{framework}.placement", "It computes on its device"),
        ),
        FrameworkJudge.execute,
        RUNNING,
        kinds=(ARRAYS,),
    ),
    # What the exact computation is too small for: mlx #3585, #3797.
    Stage(
        FRAMEWORK,
        "large",
        (Check("{framework}.large", "A large product in half precision is right"),),
        FrameworkJudge.large,
        RUNNING,
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "generate",
        (
            Check("{framework}.generate", "A small model is loaded and generates what it must"),
            Check("{framework}.placement", "It computes on its device"),
        ),
        FrameworkJudge.generate,
        RUNNING,
        kinds=(LANGUAGE_MODEL,),
    ),
    # Before the timed products: they would only say that a product is wrong, the cases say from which size on.
    Stage(
        FRAMEWORK,
        "numbers",
        (Check("{framework}.numbers", "Operations known to go wrong are right"),),
        FrameworkJudge.numbers,
        MEASURED,
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "matmul",
        (
            Check("{framework}.matmul.value", "Timed products are right"),
            Check("{framework}.matmul.speed", "Speed of products", goes_on=True),
        ),
        FrameworkJudge.matmul,
        MEASURED,
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "bandwidth",
        (Check("{framework}.bandwidth", "Memory bandwidth", goes_on=True),),
        FrameworkJudge.bandwidth,
        MEASURED,
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "course",
        (Check("{framework}.course", "The course's one-second test"),),
        FrameworkJudge.course,
        MEASURED,
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "training",
        (
            Check("{framework}.training", "A short training learns"),
            Check("{framework}.training.cpu", "It learns as on the CPU"),
        ),
        FrameworkJudge.training,
        MEASURED,
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "memory",
        (Check("{framework}.memory", "Memory is given back"),),
        FrameworkJudge.memory,
        MEASURED,
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "libraries",
        (Check("{framework}.openmp", "There is one OpenMP runtime"),),
        FrameworkJudge.libraries,
        MEASURED,
    ),
    Stage(
        FRAMEWORK,
        "sustained",
        (Check("{framework}.sustained", "Sustained speed"),),
        FrameworkJudge.sustained,
        (SOAK,),
        kinds=(ARRAYS,),
    ),
    Stage(
        FRAMEWORK,
        "exit",
        (Check("{framework}.exit", "It ends by itself"),),
        FrameworkJudge.exit,
        RUNNING,
        recorded=False,
    ),
    Stage(COREML, "plan", (Check(coreml.CHECK, "Core ML's plan for a convolution"),), coreml.judge, MEASURED),
)
"""In the order in which the checks are made and told."""


def of(probe: str, level: str, kind: str = ARRAYS) -> list[Stage]:
    """The stages of a probe that are asked for at a level.

    Args:
        probe: the probe.
        level: the run's.
        kind: of framework, where the probe is a framework's.
    """
    return [stage for stage in TABLE if stage.probe == probe and level in stage.levels and kind in stage.kinds]


def check_names(plan: Plan) -> list[str]:
    """The names of all checks of a run, in their order."""
    sets = [BASE, *plan.candidates]
    first = INTERPRETER if plan.environment else LOOK
    before = [name for probe in (first, SYSTEM, ENVIRONMENT) for name in names(of(probe, plan.level), set=sets)]
    each = [name for one in plan.candidates for name in framework_names(plan, one)]
    return [*before, *each, *names(of(COREML, plan.level)), INTERNAL]


def framework_names(plan: Plan, framework: str) -> list[str]:
    """The names of a framework's checks."""
    return names(of(FRAMEWORK, plan.level, plan.profile.frameworks[framework].kind), framework=[framework])


def names(stages: Iterable[Stage], **values: list[str]) -> list[str]:
    """The full names of the stages' checks; `values` as for Stage.names."""
    return [name for stage in stages for name, _ in stage.names(**values)]
