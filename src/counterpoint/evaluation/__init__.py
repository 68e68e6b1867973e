"""How good a system is: per-query results, metrics, intervals, baselines."""
