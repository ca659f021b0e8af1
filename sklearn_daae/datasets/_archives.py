"""The archives of data sets: where they are, how they come, whether they are whole."""

import hashlib
import os
import re
import stat
from contextlib import contextmanager, suppress
from errno import EIO
from pathlib import Path, PurePosixPath
from time import sleep
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED
from zlib import crc32

import pooch

from ._cache import cache_home, identity, read_note, written_whole

# For an answer, and between two pieces of it, in seconds.
_TIMEOUT = 30
# Characters of a member's name; those of the data sets have less than 100.
_MAX_NAME = 1000


class Archive(NamedTuple):
    """A file that a data set is published in."""

    # Under the home of the data, such as "mnist/train-images-idx3-ubyte.gz".
    name: str
    # Where it is downloaded from; None if it is nowhere.
    url: str | None
    # As pooch writes them; the first is that of the file at `url`.
    checksums: tuple[str, ...]


def resolve_data_home(data_home=None):
    """Return the folder of the archives."""
    home = data_home or os.environ.get("SKLEARN_DAAE_DATA") or "~/sklearn_daae_data"
    return Path(home).expanduser()


def find(
    archives,
    data_home,
    download_if_missing,
    trusted_files,
    n_retries,
    delay,
    show_progress,
):
    """Return the paths of archives, and one checksum of them all.

    What is missing is downloaded. What has another checksum than it should is refused,
    unless it is among `trusted_files`.
    """
    home = resolve_data_home(data_home)
    if not all(isinstance(name, str | os.PathLike) for name in trusted_files or ()):
        raise TypeError(f"trusted_files={trusted_files!r} must hold names of files.")
    trusted = set(map(os.fspath, trusted_files or ()))
    unknown = trusted - {PurePosixPath(archive.name).name for archive in archives}
    if unknown:
        names = sorted(PurePosixPath(archive.name).name for archive in archives)
        raise ValueError(
            f"trusted_files={sorted(trusted)} names {sorted(unknown)}, which this data "
            f"set is not read from. Its files are {names}."
        )
    missing = []
    for archive in archives:
        with reading(home / archive.name):
            if not (home / archive.name).exists():
                missing.append(archive)
    if missing and not download_if_missing:
        raise OSError(
            f"{home / missing[0].name} does not exist, and download_if_missing is "
            "False. Set it to True, or name the folder that has the file by data_home "
            "or by the environment variable SKLEARN_DAAE_DATA."
        )
    for archive in missing:
        _download(archive, home, n_retries, delay, show_progress)
    paths = [home / archive.name for archive in archives]
    digest = hashlib.sha256()
    for archive, path in zip(archives, paths, strict=True):
        with reading(path):
            checksums = _checksums(path)
        if path.name not in trusted and not set(archive.checksums) & set(checksums):
            raise OSError(
                f"{path} has the checksum {checksums[0]}, none of those that are known "
                "of this file: it is damaged, or another version. Remove it, to have "
                "it downloaded again; or, if you know where it comes from, read it as "
                f"it is by trusted_files=[{path.name!r}]."
            )
        digest.update(checksums[0].encode())
    return paths, digest.hexdigest()


def _download(archive, home, n_retries, delay, show_progress):
    """Put an archive in its place, whole and checked, or raise."""
    downloads = pooch.create(
        path=home,
        base_url="",
        registry={archive.name: archive.checksums[0]},
        urls={archive.name: archive.url},
    )
    downloader = pooch.HTTPDownloader(
        progressbar=show_progress, chunk_size=2**16, timeout=_TIMEOUT
    )
    logger = pooch.get_logger()
    level = logger.level
    if not show_progress:
        logger.setLevel("WARNING")
    try:
        for n_left in reversed(range(n_retries + 1)):
            try:
                downloads.fetch(archive.name, downloader=downloader)
                break
            except (ValueError, OSError) as error:  # a checksum; the network, the disk
                if n_left:
                    # Not by pooch, whose own retries wait as long as it likes.
                    logger.info("%s is tried again in %s s.", archive.url, delay)
                    sleep(delay)
                    continue
                raise OSError(
                    f"{archive.name} could not be downloaded from {archive.url} to "
                    f"{home}: {error} You may put the file there yourself, or name the "
                    "folder that has it by data_home or the environment variable "
                    "SKLEARN_DAAE_DATA."
                ) from None  # what led to it fills screens, and ends in what is told
    finally:
        logger.setLevel(level)


