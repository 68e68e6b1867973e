"""How a cell learns: negatives, batches, steps, controls and checkpoints."""
