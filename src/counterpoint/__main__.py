"""`python -m counterpoint`: the console command, where its script is not on the PATH."""

from counterpoint.cli.main import run

run()
