"""Speed and memory, measured and told: `python -m bench`. Never a test: a figure hangs on the machine."""
