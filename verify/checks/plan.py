"""What a run asks of each machine: the level, the frameworks, the time."""

from dataclasses import dataclass

from ..profile.model import Profile

SETUP, QUICK, FULL, SOAK = "setup", "quick", "full", "soak"
LEVELS = {
    SETUP: "what is installed and set, no framework runs",
    QUICK: "devices and exact values as well",
    FULL: "speed, numbers against float64 and a short training as well",
    SOAK: "and work without a pause",
}
"""Each level, and what it looks at beside what the one before it does."""
MEASURED = (FULL, SOAK)
RUNNING = (QUICK, *MEASURED)
"""The levels at which frameworks run."""
BUDGET_S = {SETUP: 60.0, QUICK: 120.0, FULL: 300.0, SOAK: 300.0}
"""Time for one machine by level, in seconds; soak takes --soak-seconds for each framework beside it. Measurements are
cut to fit (MEASURE_S), and a probe is ended when the machine's time is over, but not before LEAST_S."""
MEASURE_S = {"matmul_s": 20.0, "bandwidth_s": 2.0, "course_s": 10.0}
"""Seconds for each measurement of a framework at levels full and soak, about; less where a machine's time is short."""
OTHERWISE_S = 25.0
"""What a framework's import, its cases and its training may take beside that on a small Mac (docs/measured.md)."""
LEAST_SHARE = 0.25
"""Of the time for measurements, which is left to a framework however late it is."""
LEAST_S = 60.0
SOAK_WINDOWS = 24
SEED = 20241
NO_PROFILE = "no profile"
"""Why something is not said of an environment that is looked at by its path alone; a sentence begins with it."""


@dataclass(frozen=True)
class Plan:
    """What is asked.

    Attributes:
        profile: what the machines must be.
        level: one of LEVELS.
        frameworks: those asked for by name, or None for those in each machine's record.
        timeout_s: limit for one probe, None for what is left of the level's time.
        soak_s: how long each framework computes without a pause at level soak.
        environment: path of the environment to look at without a profile, "" for the profile's; `profile` then has all
            frameworks that any profile knows.
    """

    profile: Profile
    level: str
    frameworks: tuple[str, ...] | None
    timeout_s: float | None
    soak_s: float
    environment: str = ""

    @property
    def candidates(self) -> tuple[str, ...]:
        """The frameworks to make checks for."""
        return self.frameworks or tuple(self.profile.frameworks)

    def measure_s(self, elapsed_s: float, waiting: int) -> dict[str, float]:
        """Seconds for each measurement of the next framework: MEASURE_S, or less, so that all have their share.

        Args:
            elapsed_s: what the machine has taken so far.
            waiting: frameworks that have not been asked, this one among them.
        """
        wanted = sum(MEASURE_S.values())
        left = (BUDGET_S[self.level] - elapsed_s) / waiting - OTHERWISE_S
        if self.level == SOAK:
            left += self.soak_s * (len(self.candidates) - waiting) / waiting
        share = min(1.0, max(LEAST_SHARE, left / wanted))
        return {name: round(seconds * share, 1) for name, seconds in MEASURE_S.items()}

    def limit_s(self, elapsed_s: float) -> float:
        """Seconds for the next probe: those that were asked for, or what is left of the machine's time.

        Args:
            elapsed_s: what the machine has taken so far.
        """
        if self.timeout_s is not None:
            return self.timeout_s
        soaking = self.level == SOAK
        budget = BUDGET_S[self.level] + (self.soak_s * len(self.candidates) if soaking else 0.0)
        return max(LEAST_S + (self.soak_s if soaking else 0.0), budget - elapsed_s)
