"""Who competes with whom: candidate sets, protocols and training pairs."""
