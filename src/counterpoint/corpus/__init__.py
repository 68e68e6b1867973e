"""What was argued: corpora of every layout, read into one table of arguments."""
