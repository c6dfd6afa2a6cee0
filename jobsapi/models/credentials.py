"""The secrets in a scheduler's row: encrypted, and each only for the place that it was entered for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.db import models

from jobsapi import sealing

SECRETS = {"password": "password", "private_key_pass": "passphrase of the private key"}
"""Each secret, and what it is called. Its column has the same name after an underscore."""

BOUND_TO = {"password": ("host", "port"), "private_key_pass": ("private_key_path",)}
"""What each secret is for. After a change of it the secret has to be entered again."""


class Credentials(models.Model):
    """A row with secrets. Whoever changes the row does not get them sent to another host."""

    class Meta:
        abstract = True

    @property
    def password(self) -> str:
        """The password, encrypted in the database for the ``host`` and ``port`` that it was set for.

        Raises ``SealBroken`` when these have changed since, however that was done.
        """
        return self._secret("password")

    @password.setter
    def password(self, value: str | None) -> None:
        self._set_secret("password", value)

    @property
    def private_key_pass(self) -> str:
        """The passphrase of the private key, encrypted in the database for this ``private_key_path``.

        Raises ``SealBroken`` when that has changed since.
        """
        return self._secret("private_key_pass")

    @private_key_pass.setter
    def private_key_pass(self, value: str | None) -> None:
        self._set_secret("private_key_pass", value)

    def save(self, **kwargs: Any) -> None:
        """Write the row. A secret that was set before the host was, is for the host that is saved."""
        for name, value in self.__dict__.pop("_given", {}).items():
            self._encrypt(name, value)
        super().save(**kwargs)

    def encrypted_again(self) -> Iterator[tuple[str, str, Callable[[], str]]]:
        """For each secret its column, what it is called, and what encrypts it anew, with the newest key.

        The last one raises ``SealBroken``.
        """
        for name, words in SECRETS.items():
            column = f"_{name}"
            yield column, words, partial(sealing.encrypted_again, getattr(self, column), *self._purpose(name))

    def _secret(self, name: str) -> str:
        return sealing.decrypt(getattr(self, f"_{name}"), *self._purpose(name))

    def _set_secret(self, name: str, value: str | None) -> None:
        self.__dict__.setdefault("_given", {})[name] = value or ""
        self._encrypt(name, value or "")

    def _encrypt(self, name: str, value: str) -> None:
        setattr(self, f"_{name}", sealing.encrypt(value, *self._purpose(name)))

    def _purpose(self, name: str) -> tuple[str, ...]:
        return (name, *(str(getattr(self, attribute)).strip() for attribute in BOUND_TO[name]))
