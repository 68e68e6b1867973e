"""Published corpora of other formats, rewritten as a file of pairs (docs/convert.md)."""
