"""The one error that a person's input can cause, and the sign that a job may go on later."""


class InputError(Exception):
    """Something the user gave cannot be used.

    The message names the file and the value, says what was expected and what to do. The command
    line prints it without a traceback and exits with status 2; nothing else is caught there.
    """


class Interrupted(Exception):
    """A job was asked to stop. Its state is saved; the same command goes on from there.

    The command line exits with `STATUS`.
    """

    STATUS = 75
    """EX_TEMPFAIL of sysexits.h: try again. Snakemake retries it as it does any failure."""
