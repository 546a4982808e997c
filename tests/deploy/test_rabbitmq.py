"""RabbitMQ as deploy/rabbitmq sets it up: each service can do its work, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.servers import HOST, private_rabbitmq
from deploy.system_programs import rabbitmq_server
from shared.broker import Broker, BrokerUnavailableError
from shared.broker_ops import open_operations
from shared.clock import utc_now
from shared.events import CRM_EVENTS, PORTAL_EVENTS, Message
from shared.ids import new_id

pytestmark = [pytest.mark.rabbitmq, pytest.mark.faults]
START = Path(__file__).parents[2] / "deploy/rabbitmq/start.sh"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    settings = {
        "RABBITMQ_PORTAL_PASSWORD": "portal-password",
        "RABBITMQ_SYNC_PASSWORD": "sync-password",
        "RABBITMQ_START": str(rabbitmq_server()),
    }
    with private_rabbitmq(["sh", str(START)], settings=settings) as port:
        yield port


def broker(port: int, user: str) -> Broker:
    return Broker(f"amqp://{user}:{user}-password@{HOST}:{port}/casebridge")


def message(destination: str) -> Message:
    return Message(
        id=new_id(), type="test", destination=destination, subject="1", source="test", time=utc_now(), body="{}"
    )


@pytest.mark.parametrize(("user", "destination"), [("portal", PORTAL_EVENTS), ("sync", CRM_EVENTS)])
def test_each_service_publishes_to_the_other(port: int, user: str, destination: str) -> None:
    publisher = broker(port, user).publisher()
    sent = message(destination)
    assert publisher.publish([sent]) == {sent.id}
    publisher.close()


@pytest.mark.parametrize(("user", "foreign"), [("portal", PORTAL_EVENTS), ("sync", CRM_EVENTS)])
def test_no_service_reads_what_is_meant_for_the_other(port: int, user: str, foreign: str) -> None:
    with pytest.raises(BrokerUnavailableError, match="ACCESS_REFUSED"), broker(port, user).connected() as connection:
        connection.channel.basic_get(connection.topology.queue(foreign))


def test_the_console_sees_all_queues(port: int) -> None:
    queues = open_operations(broker(port, "sync")).queues()
    assert {queue.destination for queue in queues} == {PORTAL_EVENTS, CRM_EVENTS}
