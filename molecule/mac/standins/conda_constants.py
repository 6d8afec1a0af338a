"""Stand-in for conda 26.3.2's conda.base.constants: where conda looks for its configuration."""

SEARCH_PATH: tuple[str, ...] = ("$CONDA_ROOT/.condarc", "~/.config/conda/.condarc", "~/.conda/.condarc", "~/.condarc")
