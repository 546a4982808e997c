import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.envelope import to_headers, to_message
from shared.events import PORTAL_EVENTS, Message

RECEIVED = datetime(2026, 11, 22, tzinfo=UTC)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(
    message=st.builds(
        Message,
        id=st.uuids(),
        type=words,
        destination=st.just(PORTAL_EVENTS),
        subject=words,
        source=words,
        time=st.datetimes(timezones=st.just(UTC)),
        body=words,
        headers=st.just({"traceparent": "00-1-2-01"}),
    )
)
def test_an_envelope_survives_its_headers(message):
    assert to_message(to_headers(message), message.body, destination=PORTAL_EVENTS, received=RECEIVED) == message


def test_the_headers_are_those_of_cloud_events():
    message = Message(
        id=uuid.UUID(int=1),
        type="t.v1",
        destination=PORTAL_EVENTS,
        subject="s",
        source="portal",
        time=RECEIVED,
        body="",
    )

    assert to_headers(message) == {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": "00000000-0000-0000-0000-000000000001",
        "cloudEvents_source": "portal",
        "cloudEvents_type": "t.v1",
        "cloudEvents_subject": "s",
        "cloudEvents_time": "2026-11-22T00:00:00.000000Z",
    }


@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["cloudEvents_id", "cloudEvents_time", "cloudEvents_type", "cloudEvents_subject", "x", "x-death"]
        ),
        st.none()
        | st.integers()
        | st.text()
        | st.binary()
        | st.lists(st.integers())
        | st.just("0001-01-01T00:00+23:00"),
    ),
    body=st.text() | st.binary(),
)
def test_what_a_stranger_sent_is_read_into_text_every_database_stores(headers, body):
    message = to_message(headers, body, destination=PORTAL_EVENTS, received=RECEIVED)

    for text in (message.type, message.subject, message.source, message.body):
        assert "\0" not in text
        text.encode()


def test_a_strangers_message_has_the_same_id_each_time_it_is_delivered():
    first, second = (to_message({}, b"\xff\x00", destination=PORTAL_EVENTS, received=RECEIVED) for _ in range(2))

    assert first.id == second.id
    assert first.body == "\\xff\\0"
