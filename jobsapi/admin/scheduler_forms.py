"""Forms for schedulers. Secrets go in and never come out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

from django import forms

from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.models.credentials import BOUND_TO, SECRETS

PUBLIC_KEY = re.compile(r"(?:^|\s)((?:ssh|ecdsa|sk)-[a-z0-9@.-]+)\s+([A-Za-z0-9+/=]+)(?=\s|$)")
"""A public key in a line of ssh-keyscan's, which has the host in front, or of a .pub file, which has a comment behind.

https://man.openbsd.org/sshd.8#SSH_KNOWN_HOSTS_FILE_FORMAT
"""


class SchedulerForm(forms.ModelForm):  # type: ignore[type-arg]
    """A scheduler's secrets go in and never come out again."""

    forgotten: tuple[str, ...] = ()
    """What those secrets are called that were for another host or key file, and are not kept."""

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        for secret, place in BOUND_TO.items():
            given, stored = self.cleaned_data.get(secret), getattr(self.instance, f"_{secret}")
            moved = bool(stored) and not set(place).isdisjoint(self.changed_data)
            if given or moved:
                setattr(self.instance, secret, given)
            if moved and not given:
                self.forgotten = (*self.forgotten, SECRETS[secret])


def secret() -> forms.CharField:
    """A field that never shows what is stored, and keeps it when left empty."""
    hint = (
        "Stored encrypted and never shown. Leave it empty to keep what is stored; with another host, port or key file, "
        "give it again."
    )
    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.CharField(required=False, strip=False, help_text=hint, widget=widget)


class CondorSchedulerForm(SchedulerForm):
    """An HTCondor submit host."""

    password, private_key_pass = secret(), secret()

    class Meta:
        widgets: ClassVar[Mapping[str, forms.Widget]] = {"host_key": forms.Textarea(attrs={"rows": 3})}
        help_texts: ClassVar[Mapping[str, str]] = {
            "host": "Name or address of the submit host. Empty, or localhost without a user name: this machine’s own "
            "schedd, which needs nothing of what follows.",
            "port": "The SSH port of the submit host.",
            "username": "Whose jobs they are at the submit host. Empty: the account that the workers run as.",
            "private_key_path": "A file on the machine of the workers, readable for their account. Empty, and without "
            "a password: the keys of that account.",
            "host_key": "Type and key; a line of ssh-keyscan’s or of the host’s .pub file will do. Nothing is sent to "
            "a host that shows another key. Empty: it can be accepted here when the host has been called once.",
            "timeout": "Seconds until an attempt to connect and log in is given up. Empty: SSH_TIMEOUT.",
        }

    def clean_host_key(self) -> str:
        """The key alone, as it is compared with what a host shows."""
        given = str(self.cleaned_data["host_key"])
        if not given.strip():
            return ""
        keys = [" ".join(words) for words in PUBLIC_KEY.findall(given)]
        if len(keys) != 1 or not fingerprint(keys[0]):
            raise forms.ValidationError("Give one public key, as its type and the key itself: ssh-ed25519 AAAA…")
        return keys[0]

    def clean_timeout(self) -> str:
        """A time."""
        given = str(self.cleaned_data["timeout"])
        with suppress(ValueError):
            if not given or 0 < float(given) < float("inf"):
                return given
        raise forms.ValidationError("Give seconds, as a number.")
