"""What is run at a submit host, and what its answers mean. Pure functions.

Every command line is one constant program for ``sh``, with data as its arguments, written so that bash, dash, zsh, csh,
tcsh and fish all hand them over unchanged. Lists of files go to standard input, parted by NUL, since a command line
holds 128 KiB. What runs there needs GNU coreutils, findutils and tar.
"""

from __future__ import annotations

import binascii
import io
import os
import re
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobsapi.backends.condor.transport.base import INCOMING, KILL_AFTER, Tail, clean
from jobsapi.exceptions import InvalidJob

BEGIN = "jobsapi: the answer begins"
"""What is said, on both streams, before a command is run: a login script may have said something already."""
NO_FOLDER = 121
"""The status when the folder to run in is not there."""
LINE_MAX = 120_000
"""Characters of a command line. Linux gives a program no longer argument than 128 KiB."""

RUN = (
    f'echo "{BEGIN}"; echo "{BEGIN}" >&2; '
    'for a do shift; case "$a" in e*) a=$(printf "%b." "${a#e}"); a=${a%.};; *) a=${a#r};; esac; '
    'set -- "$@" "$a"; done; '
    f'cd 2>/dev/null; cd -- "$1" || exit {NO_FOLDER}; shift; exec timeout "$@"'
)
"""Decodes its arguments, then runs them in the folder named by the first. A point guards newlines at the end.

That folder is looked for from the account's home, wherever a login script has gone.
"""
PLAIN = ("env", "LC_ALL=C")
"""Has a command of ours speak English, whatever the account's language is: some of what it says is looked for."""
CODED = re.compile(rb"[^ -&(-\[\]-~]|!")
"""What some shell would not hand over as it is from between single quotes: ``'``, ``\\``, ``!`` and all but ASCII."""


def command_line(argv: Sequence[str], folder: str, timeout: float, *, reads: bool = False) -> str:
    """``argv``, run in ``folder`` under coreutils' timeout, for any login shell; ``reads``: what it is sent."""
    place = folder if os.path.isabs(folder) else f"./{folder}"
    words = [place, f"--kill-after={KILL_AFTER:g}", f"{timeout:g}", *argv]
    line = " ".join([f"sh -c '{RUN}' sh", *map(_coded, words), *([] if reads else ["</dev/null"])])
    if len(line) > LINE_MAX:
        raise InvalidJob(f"The command {argv[0]} is too long for one line ({len(line)} characters). Shorten it.")
    return line


def _coded(word: str) -> str:
    data = os.fsencode(word)
    if b"\0" in data:
        raise InvalidJob(f"{word!r} has a NUL character, which no command can be given.")
    if not CODED.search(data):
        return f"'r{word}'"
    return "'e" + CODED.sub(lambda found: b"\\0%03o" % found[0][0], data).decode() + "'"


def answer(heard: bytes) -> bytes | None:
    """What a command has said, without what its login script said; None if it was never run."""
    _, begun, said = heard.partition(f"{BEGIN}\n".encode())
    return said if begun else None


def joined(names: Iterable[str]) -> bytes:
    """Names for standard input."""
    return b"".join(os.fsencode(name) + b"\0" for name in names)


def placed(said: bytes) -> tuple[str, bytes]:
    """Where the folder of ``PREPARE`` or ``LIST`` is, from the root; and the rest of what it has said.

    For SFTP, whose relative paths may begin elsewhere than where commands do.
    """
    place, _, rest = said.partition(b"\0")
    return os.fsdecode(place), rest


