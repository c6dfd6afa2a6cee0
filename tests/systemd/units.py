"""The units in ``systemd/``."""

from __future__ import annotations

from pathlib import Path

from jobsapi.portal.demo import ROOT

FOLDER = ROOT / "systemd"


def names() -> list[str]:
    """Every service, a template with an instance."""
    return sorted(path.name.replace("@.", "@1.") for path in FOLDER.glob("*.service"))


def lines(name: str, key: str) -> list[str]:
    """What the file of a unit says to ``key``, without its drop-ins."""
    text = Path(FOLDER, name.replace("@1.", "@.")).read_text()
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]
