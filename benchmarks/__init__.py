"""Every figure that the README and docs quote, repeatable by one command each."""
