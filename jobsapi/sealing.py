"""Seals: stored bytes are opened only if this portal wrote them for this job and purpose; secrets are encrypted.

Pickles run code when they are opened. A writer in the database must therefore not be able to make one that is opened.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from jobsapi import conf
from jobsapi.exceptions import SealBroken

_MAGIC = b"jobsapi1"
_DIGEST = hashlib.sha256


def keys() -> Sequence[str]:
    """The keys, newest first: the first one seals, each may open."""
    return conf.get("SEALING_KEYS") or (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def _derived(key: str, use: str) -> bytes:
    return hmac.new(key.encode(), b"jobsapi." + use.encode(), _DIGEST).digest()


def _mac(key: str, context: Sequence[str], data: bytes) -> bytes:
    mac = hmac.new(_derived(key, "seal"), len(context).to_bytes(4, "big"), _DIGEST)
    for part in context:
        mac.update(len(part).to_bytes(4, "big") + part.encode())
    mac.update(data)
    return mac.digest()


def seal(data: bytes, *context: str) -> bytes:
    """``data`` with a seal that is bound to ``context`` (job, attempt, purpose)."""
    return _MAGIC + _mac(keys()[0], context, data) + data


def unseal(sealed: bytes, *context: str) -> bytes:
    """What was sealed for this very ``context``. Raises ``SealBroken`` for anything else."""
    head, data = sealed[: len(_MAGIC) + _DIGEST().digest_size], sealed[len(_MAGIC) + _DIGEST().digest_size :]
    if not any(hmac.compare_digest(head, _MAGIC + _mac(key, context, data)) for key in keys()):
        raise SealBroken(
            f"The stored {context[-1]} is not what this portal sealed for this job and attempt: "
            "it was changed, moved or cut short, or its key is gone from SEALING_KEYS. It was not opened."
        )
    return data


def _fernet() -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_derived(key, "encrypt"))) for key in keys()])


def encrypt(secret: str) -> str:
    """``secret`` as it may lie in the database; empty stays empty."""
    return _fernet().encrypt(secret.encode()).decode() if secret else ""


def decrypt(token: str) -> str:
    """What ``encrypt`` was given. Raises ``SealBroken`` when no key opens it."""
    try:
        return _fernet().decrypt(token.encode()).decode() if token else ""
    except InvalidToken as error:
        raise SealBroken(
            "A stored credential cannot be decrypted: its key is gone from SEALING_KEYS. Enter it again."
        ) from error
