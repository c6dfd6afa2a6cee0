"""Seals and encrypted credentials. What is not sealed for its place is never unpickled."""

import pickle
import uuid

import pytest

from jobsapi import sealing
from jobsapi.exceptions import InvalidJob, SealBroken
from jobsapi.models import JobBlob, Purpose

OPENED = []


def record(word):
    OPENED.append(word)


class Trap:
    """Records that it was unpickled."""

    def __reduce__(self):
        return record, ("opened",)


@pytest.fixture
def with_keys(settings):
    """Use these keys from now on, newest first."""

    def use(*keys):
        settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": keys}

    use("first key")
    return use


@pytest.fixture
def trap():
    OPENED.clear()
    return pickle.dumps(Trap())


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 10_000])
def test_what_was_sealed_is_opened_for_the_same_context(with_keys, data):
    assert sealing.unseal(sealing.seal(data, "job", "attempt", "input"), "job", "attempt", "input") == data


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda sealed: sealed[:-1], id="cut short by a byte"),
        pytest.param(lambda sealed: sealed[:20], id="cut short within the seal"),
        pytest.param(lambda sealed: b"", id="empty"),
        pytest.param(lambda sealed: sealed + b"\x00", id="extended"),
        pytest.param(lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]), id="a bit of the data changed"),
        pytest.param(lambda sealed: bytes([sealed[0] ^ 1]) + sealed[1:], id="a bit of the mark changed"),
        pytest.param(lambda sealed: sealed[:12] + bytes([sealed[12] ^ 1]) + sealed[13:], id="a bit of the seal"),
        pytest.param(lambda sealed: sealed[40:], id="the seal taken off"),
    ],
)
def test_changed_bytes_are_refused(with_keys, spoil):
    sealed = sealing.seal(b"data", "job", "attempt", "input")

    with pytest.raises(SealBroken, match="stored input is not what this portal sealed"):
        sealing.unseal(spoil(sealed), "job", "attempt", "input")


@pytest.mark.parametrize(
    "place",
    [("other", "attempt", "input"), ("job", "other", "input"), ("job", "attempt", "result"), ("job", "attempt")],
)
def test_bytes_moved_to_another_place_are_refused(with_keys, place):
    sealed = sealing.seal(b"data", "job", "attempt", "input")

    with pytest.raises(SealBroken):
        sealing.unseal(sealed, *place)


@pytest.mark.parametrize("place", [("ab", "c"), ("", "abc"), ("abc", ""), ("abc",), ("a", "b", "c")])
def test_parts_of_a_context_cannot_be_shifted_into_each_other(with_keys, place):
    sealed = sealing.seal(b"data", "a", "bc")

    with pytest.raises(SealBroken):
        sealing.unseal(sealed, *place)


def test_a_part_of_the_context_cannot_be_shifted_into_the_data(with_keys):
    sealed = sealing.seal((4).to_bytes(4, "big") + b"partdata", "job")
    head = sealed[:40]

    with pytest.raises(SealBroken):
        sealing.unseal(head + b"data", "job", "part")


def test_rotated_keys_open_what_the_old_one_sealed_and_seal_with_the_new(with_keys):
    old = sealing.seal(b"data", "job")

    with_keys("second key", "first key")
    assert sealing.unseal(old, "job") == b"data"
    new = sealing.seal(b"data", "job")
    assert new != old

    with_keys("second key")
    assert sealing.unseal(new, "job") == b"data"
    with pytest.raises(SealBroken, match="SEALING_KEYS"):
        sealing.unseal(old, "job")


def test_without_keys_of_its_own_the_secret_key_and_its_fallbacks_are_used(settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ()}
    sealed = sealing.seal(b"data", "job")

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]
    assert sealing.unseal(sealed, "job") == b"data"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(SealBroken):
        sealing.unseal(sealed, "job")


def test_a_secret_is_encrypted_and_comes_back(with_keys):
    token = sealing.encrypt("pä$$word")

    assert "pä$$word" not in token
    assert sealing.encrypt("pä$$word") != token
    assert sealing.decrypt(token) == "pä$$word"


def test_an_empty_secret_stays_empty(with_keys):
    assert sealing.encrypt("") == sealing.decrypt("") == ""


def test_an_encrypted_secret_survives_rotation_and_says_when_its_key_is_gone(with_keys):
    token = sealing.encrypt("secret")

    with_keys("second key", "first key")
    assert sealing.decrypt(token) == "secret"
    with_keys("second key")
    with pytest.raises(SealBroken, match="Enter it again"):
        sealing.decrypt(token)


def test_a_token_that_was_tampered_with_is_refused(with_keys):
    token = sealing.encrypt("secret")

    with pytest.raises(SealBroken):
        sealing.decrypt(token[:-2] + "AA")


def test_a_scheduler_keeps_its_credentials_encrypted(db, with_keys):
    from jobsapi.compute import create_condor_scheduler, get_scheduler

    create_condor_scheduler("pool", "host", username="ada", password="open sesame", private_key_pass="a phrase").save()

    row = get_scheduler("pool")
    assert (row.password, row.private_key_pass) == ("open sesame", "a phrase")
    assert "sesame" not in row._password
    assert "phrase" not in row._private_key_pass


@pytest.fixture
def two_jobs(make_job):
    jobs = [make_job("one"), make_job("two")]
    for job in jobs:
        job.save()
        job.submission_id = uuid.uuid4()
    return jobs


def test_a_result_moved_to_another_job_is_not_opened(two_jobs, trap):
    one, two = two_jobs
    JobBlob.store(one, Purpose.RESULT, trap)
    JobBlob.objects.update(job=two, attempt=two.submission_id)

    with pytest.raises(SealBroken):
        _ = two.result
    assert OPENED == []


def test_a_result_moved_to_another_attempt_is_not_opened(two_jobs, trap):
    job = two_jobs[0]
    JobBlob.store(job, Purpose.RESULT, trap)
    job.submission_id = uuid.uuid4()
    JobBlob.objects.update(attempt=job.submission_id)

    with pytest.raises(SealBroken):
        _ = job.result
    assert OPENED == []


def test_an_input_passed_off_as_a_result_is_not_opened(two_jobs, trap):
    job = two_jobs[0]
    JobBlob.store(job, Purpose.INPUT, trap)
    JobBlob.objects.update(purpose=Purpose.RESULT, attempt=job.submission_id)

    with pytest.raises(SealBroken):
        _ = job.result
    assert OPENED == []


def test_a_pickle_written_into_the_table_is_not_opened(two_jobs, trap):
    job = two_jobs[0]
    JobBlob.objects.create(job=job, purpose=Purpose.RESULT, attempt=job.submission_id, sealed=trap)

    with pytest.raises(SealBroken):
        _ = job.result
    assert OPENED == []


def test_a_sealed_result_is_opened_when_an_app_asks(two_jobs, trap):
    JobBlob.store(two_jobs[0], Purpose.RESULT, trap)

    _ = two_jobs[0].result

    assert OPENED == ["opened"]


def test_a_second_result_takes_the_place_of_the_first(two_jobs):
    job = two_jobs[0]
    JobBlob.store(job, Purpose.RESULT, pickle.dumps(1))
    JobBlob.store(job, Purpose.RESULT, pickle.dumps(2))

    assert job.result == 2
    assert JobBlob.objects.count() == 1


def test_an_input_that_is_not_kept_any_more_is_said(two_jobs):
    with pytest.raises(InvalidJob, match="create the job anew"):
        two_jobs[0].open_input()
