"""Takes messages, prints how many it has, and never acknowledges. Arguments: URL, prefix, count, lease seconds."""

import sys
import threading
import time

import shared.lease_table
from shared.broker import Broker
from shared.consumer import Consumer
from shared.events import PORTAL_EVENTS, Message
from shared.topology import Topology

url, prefix, count, lease = sys.argv[1:]
shared.lease_table.LEASE_SECONDS = float(lease)
taken = 0


def hold(messages: list[Message]) -> None:
    global taken  # noqa: PLW0603 (a script)
    taken += len(messages)
    if taken >= int(count):
        print("holding", flush=True)
        time.sleep(600)


Consumer(Broker(url, topology=Topology(prefix)), PORTAL_EVENTS, hold).run(threading.Event())
