"""The error a client of the stand-in gets."""

from __future__ import annotations

from sandbox.errors import RedshiftError

FEATURE_NOT_SUPPORTED = "0A000"
SYNTAX_ERROR = "42601"
INTERNAL_ERROR = "XX000"
STRING_TOO_LONG = "22001"


def not_supported(message: str) -> RedshiftError:
    """What Redshift itself refuses."""
    return RedshiftError(message, FEATURE_NOT_SUPPORTED)


def not_simulated(what: str) -> RedshiftError:
    """What Redshift can do and the stand-in cannot."""
    return RedshiftError(
        f"{what} is not part of this Redshift stand-in",
        FEATURE_NOT_SUPPORTED,
        "Only what Mayfly's templates and tests use is spoken here; Amazon Redshift itself may accept it.",
    )


def syntax_error(near: str) -> RedshiftError:
    """Redshift's own wording."""
    return RedshiftError(f'syntax error at or near "{near}"', SYNTAX_ERROR)


def load_error(message: str, *, code: int, context: str, query: int) -> RedshiftError:
    """An error of the COPY machinery, with the block of detail that Redshift adds."""
    line = "-" * 47
    detail = (
        f"\n  {line}\n  error:  {message}\n  code:      {code}\n  context:   {context}\n"
        f"  query:     {query}\n  location:  stand-in\n  process:   padbmaster [pid=1]\n  {line}\n"
    )
    return RedshiftError(message, INTERNAL_ERROR, detail)