UNREADABLE = "!"
"""The kind of a file or folder that the account may not read."""
MAKE = f"""test ! -L "$1" && mkdir -p -- "$1" && cd -- "$1" && rm -rf -- {INCOMING} && mkdir -- {INCOMING} || exit 1
"""
PREPARE = (
    "sh",
    "-c",
    f"""{MAKE}printf "%s\\0" "$PWD"
xargs -0 -r sh -c 'for n do f=./${{n#?:}}; case $n in
x:*) test -f "$f" && test ! -L "$f" && test -r "$f" && test -x "$f" && printf "%s\\0" "$f";;
f:*) test -f "$f" && test ! -L "$f" && test -r "$f" && printf "%s\\0" "$f";;
esac; done; :' sh >{INCOMING}/list || {{ rm -rf -- {INCOMING} 2>/dev/null; exit 1; }}
xargs -0 -r sha256sum -b -- <{INCOMING}/list""",
    "sh",
)
"""Makes the own folder ``$1`` and says where it is. Of the names on standard input, "f:" sums up a file in it, and "x:"
one that can be run, if there is one. One that cannot be read is sent anew, and takes its place."""

UNPACK = ("tar", "-x", "-f", "-", "-m", "--no-same-owner", "--no-same-permissions", "-C", INCOMING)
"""Unpacks files that have numbers for names. Their rights are those in the archive, less what the umask takes away."""
PLACES, CHECKSUMS = "places", "checksums"
"""Lists that come with the last files: which folders to make and where files go, and what files must sum up to."""
PLACE = (
    "sh",
    "-c",
    f"""{" ".join(UNPACK)} && (cd ./{INCOMING} && sha256sum --quiet -c {CHECKSUMS}) &&
xargs -0 -r sh -c 'for p do case $p in
d:*) f=./${{p#d:}}
     test ! -L "$f" || {{ echo "$f is a link, where a folder must be" >&2; exit 255; }}
     test -d "$f" || mkdir -- "$f" || exit 255;;
*)   x=${{p%%:*}}; p=${{p#*:}}; f=./${{p#*:}}; p={INCOMING}/${{p%%:*}}
     test "$x" = f || test -x "$p" || chmod +x "$p" || exit 255
     mv -fT -- "$p" "$f" || exit 255;;
esac; done' sh <{INCOMING}/{PLACES} || {{ df -Pk . | tail -n 1; rm -rf -- {INCOMING} 2>/dev/null; exit 1; }}
rm -rf -- {INCOMING} 2>/dev/null; :""",
    "sh",
)
"""Unpacks the last files, makes folders, and gives all files their names once each sums up to what it must.

If not, says which do not, and how full the disk is.
"""
RECEIVE = ("sh", "-c", MAKE + PLACE[2], "sh")
"""The same in the own folder ``$1``, which it makes."""
LOST = re.compile(rb"^([0-9]+): FAILED", re.MULTILINE)
"""How ``PLACE`` says which file is not what was sent."""

FORGET = ("rm", "-rf", "--", INCOMING)
"""Removes what was sent and has no name yet."""

