"""Whatever HTCondor, a submit host or a job's own files say: an observation, or an error that says whose it is."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobsapi.backends.base import Observation
from jobsapi.backends.condor import ads, control, node_status, parts, trial, words
from jobsapi.backends.condor.observe import left, missing, nodes_of, observe_job, observe_workflow, positions
from jobsapi.backends.condor.transport import remote
from jobsapi.exceptions import BackendUnavailable, InvalidJob
from jobsapi.htcondor.host_keys import fingerprint
from tests.backends.condor.recorded import VERSIONS, Recorded
from tests.properties import a_part_of
from tests.properties.texts import HUGE, json_values, pieces, spoilt, texts

POOLS = [Recorded(version) for version in VERSIONS]
ADS = [ad for pool in POOLS for ad in (*pool.queue("late"), *pool.history())]
STATUS_FILES = [pool.status_file(case, "late") for pool in POOLS for case in ("sub", "fail", "nodehold")]

BOASTING = f"""[
 Type = "NodeStatus";
 Node = "A";
 NodeStatus = 6;
 StatusDetails = "Job proc ({HUGE}.0.0) failed with status {HUGE}";
]
[
 Type = "DagStatus";
 Timestamp = 1;
]
[
 Type = "StatusEnd";
]
"""
"""What made every refresh of its scheduler fail: numbers with more digits than Python reads."""

values = json_values | st.sampled_from([0, 1, 2, 3, 4, 5, 7, 2**53, -(2**53), 0.5, 1e308]) | pieces


@st.composite
def odd_ads(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some recorded ads, a few of their attributes changed into anything."""
    found = draw(st.lists(st.sampled_from(ADS), max_size=5))
    names = st.sampled_from(ads.ATTRIBUTES)
    return [{**ad, **draw(st.dictionaries(names, values, max_size=4))} for ad in found]


def only(errors: type[Exception] | tuple[type[Exception], ...], call: Callable[..., Any], *args: Any) -> Any:
    """What the call returns; None if it raises what it may. Anything else it raises fails the test."""
    try:
        return call(*args)
    except errors:
        return None


@a_part_of(0.5)
@given(spoilt(st.sampled_from([json.dumps(ADS[:3]), json.dumps(ADS[-2:], indent=1)])) | texts)
@example("[" * 100_000)
@example(f'[{{"ClusterId": {HUGE}}}]')
def test_an_answer_that_is_not_whole_is_no_answer(answer):
    found = only(BackendUnavailable, ads.parse_ads, answer)

    assert found is None or all(isinstance(ad, dict) for ad in found)


@given(odd_ads(), odd_ads(), st.none() | st.integers(0, 9), st.booleans(), st.sampled_from(STATUS_FILES))
def test_odd_ads_make_an_observation_that_can_be_kept_or_none(queue, history, total, from_history, status_file):
    state: dict[str, Any] = {}
    ids = [number for ad in (*queue, *history) if (number := ads.number(ad, "ClusterId")) is not None] or [1]
    below = nodes_of(queue, ids[0])
    status = node_status.parse(status_file)
    observers: list[Callable[[], Observation | None]] = [
        lambda: observe_job(queue, history, state, total, positions(queue).get(ids[0])),
        lambda: observe_workflow((queue or [None])[0], from_history, below, status, state, positions(queue), history),
    ]
    for observe in observers:
        state.clear()
        for _ in range(2):
            if seen := observe():
                state |= json.loads(json.dumps(seen.state))
    asked = missing(queue, state, total)
    assert left(queue, state, total) == len(asked)
    assert len(" ".join(ads.history_command("a@b", ads.affordable({ids[0]: asked})))) < 128 * 1024
    ads.accepted(queue, history)


@given(spoilt(st.sampled_from(STATUS_FILES)) | texts, st.booleans())
@example(BOASTING, False)
def test_a_node_status_file_that_a_job_has_spoilt_spoils_no_refresh(text, from_history):
    status = node_status.parse(text)

    dagman = {"ClusterId": 1, "ProcId": 0, "JobStatus": 2}
    seen = observe_workflow(dagman, from_history, [], status, {}, {}, ())

    assert seen is not None
    json.dumps(seen.state)


