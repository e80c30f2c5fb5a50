"""Judging without Dagster: micro-batches of a stream, in a Kafka consumer, in Spark's foreachBatch, in any service.

StreamGate     judges a frame: same contract, verdict, breaker and ledger as in Dagster
StreamVerdict  what came of it; its `action` says what to do with the data
Action         forward | dead_letter | hold | divert | halt
KafkaStream    a consumer loop around it: offsets are committed after the verdict (extra `kafka`); Topics: from where to where

gate      the contracts, the store, the windows (merging)    answers   from a verdict to an action
cutting   which messages are one micro-batch                 judged    what was judged already, by whomever
decoding  values -> a frame (numbered); rows: of messages    sending   where messages go; letters: what a dead letter says
"""

from __future__ import annotations

from dagster_contracts.streaming.answers import Action, StreamVerdict
from dagster_contracts.streaming.gate import StreamGate
from dagster_contracts.streaming.kafka import KafkaStream
from dagster_contracts.streaming.sending import NotDelivered, Topics

__all__ = ["Action", "KafkaStream", "NotDelivered", "StreamGate", "StreamVerdict", "Topics"]
