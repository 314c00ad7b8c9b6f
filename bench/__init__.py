"""Measures speed and memory: `python -m bench`. These are not tests, since the figures depend on the machine."""
