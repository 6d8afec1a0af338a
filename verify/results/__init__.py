"""Results: what a run found, as data, in files, and held against earlier ones."""
