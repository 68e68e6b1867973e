"""Facts of how the original study trained, as far as anything is decided by them."""

MARGIN = 1.0
"""Of its triplet loss."""
