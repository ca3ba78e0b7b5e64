"""Which deliveries wait, until when, and in which order they leave."""

import random
from collections.abc import Sequence

from kit.sandbox.store import Document

ORDERS = ("queued", "reversed", "shuffled")


class Queue:
    """Delivery ids with the moment each is due, in the order in which they were put."""

    def __init__(self) -> None:
        """Start empty."""
        self._due_at: dict[str, float] = {}
        self._released: list[list[str]] = []

    def put(self, delivery_id: str, due_at: float) -> None:
        """Add one delivery."""
        self._due_at[delivery_id] = due_at

    def waiting(self) -> list[str]:
        """Return all ids, due or not."""
        return list(self._due_at)

    def next_due_at(self) -> float | None:
        """Return the earliest moment, or None when nothing waits."""
        return min(self._due_at.values(), default=None)

    def take_due(self, now: float) -> list[str]:
        """Take out what is due."""
        due = [key for key, due_at in self._due_at.items() if due_at <= now]
        for key in due:
            del self._due_at[key]
        return due

    def release(self, batch: list[str]) -> None:
        """Move deliveries into a batch that leaves next, in its order."""
        for key in batch:
            self._due_at.pop(key, None)
        if batch:
            self._released.append(batch)

    def take_released(self) -> list[list[str]]:
        """Take out the released batches."""
        batches, self._released = self._released, []
        return batches

    def clear(self) -> None:
        """Forget everything."""
        self._due_at.clear()
        self._released.clear()


def arrange(
    deliveries: list[Document], order: str | Sequence[str], *, seed: int | None
) -> list[Document]:
    """Sort deliveries: one of ORDERS, or by a list of event types and webhook ids."""
    if order == "reversed":
        return deliveries[::-1]
    if order == "shuffled":
        shuffled = list(deliveries)
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - repeatable disorder, not a secret
        return shuffled
    if isinstance(order, str):
        return deliveries
    names = list(order)

    def place(delivery: Document) -> int:
        found = [
            names.index(delivery[name])
            for name in ("type", "webhook_id")
            if delivery[name] in names
        ]
        return min(found, default=len(names))

    return sorted(deliveries, key=place)
