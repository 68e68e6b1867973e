"""How files are written, rows shown and random numbers drawn."""
