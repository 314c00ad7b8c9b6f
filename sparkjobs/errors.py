"""The one exception by which a job refuses its input."""

from __future__ import annotations


class BadInput(Exception):
    """A file that a job cannot read right: the message names it, what is wrong with it and what to do.

    Livy passes on an exception's class by name alone, and Mayfly takes this one for a fault of the input: only a
    change of the input helps. Any other exception is a fault of the code or of the cluster.
    """
