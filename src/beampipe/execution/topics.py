"""Several listeners to one topic of a client, which Dask gives one only."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Listener = Callable[[Any], None]
"""Takes what a message says; in the client's thread, so it must be quick."""


@dataclass(slots=True)
class _Topic:
    listeners: list[Listener] = field(default_factory=list)
    before: Callable[[Any], Any] | None = None  # the user's own handler, which still gets all

    def hear(self, event: Any) -> Any:
        for listener in tuple(self.listeners):
            try:
                listener(event[1])
            except Exception:  # the client must live, and the other listeners hear
                logger.exception("An event of the scheduler could not be taken in")
        return self.before(event) if self.before is not None else None


_LOCK = threading.Lock()
_TOPICS: weakref.WeakKeyDictionary[Client, dict[str, _Topic]] = weakref.WeakKeyDictionary()


def listen(client: Client, name: str, listener: Listener) -> None:
    """Have a listener called with every message of a topic, from now on."""
    with _LOCK:
        topic = _TOPICS.setdefault(client, {}).setdefault(name, _Topic())
        is_first = not topic.listeners
        topic.listeners.append(listener)
        if is_first:
            handler = getattr(client, "_event_handlers", {}).get(name)
            if handler is not None and getattr(handler, "__self__", None) is not topic:
                topic.before = handler
            client.subscribe_topic(name, topic.hear)


def stop_listening(client: Client, name: str, listener: Listener) -> None:
    """Call this listener no more; with the last one, the topic is left."""
    with _LOCK:
        topic = _TOPICS.get(client, {}).get(name)
        if topic is None or listener not in topic.listeners:
            return
        topic.listeners.remove(listener)
        if topic.listeners or client.status != "running":
            return
        if topic.before is not None:
            client.subscribe_topic(name, topic.before)
            topic.before = None
        else:
            # The handler stays: a message may be under way, and Dask fails without one.
            client.unsubscribe_topic(name)
