"""What judges: each module turns what a machine told into answers of checks."""
