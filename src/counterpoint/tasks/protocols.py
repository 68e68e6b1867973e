"""The protocols: which queries are asked, and what they compete with."""

PROTOCOLS = ("official", "clean")

LEGACY = "legacy"
"""The seeds' protocol, whose evaluation leaks the answer; it has no tasks and ranks nothing."""
