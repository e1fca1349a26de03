"""Atomic file writes: a file is either complete or absent."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from embedder.arrays import Array
from embedder.errors import EmbedderError, RunError

_TEMPORARY = ".tmp"
_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1")


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write to a temporary name beside `path`, sync, and rename.

    Parameters
    ----------
    path
        The file's final name; an existing file is replaced. A pipe or device is written to instead,
        and `-` is standard output.
    content
        The bytes, or a function that writes them to the path it is given.

    Raises
    ------
    RunError
        If the disk is full or the folder is not writable; `path` is then unchanged.
    """
    if is_stream(path):
        _write_stream(path, content)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_TEMPORARY}")
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(describe_write_error(path, error)) from error
    finally:
        with contextlib.suppress(OSError):  # the folder may not be entered
            temporary.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Return whether a path is standard output (-), a pipe or a device: none can be replaced."""
    if str(path) in _STANDARD_OUTPUT:
        return True
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    return False


def _write_stream(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write a whole file into a stream: those who write files seek in them, and streams cannot."""
    try:
        target = 1 if str(path) in _STANDARD_OUTPUT else os.open(path, os.O_WRONLY)
        with (
            tempfile.TemporaryDirectory(prefix="embedder-") as folder,
            open(target, "wb", closefd=target != 1) as stream,
        ):
            if callable(content):
                whole = Path(folder) / "whole"
                content(whole)
                with whole.open("rb") as file:
                    shutil.copyfileobj(file, stream)
            else:
                stream.write(content)
    except OSError as error:
        raise RunError(describe_write_error(path, error)) from error


def read_utf8(path: Path, error_kind: type[EmbedderError], if_missing: str) -> str:
    """Return a text file's content with its line endings unchanged.

    Raises
    ------
    EmbedderError
        Of type `error_kind`: with the message `if_missing` if the file does not exist, or if it
        cannot be read as UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise error_kind(if_missing) from None
    except OSError as error:
        raise error_kind(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise error_kind(f"{path}: cannot be read ({error}).") from None


def is_there(path: Path) -> bool:
    """Return whether there is something; also if that is secret, so that opening it says why."""
    try:
        return path.exists()
    except OSError:
        return True


def is_temporary(path: Path) -> bool:
    """Return whether a file is a temporary file of `write_atomically`."""
    return path.name.startswith(".") and path.name.endswith(_TEMPORARY)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure; Windows has no such call and does not need it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def home_is_known() -> bool:
    """Return whether the user has a home; one without a name on this machine may have none."""
    return "XDG_CACHE_HOME" in os.environ or Path(os.path.expanduser("~")).is_absolute()  # noqa: PTH111


def private_folder(name: str) -> Path | None:
    """Return a folder among the temporary files in which only this user can write.

    All processes of the user get the same one. None if there is no place for temporary files.
    """
    own = f"{name}-{os.getuid()}" if hasattr(os, "getuid") else name
    try:
        place = Path(tempfile.gettempdir())
        with contextlib.suppress(FileExistsError):
            (place / own).mkdir(mode=0o700)
        # Others may have taken the name, and what they put there must not be executed.
        found = next(filter(_is_private, sorted(place.glob(f"{own}*"))), None)
        return found or Path(tempfile.mkdtemp(prefix=f"{own}-"))
    except OSError:
        return None


def _is_private(folder: Path) -> bool:
    """Return whether nobody else can write into a folder, nor exchange it for another."""
    if os.name != "posix":
        return True  # the folder of temporary files is the user's own
    found = folder.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not stat.S_IMODE(found.st_mode) & 0o077
    )


def describe_write_error(
    path: Path, error: OSError, instead: str = "choose another location"
) -> str:
    """Return one sentence that states why a file could not be written and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{path}: the disk is full; free some space or {instead}."
    return f"{path}: cannot be written ({error.strerror or error}); {instead}."


def save_tensors(path: Path, tensors: dict[str, Array], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    def write(temporary: Path) -> None:
        # The library makes the file for its owner alone, whatever the umask.
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        try:
            save_file(tensors, temporary, metadata)
            temporary.chmod(mode)
        except SafetensorError as error:
            # The library wraps OS errors in its own class and keeps only their message.
            full = "No space left" in str(error) or "File too large" in str(error)
            raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from None

    write_atomically(path, write)
