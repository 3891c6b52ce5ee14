"""The commands behind the figures of the README: `python -m benchmarks.NAME --help` says what each one shows."""
