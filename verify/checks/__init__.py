"""The checks, as pytest-testinfra tests: one test per check and host."""
