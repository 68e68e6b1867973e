"""The command line: one subcommand a rule of the workflow; parses and prints, no logic."""
