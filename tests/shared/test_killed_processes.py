"""Outbox, relay, broker, consumer and inbox as real processes that die at the worst moments."""

import random
import time

import pytest

pytestmark = pytest.mark.faults

RELAY_DEATHS = ("relay.after_claim", "relay.after_publish", "relay.before_mark_sent")
CONSUMER_DEATHS = ("consumer.before_handle", "consumer.before_ack")


@pytest.fixture
def start(service, broker, start_program):
    """Starts a relay or a consumer of this service."""

    def start_(role, *, failpoints=""):
        database = service.database
        url = database.url.render_as_string(hide_password=False)
        return start_program(
            "service", role, url, database.schema, broker.url, broker.topology.prefix, failpoints=failpoints
        )

    return start_


def test_dying_at_every_failpoint_loses_and_doubles_nothing(service, broker, start, eventually):
    ids = service.add(200)
    for place in RELAY_DEATHS:
        assert start("relay", failpoints=f"{place}=exit:1").wait(30) == 137
        time.sleep(1.1)  # the claim of the dead
        service.add(1)
    start("relay")
    eventually(lambda: service.waiting() == 0, within=30)

    for place in CONSUMER_DEATHS:
        assert start("consumer", failpoints=f"{place}=exit:2").wait(30) == 137
    start("consumer")

    expected = len(ids) + len(RELAY_DEATHS)
    eventually(lambda: service.count(service.applied) == expected, within=30)
    eventually(lambda: set(broker.depths().values()) == {0}, within=30)
    assert service.count(service.applied) == service.count(service.inbox.seen) == expected


@pytest.mark.parametrize("backend", ["sqlite"])
def test_kills_at_random_moments_lose_and_double_nothing(service, start, eventually):
    rng = random.Random(7)
    processes = {"relay": start("relay"), "consumer": start("consumer")}
    for _ in range(12):
        service.add(100)
        role = rng.choice(["relay", "consumer"])
        time.sleep(rng.uniform(0.6, 1.2))
        processes[role].kill()
        processes[role] = start(role)

    eventually(lambda: service.waiting() == 0, within=40)
    eventually(lambda: service.count(service.applied) >= 1200, within=40)
    assert service.count(service.applied) == service.count(service.inbox.seen) == 1200
