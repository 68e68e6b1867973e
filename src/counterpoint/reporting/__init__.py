"""What came out: scores, comparisons, tables, plots and the page."""
