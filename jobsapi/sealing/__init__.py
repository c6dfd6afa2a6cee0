"""Seals: stored bytes are opened only if this portal wrote them for this job and purpose; secrets are encrypted.

Pickles run code when they are opened. A writer in the database or in the storage of results must therefore not be able
to make one that is opened.
"""

from jobsapi.sealing.keys import current_key, keys
from jobsapi.sealing.secrets import decrypt, encrypt, encrypted_again
from jobsapi.sealing.streams import SealReader, SealWriter, seal, unseal
from jobsapi.sealing.tokens import attempt_of, report_token

__all__ = [
    "SealReader",
    "SealWriter",
    "attempt_of",
    "current_key",
    "decrypt",
    "encrypt",
    "encrypted_again",
    "keys",
    "report_token",
    "seal",
    "unseal",
]
