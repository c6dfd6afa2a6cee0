"""How the commands of ``docs/install.md`` are checked where they cannot be run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from jobsapi.portal.demo import ROOT
from tests.docker.files import compose, services
from tests.systemd import units


def docker(words: Sequence[str]) -> None:
    """A Dockerfile that is there and a name that the Compose file uses; or a command of Compose for its services."""
    options = dict(pairwise(words))
    assert (ROOT / options["-f"]).is_file(), words
    if words[1] == "build":
        folder, images = words[-1], {service["image"] for service in services().values()}
        example = re.findall(r"^#JOBSAPI_IMAGE=(\S+)$", (ROOT / "docker/.env.example").read_text(), re.M)
        assert options["-t"] in {*images, *example}, words
        assert folder == "../flood" or (ROOT / folder).is_dir(), words
    else:
        assert (words[1], options["-f"]) == ("compose", "docker/compose.yaml"), words
        verb, *rest = words[4:]
        known = compose(verb, "--help").stdout
        flags = [word for word in rest[: rest.index("-m") if "-m" in rest else None] if word.startswith("-")]
        assert verb in known, words
        assert [flag for flag in flags if not re.search(rf"(^|\s){re.escape(flag)}\b", known)] == [], words
        named = {word.partition("=")[0] for flag, word in pairwise(rest) if flag == "--scale"} | set(rest[:1]) - set(
            flags
        )
        assert named <= set(services()), words


def cp(words: Sequence[str]) -> None:
    """What is copied is there."""
    sources = [word for word in words[1:-1] if not word.startswith("-")]
    assert sources, words
    assert all((ROOT / source).exists() for source in sources), words


def systemctl(words: Sequence[str]) -> None:
    """The units are ours."""
    ours = {"jobsapi.target", *(name.removesuffix(".service") for name in units.names())}
    named = [word for word in words[2:] if not word.startswith("-") and not word.endswith("*")]
    assert set(named) <= ours, words


CHECKS = {"docker": docker, "cp": cp, "systemctl": systemctl}
