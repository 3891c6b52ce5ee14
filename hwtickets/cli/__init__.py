"""The command line: one small file a verb; it parses, calls `hwtickets.api` and prints."""
