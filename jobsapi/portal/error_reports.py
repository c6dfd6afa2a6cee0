"""What error pages and error mails show of settings and of the environment."""

from __future__ import annotations

import re
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

IN_ADDRESS = re.compile(r"(://[^\s:]*:)\S+(?=@)")
"""A password in an address: ``redis://:password@host``. Up to the last @: what people type as one may have any sign."""


class WithoutPasswords(SafeExceptionReporterFilter):
    """Also hides the passwords in addresses: Django goes by the names of settings, and BROKER_URL is no such name."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """The value as it may be shown."""
        shown = super().cleanse_setting(key, value)
        return IN_ADDRESS.sub(rf"\1{self.cleansed_substitute}", shown) if isinstance(shown, str) else shown
