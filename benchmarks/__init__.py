"""The commands behind the figures of the README; `python -m benchmarks.NAME --help` says what each shows."""

import os

# Read by OpenMP when torch is imported: threads that wait must not take the processor from what is timed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Read by numpy: its matrices are small here, and on shared cores its threads wait for one another (measured:
# a first draw of 0.4 s took 20 s).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