def _checksums(path):
    """Return the SHA-256 and the MD5 of a file, kept as long as the file is the same.

    Reading more than a gigabyte for its checksum takes seconds.
    """
    name = hashlib.sha256(repr([path.resolve(), *identity(path)]).encode()).hexdigest()
    note = cache_home() / "checksums" / name
    kept = read_note(note)
    checksums = kept.decode(errors="replace").split()[:-1]
    if kept == _sealed(name, checksums):
        return checksums
    checksums = [f"{alg}:{pooch.file_hash(path, alg)}" for alg in ("sha256", "md5")]
    # A cache that others have filled, and that is read-only, serves without a note.
    with suppress(OSError), written_whole(note) as file:
        file.write(_sealed(name, checksums))
    return checksums


def _sealed(name, checksums):
    """Return a note of checksums, with one of its own: it may be damaged, too."""
    text = " ".join(checksums)
    return f"{text} crc32:{crc32(f'{name} {text}'.encode()):08x}".encode()


@contextmanager
def reading(path):
    """Have whatever goes wrong in reading an archive raised as an error of that file.

    Damaged and hostile files make the libraries that read them raise errors of all
    kinds, few of which name the file.
    """
    try:
        yield
    except Exception as error:
        # Of the disk, and not of what is in the file.
        if getattr(error, "filename", None) or getattr(error, "errno", None) == EIO:
            raise OSError(
                f"{path} cannot be read: {error}. Have it readable, or name another "
                "folder by data_home or by the environment variable SKLEARN_DAAE_DATA."
            ) from error
        raise OSError(
            f"{path} is damaged, or is not what its name says: {error or type(error)}. "
            "Nothing of it was kept. Remove it, to have it downloaded again."
        ) from error


def matching_members(archive, pattern):
    """Return the members of a zip file that a pattern matches, as {name: match}.

    Parameters
    ----------
    archive : ZipFile
        The open archive.

    pattern : str
        What the whole name of a wanted member matches.
    """
    matches = {}
    for member in archive.infolist():
        refuse_hostile(member.filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"its member {member.filename!r} is a link")
        match = re.fullmatch(pattern, member.filename)
        if match is None:
            continue
        # Of the other methods, zipfile unpacks more than it is asked for.
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError(f"{member.filename!r} is compressed as no one does it")
        if member.filename in matches:
            raise ValueError(f"{member.filename!r} is there twice")
        matches[member.filename] = match
    if not matches:
        raise ValueError(f"it has no file with a name like {pattern!r}")
    return matches


def read_member(archive, name, max_size):
    """Return the bytes of a member of a zip file, which must not be more than that.

    What the archive says of its size may be a lie.
    """
    with archive.open(name) as file:
        data = file.read(max_size + 1)
    if len(data) > max_size:
        raise ValueError(f"{name!r} has more than {max_size} bytes")
    return data


def refuse_hostile(name):
    """Raise an error of a member, or a link, that leads out of its archive.

    Members are read, never extracted. Still, an archive that has such names was not
    made by the people who published the data.
    """
    if len(name) > _MAX_NAME:
        raise ValueError(f"a member has a name of {len(name)} characters")
    path = PurePosixPath(name.replace("\\", "/"))
    has_drive = ":" in "".join(path.parts[:1])
    if path.is_absolute() or ".." in path.parts or has_drive:
        raise ValueError(f"its member {name!r} leads out of the archive")
