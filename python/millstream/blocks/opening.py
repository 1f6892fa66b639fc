"""The log that fits a storage."""

from __future__ import annotations

from millstream.blocks.log import Log
from millstream.blocks.object_log import ObjectLog
from millstream.blocks.segment_log import SegmentLog
from millstream.environment.environment import Environment
from millstream.environment.lease import Lease, Owner
from millstream.environment.lock import Lock
from millstream.environment.object_storage import ObjectStorage
from millstream.environment.storage import Storage
from millstream.errors import InternalError

_NOBODY = Owner(0, bytes(16))


def open_log(
    storage: Storage,
    folder: str,
    lock: Lock | None = None,
    *,
    read_only: bool = False,
    segment_bytes: int | None = None,
    environment: Environment | None = None,
) -> Log:
    """Open a log in a folder of a storage: in segments on a disk, in objects on an object store.

    Args:
        storage: where.
        folder: the folder of this log alone.
        lock: what `storage.lock` gave; not needed to read only.
        read_only: change nothing, as for a look at the checkpoint of a program that runs.
        segment_bytes: when a segment on a disk is full; None: as the storage has it.
        environment: with it, what was released is removed beside the caller.

    Raises:
        FencedError: on an object store: another driver has taken over since the lock was taken.
        CorruptSegmentError: the log is damaged.
        IncompatibleCheckpointError: a newer release has written it.
        StorageUnavailableError: it cannot be read or claimed.

    Example:
        >>> import tempfile
        >>> from millstream.environment.opening import storage_of
        >>> for place in (tempfile.mkdtemp(), "memory://open-log"):
        ...     storage = storage_of(place)
        ...     lock = storage.lock("example")
        ...     log = open_log(storage, "journal", lock)
        ...     print(log.append([(1, b"planned")]), [record.data for record in log.read()])
        ...     log.close()
        ...     lock.release()
        0 [b'planned']
        0 [b'planned']
    """
    if not read_only and lock is None:
        raise InternalError(f"The log {folder} is opened to be written without a lock on {storage.place}.")
    background = environment.run_aside if environment is not None else None
    if not isinstance(storage, ObjectStorage):
        size_bytes = storage.segment_bytes if segment_bytes is None else segment_bytes
        return SegmentLog(storage, folder, segment_bytes=size_bytes, read_only=read_only, background=background)
    owner = _NOBODY
    if not read_only:
        if not isinstance(lock, Lease):
            raise InternalError(f"A log on an object store needs a lease, not a {type(lock).__name__}.")
        lock.check()
        owner = lock.owner
    return ObjectLog(storage, folder, owner, read_only=read_only, background=background)
