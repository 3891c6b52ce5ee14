"""Whole networks on real boards: predicted from other networks, against what was measured there."""
