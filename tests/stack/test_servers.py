"""The servers that the other tests run on are what they are said to be: behind a password, and on loopback alone."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection
from redis import Redis
from redis.exceptions import AuthenticationError

from tests.rig.brokers import redis_server
from tests.rig.postgresql import SUPERUSER

pytestmark = pytest.mark.services


def test_redis_talks_to_nobody_without_its_password():
    with redis_server() as broker, broker.client() as known:
        address = known.connection_pool.connection_kwargs
        with Redis(address["host"], address["port"], socket_timeout=5) as stranger:
            assert known.ping()
            with pytest.raises(AuthenticationError):
                stranger.ping()


@pytest.mark.django_db
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has neither passwords nor roles")
def test_postgresql_wants_the_password_of_an_ordinary_role_over_tcp():
    with connection.cursor() as cursor:
        role = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        asked = cursor.execute(
            f"SELECT ({role}), inet_server_addr(), current_setting('password_encryption')"
        ).fetchone()
    assert tuple(map(str, asked)) == ("False", "127.0.0.1", "scram-sha-256")

    known = connection.get_connection_params()
    for user in (known["user"], SUPERUSER):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host=known["host"], port=known["port"], dbname="postgres", user=user, password="wrong")
