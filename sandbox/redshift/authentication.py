"""Authentication by the temporary passwords of GetClusterCredentials.

The proxy asks for an MD5 digest, as Redshift does. The admin's password of `CreateCluster` does not work here:
Mayfly generates it at random and never uses it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

_PREFIXES = ("IAM:", "IAMA:")


def database_user(user: str) -> str | None:
    """The database user of a temporary user (`IAM:name`), or None for any other user."""
    for prefix in _PREFIXES:
        if user.startswith(prefix):
            return user.removeprefix(prefix)
    return None


def matches(digest: bytes, passwords: Iterable[str], user: str, salt: bytes) -> bool:
    """Whether the client's digest is that of one of the passwords."""
    return any(hmac.compare_digest(digest, _digest(password, user, salt)) for password in passwords)


def _digest(password: str, user: str, salt: bytes) -> bytes:
    """The MD5 digest of PostgreSQL's protocol (PostgreSQL documentation, "Message Flow", AuthenticationMD5Password)."""
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode()
