"""Brand registries from a folder, read again when they change; a bad version never replaces a good one."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from ostiary.v1.config_pb2 import BrandRegistry
from ostiary.wire.files import FileStamp, stamp
from ostiary_gateway.brands.in_force import NO_BRANDS, Brands, Registry
from ostiary_gateway.brands.lint import Fault, overlaps
from ostiary_gateway.brands.png import MAX_BYTES
from ostiary_gateway.brands.problems import BadRegistryError
from ostiary_gateway.brands.reading import read_registry
from ostiary_gateway.brands.writing import registry_text
from ostiary_gateway.durable import replace_file
from ostiary_gateway.hashes.problems import Problem

_log = structlog.get_logger(__name__)
_SUFFIXES = (".yaml", ".yml", ".json")

_Signature = tuple[tuple[str, FileStamp], ...]


class BrandSource(Protocol):
    """Gives the registries that brands are judged by."""

    def brands(self) -> Brands:
        """Those in force now; never raises."""
        ...


class EditableBrandSource(BrandSource, Protocol):
    """One that administrators can change, or are told where to."""

    def put(self, message: BrandRegistry) -> list[str]:
        """Put a valid registry in force, durably; what kept it from that, in words. Blocking.

        Raises:
            OSError: it cannot be written.
            OstiaryError: it is to be changed elsewhere.
        """
        ...


def no_brands() -> Brands:
    """What is in force where there is no folder."""
    return NO_BRANDS


def read_folder(
    folder: Path, before: Mapping[str, Registry]
) -> tuple[dict[str, Registry], list[BadRegistryError]]:
    """All registries of a folder by name, and why others could not be read.

    A registry that cannot be read stays as it was before. Where two overlap, all stay as they were: which of
    the two is right cannot be known here.

    Args:
        folder: holds NAME.yaml or NAME.json for each registry, and the images that they name; hidden files
            are left aside.
        before: registries read earlier.

    Raises:
        OSError: the folder cannot be read.
    """
    registries: dict[str, Registry] = {}
    errors: list[BadRegistryError] = []
    for name, paths in _files(folder).items():
        try:
            registries[name] = _same(_read(paths), before.get(name))
        except BadRegistryError as error:
            errors.append(error)
            if name in before:
                registries[name] = before[name]
    if clashes := list(overlaps([one.message for one in registries.values()])):
        errors.append(BadRegistryError([_of_registry(folder, name, fault) for name, fault in clashes]))
        return dict(before), errors
    return registries, errors


@dataclass(frozen=True, slots=True)
class _State:
    """What is in force: `young` until a time, in which the gallery before is believed too, then `settled`."""

    registries: Mapping[str, Registry]
    settled: Brands
    young: Brands
    until: float


class Standing:
    """The registries in force. After a change of marks pods compare with the gallery before for a moment, and
    for `grace` seconds they are believed.
    """

    def __init__(self, registries: Iterable[Registry], clock: Callable[[], float], grace: float) -> None:
        """`clock` gives monotonic seconds."""
        self._clock = clock
        self._grace = grace
        named = {one.message.name: one for one in registries}
        brands = Brands.of(named.values())
        self._state = _State(named, brands, brands, 0.0)

    @property
    def registries(self) -> Mapping[str, Registry]:
        """Those in force, by name."""
        return self._state.registries

    def brands(self) -> Brands:
        """The same, ready to judge by."""
        state = self._state
        return state.young if self._clock() < state.until else state.settled

    def replace(self, registries: Mapping[str, Registry]) -> bool:
        """Puts others in force; False where they are the same."""
        before = self._state
        if not _differ(registries, before.registries):
            return False
        brands, now = Brands.of(registries.values()), self._clock()
        earlier = before.young if now < before.until else before.settled
        # Who may sell changes often, and pods need not hear of it: that must not prolong belief in old marks.
        until = before.until if brands.gallery == before.settled.gallery else now + self._grace
        self._state = _State(registries, brands, brands.believing(earlier.believed), until)
        return True


class FolderBrandSource:
    """The registries of a folder.

    `brands` has the folder looked at when that was last done longer than `interval` seconds ago, beside the
    event loop; until a change is read the earlier registries hold.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        interval: float = 1.0,
        grace: float = 60.0,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Read the registries for the first time.

        Args:
            folder: as in `read_folder`.
            clock: monotonic seconds.
            interval: seconds between looks.
            grace: as in Standing.
            start: has the folder looked at; in a thread of its own unless given.

        Raises:
            ValueError: the folder is missing or a registry in it is bad; the message says where.
        """
        self._folder = folder
        self._clock = clock
        self._interval = interval
        self._start = start or _in_a_thread
        self._looked_at = clock()
        self._looking = False
        self._lock = threading.Lock()  # over the files and what is read of them
        try:
            self._signature: _Signature | None = _sign(folder)
            registries, errors = read_folder(folder, {})
        except OSError as error:
            raise ValueError(f"{folder}: {error.strerror}") from error
        if errors:
            raise ValueError(f"{folder}: {'; '.join(map(str, errors))}")
        self._standing = Standing(registries.values(), clock, grace)

    def brands(self) -> Brands:
        """The registries in force; never raises."""
        now = self._clock()
        if now - self._looked_at >= self._interval and not self._looking:
            self._looked_at = now
            self._looking = True
            self._start(self._look)
        return self._standing.brands()

    def put(self, message: BrandRegistry) -> list[str]:
        """Write a valid registry durably and put it in force; what kept it from that, in words. Blocking.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            paths = _files(self._folder).get(message.name) or [self._folder / f"{message.name}.json"]
            replace_file(paths[0], registry_text(message).encode())
            self._signature = _sign(self._folder)
            errors = self._take_up()
        held = self._standing.registries.get(message.name)
        if held is not None and held.digest == Registry.of(message).digest:
            return []
        return [f"written, but not in force: {error}" for error in errors]

    def _look(self) -> None:
        try:
            with self._lock:
                signature = _sign(self._folder)
                if signature != self._signature:
                    self._signature = signature
                    self._take_up()
        except Exception as error:  # whatever it is, what is in force stays so
            if self._signature is not None:
                _log.error("kept the last good registries", folder=str(self._folder), error=str(error))
            self._signature = None
        finally:
            self._looking = False

    def _take_up(self) -> list[BadRegistryError]:
        registries, errors = read_folder(self._folder, self._standing.registries)
        for bad in errors:
            _log.error("kept the last good registry", folder=str(self._folder), error=str(bad))
        if self._standing.replace(registries):
            titles = [one.title for one in registries.values()]
            _log.info("read brand registries", folder=str(self._folder), registries=titles)
        return errors


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="brand-registries", daemon=True).start()


