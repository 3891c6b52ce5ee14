"""One training loop with five hooks, and what it needs."""
