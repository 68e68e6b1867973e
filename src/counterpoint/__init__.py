"""Counterpoint: find the best counterargument, and find out which way of training for it works.

The packages form a one-way street (`docs/architecture.md`); importing this one imports none of
them, so that `counterpoint --help` and the Snakefile start at once.
"""

