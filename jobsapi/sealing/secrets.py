"""What is encrypted for one use alone, by Fernet (AES-128 and HMAC, of the library cryptography).

Each context has a key of its own: what was moved to another place does not open there.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from jobsapi.exceptions import SealBroken
from jobsapi.sealing.keys import derived, keys


def encrypt(secret: str, *context: str) -> str:
    """``secret`` as it may leave this process; empty stays empty. ``context``: what it is for, and where."""
    return MultiFernet(_fernets(context)).encrypt(secret.encode()).decode() if secret else ""


def decrypt(token: str, *context: str) -> str:
    """What ``encrypt`` was given. Raises ``SealBroken`` when no key opens it for this very ``context``."""
    try:
        return MultiFernet(_fernets(context)).decrypt(token.encode()).decode() if token else ""
    except InvalidToken as error:
        raise _lost() from error


def encrypted_again(token: str, *context: str) -> str:
    """The same secret, encrypted with the newest key: ``token`` itself if that has done it already.

    Raises ``SealBroken`` when no key opens it.
    """
    try:
        _fernets(context)[0].decrypt(token.encode())
    except InvalidToken:
        return encrypt(decrypt(token, *context), *context)
    return token


def _fernets(context: tuple[str, ...]) -> list[Fernet]:
    use = "encrypt" + "".join(f" {len(part)}:{part}" for part in context)  # lengths: no part shifts into another
    return [Fernet(base64.urlsafe_b64encode(derived(key, use))) for key in keys()]


def _lost() -> SealBroken:
    return SealBroken(
        "A stored credential cannot be decrypted: it was entered for another host, account or key file, was changed, "
        "or its key is gone from SEALING_KEYS. Enter it again."
    )
