"""What can be asked for: options, their validation, and the matrix of cells."""
