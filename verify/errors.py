"""The errors that a user can mend."""


class UserError(Exception):
    """Something the user can mend: the message says what was found, what is needed and what to do.

    Commands show it without a traceback and end with exit code 2 (could not run).
    """
