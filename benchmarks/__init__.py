"""The commands behind the figures of the README; `python -m benchmarks.NAME --help` says what each shows."""

import os

# Read by OpenMP when torch is imported: threads that wait must not take the processor from what is timed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
