"""What a cell leaves: its epoch log, outcome, seconds and provenance, each with one reader."""