ANSWERS = {
    "whoami": "Destination,remote,local\nWRITE ALLOW GSI none fred@site",
    "submit": "12.0 - 12.9\n",
    "dag": "1 job(s) submitted to cluster 12.\n",
    "versions": "Local   Version: $CondorVersion: 23.9.6 2024-08-08 $\nRemote  Version: $CondorVersion: 25.14.1 $\n",
    "slots": "Unclaimed 4\nClaimed 1\n",
    "refusal": "ERROR: on Line 4 of submit file: \nERROR: Failed to parse command file (line 4).\n",
    "unreached": "ERROR: Failed to connect to local queue manager\nSECMAN:2007:Failed\n",
}


@given(spoilt(st.sampled_from(sorted(ANSWERS.values()))) | texts)
@example(f"{HUGE}.0 - {HUGE}.1")
@example(f"submitted to cluster {HUGE}.")
@example(f"Unclaimed {HUGE}")
def test_what_the_tools_print_is_understood_or_refused_in_words(said):
    only(BackendUnavailable, control.identity_of, said)
    only(InvalidJob, control.cluster_id_of, said)
    trial.fit(*control.versions_of(said))
    trial.fit(said, said)
    trial.room(said)
    assert len(control.refusal(said)) <= 1_000
    control.unreachable(1, said)
    assert control.plain(said).isascii()


@given(st.text() | spoilt(st.just("0-41,43")))
@example(HUGE)
@example(",".join([f"0-{parts.MOST - 1}"] * 3))
def test_ranges_that_nobody_wrote_are_skipped(text):
    assert all(0 <= number < parts.MOST for number in parts.parse(text))


@given(st.integers(), texts)
def test_every_code_has_words(code, text):
    words.killed(code)
    words.exited(code)
    words.held({"HoldReasonCode": code, "HoldReasonSubCode": code, "HoldReason": text})


LISTED = b"f 644 12 a.txt\0d 755 4096 sub\0f 755 3 sub/b c\n\0\0"
SUMMED = b"0123 *./a.txt\n\\4567 *./b\\nc\\\\\n"


@given(
    st.binary(max_size=80)
    | st.builds(
        lambda start, cut, more: LISTED[:cut] + more + LISTED[start:],
        st.integers(0, 50),
        st.integers(0, 50),
        st.binary(max_size=6),
    )
)
@example(b"f " + HUGE.encode() + b" 1 a\0\0")
def test_a_list_of_files_that_is_not_whole_is_refused(listed):
    only(ValueError, remote.entries, listed)


@given(
    st.binary(max_size=80)
    | st.builds(
        lambda start, cut, more: SUMMED[:cut] + more + SUMMED[start:],
        st.integers(0, 40),
        st.integers(0, 40),
        st.binary(max_size=6),
    )
)
@example(b"\\01 *a\\x\n")
@example(b"\xff *a\n")
def test_checksums_that_nobody_wrote_are_those_of_no_file(summed):
    only(ValueError, remote.checksums, summed)


@given(st.binary(max_size=2048).map(lambda head: head.ljust(512, b"\0")[:512] + bytes(1024)) | st.binary(max_size=40))
def test_an_archive_that_is_none_is_refused(packed):
    only(tarfile.TarError, remote.unpacked, packed)


@given(texts | spoilt(st.just("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE3mYc3Kx comment")))
def test_what_is_no_host_key_has_no_fingerprint(key):
    assert fingerprint(key) == "" or fingerprint(key).startswith("SHA256:")


@given(spoilt(st.just("[{}]")))
def test_no_name_of_a_job_gets_into_an_expression_as_more_than_a_string(text):
    quoted = ads.quoted(text)

    assert quoted[0] == quoted[-1] == '"'
    inner = quoted[1:-1].replace("\\\\", "")
    assert inner.replace('\\"', "").count('"') == 0
    assert quoted.isprintable()


@pytest.mark.parametrize("lines", [1, 2])
def test_the_work_on_a_status_file_grows_with_its_length(lines):
    """Each line is matched once: no line of a file is read again because of what another one says."""
    text = '[\n Node = "' + "\\" * 100_000 * lines + "\n]\n"

    assert node_status.parse(text) is None