LOCKED = "'(' -type f ! -readable -o -type d ! '(' -readable -executable ')' ')'"
"""For find: what the account may not read, or not enter."""
LIST = (
    "sh",
    "-c",
    rf"""printf '%s\0' "$PWD"
find . -mindepth 1 -path ./{INCOMING} -prune -o {LOCKED} -exec chmod u+rX -- '{{}}' ';' >/dev/null 2>&1
find . -mindepth 1 -path ./{INCOMING} -prune \
-o {LOCKED} -printf '{UNREADABLE} %m %s %P\0' -prune \
-o -printf '%y %m %s %P\0' || exit
printf '\0'""",
    "sh",
)
"""Says where the folder is, and lists all that is there; what the account itself has locked is unlocked, since it is
about to be removed there. An empty name ends the list, so that one that was cut short is not taken for a whole one."""
SUM = ("xargs", "-0", "-r", "sha256sum", "-b", "--")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in a folder at the other end."""

    kind: str
    """As ``find`` has it: f a file, d a folder, l a link, p a fifo, ...; or ``UNREADABLE``."""
    executable: bool
    size: int
    name: str


def entries(listed: bytes) -> list[Entry]:
    """What ``LIST`` has found. Names come as they are: they may be hostile. ``ValueError`` if its end is missing."""
    if listed != b"\0" and not listed.endswith(b"\0\0"):
        raise ValueError("the list was cut short")
    found = []
    for line in listed.split(b"\0")[:-2]:
        kind, mode, size, name = line.split(b" ", 3)
        found.append(Entry(kind.decode(), bool(int(mode, 8) & 0o100), int(size), os.fsdecode(name)))
    return found


def checksums(summed: bytes) -> dict[str, str]:
    """What ``sha256sum`` has said, by name. It writes odd names with backslashes, and then begins the line with one."""
    found = {}
    for line in summed.split(b"\n")[:-1]:
        checksum, _, name = line.partition(b" *")
        if checksum.startswith(b"\\"):
            checksum, name = checksum[1:], re.sub(rb"\\(.)", lambda escape: ESCAPES.get(escape[1], escape[0]), name)
        found[os.fsdecode(name).removeprefix("./")] = checksum.decode("ascii", "replace")
    return found


ESCAPES = {b"n": b"\n", b"r": b"\r", b"\\": b"\\"}

REMOVE = (
    "sh",
    "-c",
    """xargs -0 -r sh -c 'rm -rf -- "$@" 2>/dev/null || { chmod -R u+rwx -- "$@" 2>/dev/null; rm -rf -- "$@"; }' sh""",
)
"""A job may leave folders that not even its owner may write."""

READ = (
    "sh",
    "-c",
    """xargs -0 -r sh -c 'n=$1; shift; exec find "$@" -maxdepth 0 -type f -size "-${n}c" -print0 2>/dev/null' sh "$1" |
tar -c -f - --absolute-names --no-recursion --ignore-failed-read --warning=none --format=gnu --null --files-from=-""",
    "sh",
)
"""Packs files of less than ``$1`` bytes. Three processes however many there are."""


def unpacked(packed: bytes) -> dict[str, bytes]:
    """The files in an archive. Raises ``tarfile.TarError`` if there is none, or its end is missing."""
    if not packed.endswith(bytes(2 * tarfile.BLOCKSIZE)):
        raise tarfile.ReadError("the archive was cut short")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
        for member in archive:
            if member.issparse():  # a line of it can stand for a terabyte of nothing; our tar writes none
                raise tarfile.ReadError("the archive has a file with holes")
            content = archive.extractfile(member) if member.isfile() else None
            if content is not None:
                found[member.name] = content.read()
    return found


TAILS = (
    "sh",
    "-c",
    """xargs -0 -r sh -c 'IFS=; for p do for f in ./$p; do
test -f "$f" && test ! -L "$f" && test -r "$f" && printf "%s\\0" "$f"
done; done; :' sh 2>/dev/null | head -z -n "$2" | xargs -0 -r sh -c 'l=$1; shift; for f do
    s=$(wc -c <"$f") && o=$((s > l ? s - l : 0)) || continue
    printf "%s\\0%s\\0%s\\0" "$f" "$s" "$o"
    tail -c "+$((o + 1))" -- "$f" | head -c "$((s - o))" | base64 -w 0; printf "\\0"
done; :' sh "$1" """,
    "sh",
)
"""The last ``$1`` bytes of ``$2`` files at most that match the patterns on standard input."""


def tails(said: bytes) -> dict[str, Tail]:
    """What ``TAILS`` has said. Raises ``ValueError`` if it was cut short."""
    fields = said.split(b"\0")[:-1]
    found = {}
    for name, size, offset, data in zip(*(fields[at::4] for at in range(4)), strict=True):
        found[os.fsdecode(name)[2:]] = Tail(binascii.a2b_base64(data), int(offset), int(size))
    return found


def hostile(entry: Entry) -> str:
    """Why an entry is not brought home, or nothing."""
    if not clean(entry.name):
        return f"{entry.name!r} leads out of the folder."
    if entry.kind == "l":
        return f"{entry.name!r} is a link."
    if entry.kind == UNREADABLE:
        return f"{entry.name!r} cannot be read at the submit host, so it did not come home."
    if entry.kind not in "fd":
        return f"{entry.name!r} is neither a file nor a folder."
    return ""
