"""A relay or a consumer as a process: role, database URL, schema, broker URL, prefix.

Short leases let the tests see within a second what takes ten in production.
"""

import sys
import threading
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Column, MetaData, Table, Text, Uuid, insert

import shared.lease_table
import shared.relay
from shared.broker import Broker
from shared.clock import utc_now
from shared.consumer import Consumer, handle_batch
from shared.database import Database
from shared.events import PORTAL_EVENTS
from shared.inbox import Inbox
from shared.outbox import Outbox
from shared.relay import Relay
from shared.topology import Topology

role, database_url, schema, broker_url, prefix = sys.argv[1:]
shared.lease_table.LEASE_SECONDS = 1.0
shared.relay.CLAIM_LEASE = timedelta(seconds=1)

metadata = MetaData()
outbox, inbox = Outbox(metadata, source="portal"), Inbox(metadata)
applied = Table("applied", metadata, Column("note_id", Uuid), Column("body", Text))
database = Database(database_url, schema=schema, migrations=Path())
broker = Broker(broker_url, topology=Topology(prefix))


def apply(session, event):
    session.execute(insert(applied).values(note_id=event.note_id, body=event.body))


def handle(messages):
    handle_batch(database, inbox, messages, apply, now=utc_now())


loop = Relay(database, outbox, broker).run if role == "relay" else Consumer(broker, PORTAL_EVENTS, handle).run
loop(threading.Event())
