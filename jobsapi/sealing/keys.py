"""The keys, how they are told apart, and what is derived from them."""

import hashlib
import hmac
from collections.abc import Sequence

from django.conf import settings

from jobsapi import conf

DIGEST = hashlib.sha256


def keys() -> Sequence[str]:
    """The keys, newest first: the first one seals, each may open."""
    return conf.get("SEALING_KEYS") or (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def current_key() -> str:
    """The fingerprint of the key that seals now. It says which key it is, and nothing about it."""
    return fingerprint(keys()[0]).hex()


def fingerprint(key: str) -> bytes:
    """Eight bytes that tell a key from others."""
    return derived(key, "fingerprint")[:8]


def derived(key: str, use: str) -> bytes:
    """A key for one use alone."""
    return hmac.new(key.encode(), b"jobsapi." + use.encode(), DIGEST).digest()
