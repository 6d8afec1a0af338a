"""Runs on the controller, as the action plugin of this name; documented beside this file, in locked_packages.yml."""
