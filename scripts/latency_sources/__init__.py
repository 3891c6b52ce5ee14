"""Where the latency tables that ship come from: one module a kind of source, for make_latency_tables.py."""
