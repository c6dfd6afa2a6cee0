"""What is needed to log in at a submit host, read from a scheduler's row, and the private keys."""

from __future__ import annotations

import getpass
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from jobsapi import conf
from jobsapi.exceptions import BackendUnavailable, LoginFailed

KEY_CLASSES = {
    rsa.RSAPrivateKey: paramiko.RSAKey,
    ec.EllipticCurvePrivateKey: paramiko.ECDSAKey,
    ed25519.Ed25519PrivateKey: paramiko.Ed25519Key,
}
ACCOUNT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""In ``~/.ssh`` of the account that the worker runs as; tried only when a scheduler has neither password nor key."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in. Another value means another connection."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    key_path: str
    key_pass: str = field(repr=False)
    host_key: str
    """The key that an administrator has accepted for the host, as "ssh-ed25519 AAAA..."; empty: none yet."""
    timeout: float
    """Seconds until an attempt to connect and log in is given up."""
    idle: float
    """Seconds without a byte until a transfer is given up."""

    @classmethod
    def of(cls, scheduler: Any) -> Login:
        """The login of a row: its ``timeout`` overrides ``SSH_TIMEOUT``. Raises ``BackendUnavailable``."""
        return cls(
            host=scheduler.host.strip().removeprefix("[").removesuffix("]"),
            port=int(scheduler.port or 22),
            username=scheduler.username or _own_name(scheduler.name),
            password=scheduler.password or "",
            key_path=scheduler.private_key_path or "",
            key_pass=scheduler.private_key_pass or "",
            host_key=" ".join((scheduler.host_key or "").split()[:2]),
            timeout=_seconds(scheduler.timeout or conf.get("SSH_TIMEOUT"), scheduler.name),
            idle=float(conf.get("TRANSFER_TIMEOUT")),
        )

    @property
    def place(self) -> str:
        """The host, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def where(self) -> str:
        """As the end of a sentence."""
        return f"at the submit host {self.place}"

    def private_keys(self) -> Iterator[tuple[str, paramiko.PKey]]:
        """The private keys to try, each with what to call it. Raises ``LoginFailed``."""
        if self.key_path:
            yield f"the key {self.key_path}", private_key(Path(os.path.expanduser(self.key_path)), self.key_pass)
        elif not self.password:
            agent = paramiko.Agent()
            try:
                for key in agent.get_keys():
                    yield "a key of the SSH agent", key
            finally:
                agent.close()
            for name in ACCOUNT_KEYS:
                path = Path(os.path.expanduser("~/.ssh"), name)
                if path.is_file():
                    with suppress(LoginFailed):  # one that needs a passphrase, say: there is none to try
                        yield f"the key {path}", private_key(path, "")


def _seconds(text: str | float, scheduler: str) -> float:
    """A time-out. Raises ``BackendUnavailable`` when it is none that anybody can wait for."""
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= LONGEST:
            return seconds
    raise BackendUnavailable(
        f'The time-out "{text}" of the scheduler "{scheduler}" is no time. Set seconds, above 0 and up to {LONGEST:,}.'
    )


LONGEST = 86_400
"""Seconds that can be set as a time-out."""


def _own_name(scheduler: str) -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container's account may be a mere number; the former until Python 3.13
        raise BackendUnavailable(
            f'The scheduler "{scheduler}" has no user name, and the account of the workers has none either. Set one.'
        ) from error


def private_key(path: Path, passphrase: str) -> paramiko.PKey:
    """A private key in any format that OpenSSH writes or has written. Raises ``LoginFailed``, in words."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LoginFailed(
            f"The private key {path} cannot be read: {error.strerror}. "
            "It must lie on the machine of the workers, readable for their account."
        ) from error
    load = serialization.load_ssh_private_key if b"BEGIN OPENSSH" in data else serialization.load_pem_private_key
    try:
        try:
            loaded = load(data, passphrase.encode() or None)
        except TypeError:
            if not passphrase:
                raise
            loaded = load(data, None)  # a passphrase for a key that needs none
    except TypeError as error:
        raise LoginFailed(f"The private key {path} needs its passphrase. Set it.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        why = "The passphrase may be wrong" if passphrase else "It may be no private key, or need its passphrase"
        raise LoginFailed(f"The private key {path} cannot be opened. {why}.") from error
    for kind, wanted in KEY_CLASSES.items():
        if isinstance(loaded, kind):
            return wanted.from_private_key(io.StringIO(_plain(loaded)))
    raise LoginFailed(f"The private key {path} is of a kind that is not supported. Use Ed25519, ECDSA or RSA.")


def _plain(key: Any) -> str:
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return text.decode()
