"""Waits for a moment, then declares all queues and publishes one message. Arguments: URL, prefix, moment."""

import sys
import time
import uuid

from shared.broker import Broker
from shared.clock import utc_now
from shared.events import PORTAL_EVENTS, Message
from shared.topology import Topology

url, prefix, moment = sys.argv[1:]
broker = Broker(url, topology=Topology(prefix))
message = Message(
    id=uuid.uuid4(), type="x", destination=PORTAL_EVENTS, subject="", source="test", time=utc_now(), body="{}"
)
time.sleep(max(0.0, float(moment) - time.time()))
publisher = broker.publisher()
sys.exit(0 if publisher.publish([message]) == {message.id} else 1)
