"""How is it asked over the network? A server that answers questions from an index."""
