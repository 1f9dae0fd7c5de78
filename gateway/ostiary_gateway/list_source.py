"""Hash lists from a folder, read again when they change; a bad new version never replaces a good one."""

import fcntl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import structlog

from ostiary.wire.files import FileStamp, stamp
from ostiary_gateway.durable import replace_file
from ostiary_gateway.hashes.in_force import NO_LISTS, HashLists, ListInForce
from ostiary_gateway.hashes.problems import BadListError, Problem
from ostiary_gateway.hashes.reading import read_list

_log = structlog.get_logger(__name__)
# The second is refused for want of the first: a list left aside without a word would let its images pass.
_SUFFIXES = (".yaml", ".yml", ".csv")

Files = tuple[bytes, bytes]
"""What NAME.yaml and NAME.csv hold."""
_Signature = tuple[tuple[str, FileStamp], ...]


@dataclass(frozen=True)
class Loaded:
    """A list, and what its files looked like when it was read."""

    list: ListInForce
    signature: _Signature


def no_lists() -> HashLists:
    """What is in force where there is no folder."""
    return NO_LISTS


def read_folder(folder: Path, before: Mapping[str, Loaded]) -> tuple[dict[str, Loaded], list[BadListError]]:
    """All lists of a folder by name, in the order of their names, and why others could not be read.

    Args:
        folder: holds NAME.yaml and NAME.csv for each list; other files and hidden ones are left aside.
        before: lists read earlier, to be taken over where the files have not changed or have become bad.

    Raises:
        OSError: the folder cannot be read.
    """
    lists: dict[str, Loaded] = {}
    errors: list[BadListError] = []
    files = _files(folder)
    for name in sorted({path.stem for path in files}):
        signature = _sign([path for path in files if path.stem == name])
        earlier = before.get(name)
        if earlier is not None and earlier.signature == signature:
            lists[name] = earlier
            continue
        try:
            lists[name] = Loaded(read_files(folder, name), signature)
        except BadListError as error:
            errors.append(error)
            if earlier is not None:
                lists[name] = earlier
    return lists, errors


class FolderListSource:
    """The lists of a folder.

    `lists` looks at the folder when it was last looked at longer than `interval` seconds ago. Reading a
    million entries takes seconds and is done beside the event loop; until then the earlier lists hold.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        interval: float = 1.0,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Read the lists for the first time.

        Args:
            folder: as in `read_folder`.
            clock: monotonic seconds.
            interval: seconds between looks.
            start: has reading done; in a thread of its own unless given.

        Raises:
            ValueError: the folder is missing or a list in it is bad; the message says where.
        """
        self._folder = folder
        self._clock = clock
        self._interval = interval
        self._start = start or _in_a_thread
        self._looked_at = clock()
        self._reading = False
        self._lock = threading.Lock()  # over the files and what is read of them
        try:
            self._signature = _sign(_files(folder))
            self._loaded, errors = read_folder(folder, {})
        except OSError as error:
            raise ValueError(f"{folder}: {error.strerror}") from error
        if errors:
            raise ValueError(f"{folder}: {'; '.join(map(str, errors))}")
        self._lists = _in_force(self._loaded)

    def lists(self) -> HashLists:
        """The lists in force; never raises."""
        now = self._clock()
        if now - self._looked_at >= self._interval and not self._reading:
            self._looked_at = now
            self._look()
        return self._lists

    def put(self, new: ListInForce, header: bytes, entries: bytes) -> list[str]:
        """Write a list durably and put it in force; what kept it from that, in words. Blocking.

        Args:
            new: what was read of the two files.
            header: what NAME.yaml shall hold.
            entries: what NAME.csv shall hold.

        Raises:
            OSError: they cannot be written.
        """
        with self._lock:
            return self._write(new, header, entries)

    def amend(self, name: str, amended: Callable[[ListInForce | None], Files | None]) -> list[str]:
        """As `put`, of what `amended` makes of the list that stands in the folder; None: it stays. Blocking.

        Gateways that share the folder amend one after the other, so that none undoes what another did.

        Raises:
            OSError: the files cannot be read or written.
            BadListError: what stands there, or what is made of it, is no list.
        """
        with self._lock, (self._folder / ".amending").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            exists = (self._folder / f"{name}.yaml").exists()
            files = amended(read_files(self._folder, name) if exists else None)
            if files is None:
                return []
            return self._write(read_list(name, files[0], BytesIO(files[1])), *files)

    def _write(self, new: ListInForce, header: bytes, entries: bytes) -> list[str]:
        name = new.header.name
        # Entries first: they are read under the header that is there, until theirs is.
        replace_file(self._folder / f"{name}.csv", entries)
        replace_file(self._folder / f"{name}.yaml", header)
        self._signature = _sign(_files(self._folder))
        errors = self._take_up()
        held = self._lists.by_name.get(name)
        if held is not None and held.digest == new.digest:
            return []
        return [f"written, but not in force: {error}" for error in errors]

    def _look(self) -> None:
        try:
            signature = _sign(_files(self._folder))
        except OSError:
            signature = ()
        if signature != self._signature:
            self._signature = signature
            self._reading = True
            self._start(self._read)

    def _read(self) -> None:
        try:
            with self._lock:
                self._take_up()
        except Exception as error:  # whatever it is, what is in force stays so
            _log.error("kept the last good hash lists", folder=str(self._folder), error=str(error))
        finally:
            self._reading = False

    def _take_up(self) -> list[BadListError]:
        loaded, errors = read_folder(self._folder, self._loaded)
        for bad in errors:
            _log.error("kept the last good hash list", folder=str(self._folder), error=str(bad))
        self._loaded, self._lists = loaded, _in_force(loaded)
        titles = [one.list.header.title for one in loaded.values()]
        _log.info("read hash lists", folder=str(self._folder), lists=titles)
        return errors


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="hash-lists", daemon=True).start()


def _in_force(loaded: Mapping[str, Loaded]) -> HashLists:
    return HashLists({name: one.list for name, one in loaded.items()})


def read_files(folder: Path, name: str) -> ListInForce:
    """The list that NAME.yaml and NAME.csv of a folder make. Raises BadListError."""
    try:
        with (folder / f"{name}.csv").open("rb") as lines:
            return read_list(name, (folder / f"{name}.yaml").read_bytes(), lines)
    except OSError as error:
        file = Path(str(error.filename)).name
        raise BadListError(
            [Problem(file, 0, f"{error.strerror}: a list is both {name}.yaml and {name}.csv")]
        ) from error


def _files(folder: Path) -> list[Path]:
    """The folder's list files, by name. Raises OSError where it cannot be read."""
    visible = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in visible if path.suffix in _SUFFIXES)


def _sign(files: list[Path]) -> _Signature:
    return tuple((path.name, stamp(path)) for path in files)
