"""How is a question answered? A trained cell at work: it encodes, searches, re-ranks, travels."""
