"""`s3://bucket/prefix` taken apart and put together. Asks S3 nothing; `s3` does."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_lib.errors import SettingsError

_SCHEME = "s3://"


@dataclass(frozen=True)
class S3Location:
    """A bucket and a prefix without slashes at its ends; `str()` is the URI, without a slash at its end."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, uri: str) -> S3Location:
        """The location that `uri` names. Raises SettingsError where it is none."""
        bucket, _, prefix = uri.removeprefix(_SCHEME).partition("/")
        if not uri.startswith(_SCHEME) or not bucket:
            raise SettingsError(f"{uri!r} is no S3 location; write s3://bucket/prefix")
        return cls(bucket, prefix.strip("/"))

    @property
    def folder_key(self) -> str:
        """What the keys of everything below this location start with."""
        return f"{self.prefix}/" if self.prefix else ""

    def key(self, *parts: str) -> str:
        """The key of `parts` below this location; a slash at the end of the last part is kept."""
        return "/".join(part for part in (self.prefix, *parts) if part)

    def uri(self, *parts: str) -> str:
        """The URI of `parts` below this location; a slash at the end of the last part is kept."""
        return uri_of(self.bucket, self.key(*parts))

    def below(self, *parts: str) -> S3Location:
        """The location of `parts` below this one."""
        return S3Location(self.bucket, self.key(*parts).strip("/"))

    def __str__(self) -> str:
        return self.uri()


def uri_of(bucket: str, key: str) -> str:
    """The URI of a whole key of a bucket."""
    return f"{_SCHEME}{bucket}/{key}" if key else f"{_SCHEME}{bucket}"
