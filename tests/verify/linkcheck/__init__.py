"""Tests of verify.linkcheck; a package, so that its conftest does not clash with others."""
