"""What a tool of the pool does before its work, for as long as a fault wants it, on this machine and over SSH alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rig.condor import CondorPool

CALL = '[ ! -r "{hooks}/$tool" ] || . "{hooks}/$tool"\n'


def hooks_of(pool: CondorPool) -> Path:
    """Where hooks lie, named as their tools. The pool's one wrapper, which all its tools are, is made to read them."""
    hooks, wrapper = pool.folder / "hooks", pool.folder / "bin" / ".tool"
    if not hooks.exists():
        hooks.mkdir()
        hooks.chmod(0o777)  # over SSH they are run by the pool's account
    text, call = wrapper.read_text(), CALL.format(hooks=hooks)
    if call not in text:
        before, line, after = text.partition("tool=${0##*/}\n")
        assert line, f"{wrapper} is not as it was: {text}"
        _put(wrapper, f"{before}{line}{call}{after}")
    return hooks


@contextmanager
def hooked(pool: CondorPool, tools: Iterable[str], text: str) -> Iterator[None]:
    """For as long as the block runs, these tools run ``text``, as ``sh`` has it, first. ``$tool`` is their name."""
    paths = [hooks_of(pool) / tool for tool in tools]
    for path in paths:
        _put(path, text)
    try:
        yield
    finally:
        for path in paths:
            path.unlink()


def _put(path: Path, text: str) -> None:
    """At once, so that nobody runs half of it."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.rename(path)
