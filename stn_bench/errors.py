"""The base of all errors whose message is meant for the person who typed the command."""


class UserError(Exception):
    """Its message says what was wrong, what was found and what to do; commands print it without a traceback."""
