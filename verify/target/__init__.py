"""Reaching a machine: what is asked of it, and the one place through which its answers come in."""
