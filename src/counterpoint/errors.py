"""The one error that a person's input can cause."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message names the file and the value, says what was expected and what to do. The command
    line prints it without a traceback and exits with status 2; nothing else is caught there.
    """
