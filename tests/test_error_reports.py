"""Error pages and mails show settings: without the passwords in them."""

from __future__ import annotations

import pytest

from jobsapi.portal.error_reports import WithoutPasswords


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:s3cret@host/0", "redis://:****@host/0"),
        ("redis://:s3@cret@host/0", "redis://:****@host/0"),
        ("redis://:s3/cret@host/0", "redis://:****@host/0"),
        ("redis://:s3:cret@host/0", "redis://:****@host/0"),
        ("redis://u@x:s3cret@host/0", "redis://u@x:****@host/0"),
        ("redis://u/x:s3cret@host/0", "redis://u/x:****@host/0"),
        ("sentinel://:s3cret@one;sentinel://:s4cret@two", "sentinel://:****@two"),
        ("redis://:s3cret@one, redis://:s4cret@two", "redis://:****@one, redis://:****@two"),
        ("redis://one:6379;redis://:s3cret@two", "redis://one:****@two"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("https://portal.example/jobs", "https://portal.example/jobs"),
    ],
)
def test_no_password_of_an_address_is_shown_whatever_signs_it_has(address, shown):
    stars = WithoutPasswords.cleansed_substitute

    assert WithoutPasswords().cleanse_setting("BROKER_URL", address) == shown.replace("****", stars)
