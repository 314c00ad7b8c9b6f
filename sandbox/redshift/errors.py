"""Makes the errors that a client of the Redshift simulator gets."""

from __future__ import annotations

from sandbox.errors import RedshiftError

FEATURE_NOT_SUPPORTED = "0A000"
SYNTAX_ERROR = "42601"
INTERNAL_ERROR = "XX000"
STRING_TOO_LONG = "22001"


def not_supported(message: str) -> RedshiftError:
    """An error for what Redshift itself refuses."""
    return RedshiftError(message, FEATURE_NOT_SUPPORTED)


def not_simulated(what: str) -> RedshiftError:
    """An error for what Redshift supports and the simulator does not."""
    return RedshiftError(
        f"{what} is not supported by the sandbox's Redshift simulator",
        FEATURE_NOT_SUPPORTED,
        "It supports only what Mayfly's templates and tests use; Amazon Redshift itself may accept this.",
    )


def syntax_error(near: str) -> RedshiftError:
    """A syntax error in Redshift's words."""
    return RedshiftError(f'syntax error at or near "{near}"', SYNTAX_ERROR)


def load_error(message: str, *, code: int, context: str, query: int) -> RedshiftError:
    """An error of COPY, with the block of details that Redshift adds."""
    line = "-" * 47
    detail = (
        f"\n  {line}\n  error:  {message}\n  code:      {code}\n  context:   {context}\n"
        f"  query:     {query}\n  location:  simulator\n  process:   padbmaster [pid=1]\n  {line}\n"
    )
    return RedshiftError(message, INTERNAL_ERROR, detail)