def _differ(one: Mapping[str, Registry], other: Mapping[str, Registry]) -> bool:
    return one.keys() != other.keys() or any(one[name] is not other[name] for name in one)


def _same(read: Registry, before: Registry | None) -> Registry:
    """What was there before, where it is the same: so that nothing changes for a touched file."""
    return before if before is not None and before.digest == read.digest else read


def _read(paths: list[Path]) -> Registry:
    if len(paths) > 1:
        names = " and ".join(each.name for each in paths)
        raise BadRegistryError([Problem(paths[0].name, 0, f"{names} are of one name; keep one of them")])
    return read_file(paths[0])


def read_file(path: Path) -> Registry:
    """The registry in one file, with the images beside it.

    Raises:
        BadRegistryError: says which line and field, and why.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 text ({error.reason} at byte {error.start})"
        raise BadRegistryError([Problem(path.name, 0, reason)]) from error
    except OSError as error:
        raise BadRegistryError([Problem(path.name, 0, str(error.strerror))]) from error
    return Registry.of(read_registry(path.name, text, lambda named: _load(path.parent / named)))


def _load(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)  # enough to see that it is too large


def _of_registry(folder: Path, name: str, fault: Fault) -> Problem:
    paths = _files(folder).get(name)
    return Problem(paths[0].name if paths else name, 0, str(fault))


def _files(folder: Path) -> dict[str, list[Path]]:
    """The registry files of a folder by registry, in the order of their names. Raises OSError."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _SUFFIXES and not path.name.startswith("."):
            files.setdefault(path.stem, []).append(path)
    return files


def _sign(folder: Path) -> _Signature:
    """What changes when a registry or an image does. Raises OSError where the folder cannot be read."""
    folder.stat()
    paths = [path for path in folder.rglob("*") if not _hidden(path.relative_to(folder))]
    return tuple((str(path), stamp(path)) for path in sorted(paths))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
