"""Publishes without end and prints each id once it is confirmed. Arguments: URL, prefix."""

import sys
import uuid

from shared.broker import Broker
from shared.clock import utc_now
from shared.events import PORTAL_EVENTS, Message
from shared.topology import Topology

publisher = Broker(sys.argv[1], topology=Topology(sys.argv[2])).publisher()
while True:
    window = [
        Message(
            id=uuid.uuid4(), type="x", destination=PORTAL_EVENTS, subject="", source="test", time=utc_now(), body="{}"
        )
        for _ in range(100)
    ]
    confirmed = publisher.publish(window)
    sys.stdout.write("".join(f"{id_}\n" for id_ in confirmed))
    sys.stdout.flush()
