"""Every figure that the README quotes, repeatable by one command each."""
