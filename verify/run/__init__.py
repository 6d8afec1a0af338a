"""A run over machines: settings, the pytest plugin, and the command."""
