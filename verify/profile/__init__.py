"""The profile: what a machine must be, and the locks that name every file of it."""
