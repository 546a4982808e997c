from shared.events import SCHEMAS
from shared.topology import DESTINATIONS, Topology


def test_every_event_type_has_a_destination_with_a_queue():
    assert {schema.record.destination for schema in SCHEMAS.values()} == set(DESTINATIONS)


def test_every_queue_has_a_dead_letter_queue_that_is_declared_first():
    topology = Topology("x")
    declared = []
    for queue, arguments in topology.queues():
        assert arguments["x-queue-type"] == "quorum"
        grave = arguments.get("x-dead-letter-routing-key")
        assert grave is None or grave in declared
        declared.append(queue)

    wanted = {topology.queue(d) for d in DESTINATIONS} | {topology.dead_letter_queue(d) for d in DESTINATIONS}
    assert set(declared) == wanted


def test_dead_lettering_loses_nothing():
    arguments = dict(Topology().queues())["casebridge.portal-events"]

    assert arguments["x-delivery-limit"] == 20
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert arguments["x-overflow"] == "reject-publish"
