"""SSH host keys as text."""

from __future__ import annotations

import base64
import hashlib


def fingerprint(key: str) -> str:
    """The SHA-256 of a public key given as type and key, as ``ssh-keygen -l`` prints it; "" for what is none.

    RFC 4253, section 6.6, says what the key consists of.
    """
    words = key.split()
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, ValueError):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
