"""The report: one self-contained page for people, made from the results' JSON files."""
