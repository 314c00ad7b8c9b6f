"""S3: objects as files that survive, copies as links, conditional writes that are atomic.

    s3/<bucket>/<key>@<8 hex digits>   one object's bytes, never changed; the ending keeps versions apart,
                                       and an object `a` from the folder of an object `a/b`
    s3/journal.jsonl                   what was made and dropped, in order; replayed at start
    s3/.parts/                         parts of unfinished multipart uploads; emptied at start

moto keeps its keys in memory; here a key's value is a file. What is not kept over a start: object tags,
delete markers and a bucket's configuration.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import shutil
import threading
import time
import urllib.parse
import uuid
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

import moto.s3.models as moto_s3
from moto.core.exceptions import ServiceException
from moto.s3.exceptions import MissingKey, PreconditionFailed
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends
from moto.s3.responses import S3Response

from sandbox.aws.context import ACCOUNT, PARTITION

logger = logging.getLogger(__name__)

_STRIPES = 256
_LONGEST_NAME = 200
# A reader that has looked a key up may still open its file for so long after the key was replaced.
_GRACE_S = 60.0


class ObjectStore:
    """The files behind moto's keys, and the journal that brings them back."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parts = root / ".parts"
        shutil.rmtree(self._parts, ignore_errors=True)
        self._parts.mkdir(parents=True)
        self._lock = threading.Lock()
        self._leaving: deque[tuple[float, Path]] = deque()
        self._journal_file = root / "journal.jsonl"
        self._journal: Any = None

    def new_file(self, bucket: str | None, key: str) -> Path:
        """A path that no object has; its folder exists."""
        if bucket is None:
            return self._parts / uuid.uuid4().hex
        *folders, name = [_file_name(segment) for segment in str(key).split("/")]
        path = self._root.joinpath(bucket, *folders, f"{name}@{uuid.uuid4().hex[:8]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def record(self, entry: dict[str, Any]) -> None:
        """Append to the journal."""
        with self._lock:
            if self._journal:
                self._journal.write(json.dumps(entry) + "\n")
                self._journal.flush()

    def relative(self, path: Path) -> str:
        return str(path.relative_to(self._root))

    def release(self, path: Path) -> None:
        """Remove a file once nobody can be about to open it."""
        now = time.monotonic()
        with self._lock:
            self._leaving.append((now, path))
            while self._leaving and self._leaving[0][0] < now - _GRACE_S:
                self._leaving.popleft()[1].unlink(missing_ok=True)

    def close(self) -> None:
        """Remove what was waiting for its readers; write no more."""
        with self._lock:
            for _, path in self._leaving:
                path.unlink(missing_ok=True)
            self._leaving.clear()
            if self._journal:
                self._journal.close()
                self._journal = None

    def reload(self) -> None:
        """Give moto the buckets and objects of the journal, then write it anew without what is gone."""
        buckets, objects = self._replay()
        backend = s3_backends[ACCOUNT][PARTITION]
        for name, region in buckets.items():
            backend.buckets[name] = FakeBucket(name=name, account_id=ACCOUNT, region_name=region)
        entries: list[dict[str, Any]] = [
            {"bucket": name, "region": region} for name, region in buckets.items()
        ]
        for entry in objects.values():
            if entry["in"] in buckets and (self._root / entry["file"]).is_file():
                key = FileKey.reopened(self._root / entry["file"], entry)
                backend.buckets[entry["in"]].keys[key.name] = key
                entries.append(entry)
        self._sweep({entry["file"] for entry in entries if "file" in entry})
        fresh = self._journal_file.with_suffix(".new")
        fresh.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
        fresh.replace(self._journal_file)
        self._journal = self._journal_file.open("a")

    def _replay(self) -> tuple[dict[str, str], dict[tuple[str, ...], dict[str, Any]]]:
        """Buckets with their region, and the last entry of each object (of each version, where it has some)."""
        buckets: dict[str, str] = {}
        objects: dict[tuple[str, ...], dict[str, Any]] = {}
        places: dict[str, tuple[str, ...]] = {}
        lines = self._journal_file.read_text().splitlines() if self._journal_file.exists() else []
        for line in lines:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                logger.warning("the S3 journal's last line was cut off; that object is lost")
                continue
            if "bucket" in entry:
                buckets[entry["bucket"]] = entry["region"]
            elif "gone_bucket" in entry:
                buckets.pop(entry["gone_bucket"], None)
            elif "dropped" in entry:
                place = places.pop(entry["dropped"], ())
                if objects.get(place, {}).get("file") == entry["dropped"]:
                    del objects[place]
            else:
                place = (entry["in"], entry["key"], entry["version"])
                places[entry["file"]] = place
                objects[place] = entry
        return buckets, objects

    def _sweep(self, wanted: set[str]) -> None:
        """Remove files that the journal does not know: their writer was killed."""
        for path in self._root.rglob("*@*"):
            if path.is_file() and self.relative(path) not in wanted:
                path.unlink()


def _file_name(segment: str) -> str:
    name = urllib.parse.quote(segment, safe=" =+,;()[]{}!$&'~^")
    if name in ("", ".", ".."):
        name = f"%{name}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:100]}%{hashlib.sha256(segment.encode()).hexdigest()[:32]}"
    return name


class Linked:
    """Another key's file, given as the value of a new key: it becomes a link, not a copy."""

    def __init__(self, source: FileKey) -> None:
        self.source = source


class _Wants(threading.local):
    """Whether this thread answers a ranged GET."""

    range = False


_wants = _Wants()


class FileKey(FakeKey):
    """moto's key with its value in a file that is written once."""

    store: ObjectStore

    def __init__(self, name: str, value: bytes | Linked, **options: Any) -> None:
        self._path: Path | None = None
        self._bucket_of_file: str | None = options.get("bucket_name")
        self._key_of_file = name
        super().__init__(name, value, **options)

    @classmethod
    def reopened(cls, path: Path, entry: dict[str, Any]) -> FileKey:
        """The key of a file that an earlier process wrote."""
        key = cls.__new__(cls)
        key._path = path
        key._bucket_of_file = None
        key._key_of_file = entry["key"]
        FakeKey.__init__(
            key,
            entry["key"],
            None,  # type: ignore[arg-type]
            account_id=ACCOUNT,
            region_name=entry["region"],
            bucket_name=entry["in"],
            etag=entry["etag"],
            version_id=entry["version"],
            is_versioned=entry["version"] != "null",
        )
        key.last_modified = datetime.fromisoformat(entry["modified"])
        key.checksum_algorithm, key.checksum_value = entry.get("checksum") or (None, None)
        FakeKey.set_metadata(key, dict(entry["metadata"]))
        return key

    @property
    def value(self) -> bytes | mmap.mmap:
        """The bytes; for a ranged GET a map of the file, of which moto cuts its range."""
        assert self._path is not None
        if _wants.range and self.contentsize:
            with self._path.open("rb") as file:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._path.read_bytes()

    @value.setter
    def value(self, new_value: bytes | Linked | None) -> None:
        if new_value is None:
            assert self._path is not None
            self.contentsize = self._path.stat().st_size
            return
        path = self.store.new_file(self._bucket_of_file, self._key_of_file)
        if isinstance(new_value, Linked):
            source = new_value.source
            os.link(source._path, path)
            self.contentsize = source.contentsize
            # A copy is one part, so the ETag of a multipart source does not fit it.
            self._etag = source.etag.strip('"') if "-" not in source.etag else _md5(path)
        else:
            path.write_bytes(new_value)
            self.contentsize = len(new_value)
            self._etag = self._etag or hashlib.md5(new_value).hexdigest()
        self._path = path
        # Before moto drops the key that this one replaces: a kill in between must not lose both.
        self._record()

    @property
    def etag(self) -> str:
        return f'"{self._etag}"'

    def set_metadata(self, metadata: Any, replace: bool = False) -> None:
        """Called at the end of each write: the journal's entry is written again, now with the metadata."""
        super().set_metadata(metadata, replace)
        self._record()

    def _record(self) -> None:
        if self._path is None or self.bucket_name is None:
            return
        self.store.record(
            {
                "in": self.bucket_name,
                "key": self.name,
                "file": self.store.relative(self._path),
                "etag": self._etag,
                "region": self.region_name,
                "version": self.version_id,
                "modified": self.last_modified.isoformat(),
                "metadata": dict(self._metadata),
                "checksum": self._known_checksum(),
            }
        )

    def _known_checksum(self) -> list[str | None] | None:
        value = getattr(self, "checksum_value", None)
        return [self.checksum_algorithm, value] if value else None

    def dispose(self, garbage: bool = False) -> None:
        """The key was replaced or deleted (`garbage`: only this process is done with it)."""
        if garbage or self.disposed or self._path is None:
            return
        self.disposed = True
        if self.bucket_name is not None:
            self.store.record({"dropped": self.store.relative(self._path)})
        self.store.release(self._path)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def install(root: Path) -> ObjectStore:
    """Patch moto's S3, and give it back what earlier starts stored."""
    store = ObjectStore(root)
    FileKey.store = store
    moto_s3.FakeKey = FileKey
    _install_buckets(store)
    _install_copy()
    _install_ranges()
    _install_conditions()
    store.reload()
    return store


def _install_buckets(store: ObjectStore) -> None:
    moto_create, moto_delete = S3Backend.create_bucket, S3Backend.delete_bucket

    def create_bucket(
        self: S3Backend, bucket_name: str, region_name: str, *rest: Any, **more: Any
    ) -> FakeBucket:
        bucket = moto_create(self, bucket_name, region_name, *rest, **more)
        store.record({"bucket": bucket_name, "region": region_name})
        return bucket

    def delete_bucket(self: S3Backend, bucket_name: str) -> FakeBucket | None:
        bucket = moto_delete(self, bucket_name)
        if bucket:
            store.record({"gone_bucket": bucket_name})
        return bucket

    S3Backend.create_bucket, S3Backend.delete_bucket = create_bucket, delete_bucket


class _Source:
    """A key to copy from: itself, but for its value, which is a link."""

    def __init__(self, key: FileKey) -> None:
        self._key = key
        self.value = Linked(key)
        self.multipart = None  # a copy has no parts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)


def _install_copy() -> None:
    moto_copy = S3Backend.copy_object

    def copy_object(self: S3Backend, src_key: FileKey, *rest: Any, **more: Any) -> None:
        moto_copy(self, _Source(src_key), *rest, **more)

    S3Backend.copy_object = copy_object


def _install_ranges() -> None:
    """A range of a large object is read from its file alone; moto would read the whole object for it."""
    moto_get, moto_cut = S3Response.get_object, S3Response._handle_range_header

    def get_object(self: S3Response) -> Any:
        _wants.range = "range" in self.headers
        try:
            return moto_get(self)
        finally:
            _wants.range = False

    def handle_range_header(self: S3Response, request: Any, headers: dict[str, Any], content: Any) -> Any:
        status, headers, cut = moto_cut(self, request, headers, content)
        if isinstance(cut, mmap.mmap):  # not a range after all
            cut = cut[:]
        return status, headers, cut

    S3Response.get_object, S3Response._handle_range_header = get_object, handle_range_header


class _Unsupported(ServiceException):
    code = "NotImplemented"
    message = "A header you provided implies functionality that is not implemented"


def _install_conditions() -> None:
    """If-Match and If-None-Match on writes, one writer of a key at a time.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    stripes = [threading.RLock() for _ in range(_STRIPES)]

    def guarded(method: Any) -> Any:
        def call(self: S3Response, *rest: Any) -> Any:
            key = self.parse_key_name()
            with stripes[hash((self.bucket_name, key)) % _STRIPES]:
                _check_conditions(self, key)
                return method(self, *rest)

        return call

    for name in ("put_object", "copy_object", "delete_object", "_key_response_post"):
        setattr(S3Response, name, guarded(getattr(S3Response, name)))


def _check_conditions(response: S3Response, key: str) -> None:
    wanted, unwanted = response.headers.get("If-Match"), response.headers.get("If-None-Match")
    if not wanted and not unwanted:
        return
    current = response.backend.get_object(response.bucket_name, key)
    if unwanted:
        if unwanted != "*":
            raise _Unsupported
        if current is not None:
            raise PreconditionFailed("If-None-Match")
    if wanted:
        if current is None:
            raise MissingKey(key=key)
        if wanted != "*" and wanted.strip('"') != current.etag.strip('"'):
            raise PreconditionFailed("If-Match")
