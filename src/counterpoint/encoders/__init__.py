"""How a text becomes a vector: tokens, frozen features and live transformers."""
