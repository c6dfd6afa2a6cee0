"""Credentials of schedulers: encrypted in the database, by Fernet (AES-128 and HMAC, of the library cryptography)."""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from jobsapi.exceptions import SealBroken
from jobsapi.sealing.keys import derived, keys


def encrypt(secret: str) -> str:
    """``secret`` as it may lie in the database; empty stays empty."""
    return _fernet().encrypt(secret.encode()).decode() if secret else ""


def decrypt(token: str) -> str:
    """What ``encrypt`` was given. Raises ``SealBroken`` when no key opens it."""
    try:
        return _fernet().decrypt(token.encode()).decode() if token else ""
    except InvalidToken as error:
        raise _lost() from error


def encrypted_again(token: str) -> str:
    """The same secret, encrypted with the newest key: ``token`` itself if that has done it already.

    Raises ``SealBroken`` when no key opens it.
    """
    try:
        _fernets()[0].decrypt(token.encode())
    except InvalidToken:
        return encrypt(decrypt(token))
    return token


def _fernet() -> MultiFernet:
    return MultiFernet(_fernets())


def _fernets() -> list[Fernet]:
    return [Fernet(base64.urlsafe_b64encode(derived(key, "encrypt"))) for key in keys()]


def _lost() -> SealBroken:
    return SealBroken("A stored credential cannot be decrypted: its key is gone from SEALING_KEYS. Enter it again.")
