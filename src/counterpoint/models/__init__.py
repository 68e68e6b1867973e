"""What is learnt, and from which loss: projections, fusion, head, weights."""
