"""What is needed to log in at a submit host, read from a scheduler's row, and the private keys."""

from __future__ import annotations

import getpass
import io
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
        try:
            timeout = float(scheduler.timeout or conf.get("SSH_TIMEOUT"))
        except ValueError as error:
            raise BackendUnavailable(
                f'The time-out "{scheduler.timeout}" of the scheduler "{scheduler.name}" is no time. Set seconds.'
            ) from error
        return cls(
            host=scheduler.host.strip(),
            port=int(scheduler.port or 22),
            username=scheduler.username or getpass.getuser(),
            password=scheduler.password or "",
            key_path=scheduler.private_key_path or "",
            key_pass=scheduler.private_key_pass or "",
            host_key=" ".join((scheduler.host_key or "").split()[:2]),
            timeout=timeout,
            idle=float(conf.get("TRANSFER_TIMEOUT")),
        )

    @property
    def place(self) -> str:
        """The host, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def where(self) -> str:
        """As the end of a sentence."""
        return f"at the submit host {self.place}"

    def private_keys(self) -> Iterator[tuple[str, paramiko.PKey]]:
        """The private keys to try, each with what to call it. Raises ``LoginFailed``."""
        if self.key_path:
            yield f"the key {self.key_path}", private_key(Path(self.key_path).expanduser(), self.key_pass)
        elif not self.password:
            agent = paramiko.Agent()
            try:
                for key in agent.get_keys():
                    yield "a key of the SSH agent", key
            finally:
                agent.close()
            for name in ACCOUNT_KEYS:
                path = Path("~/.ssh").expanduser() / name
                if path.is_file():
                    with suppress(LoginFailed):  # one that needs a passphrase, say: there is none to try
                        yield f"the key {path}", private_key(path, "")


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
