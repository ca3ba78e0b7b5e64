"""The document store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.sandbox.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    """Open a store in memory."""
    store = Store(":memory:")
    store.open()
    yield store
    store.close()


def test_documents_survive_reopening(tmp_path: Path) -> None:
    """A second store on the same file finds what the first one put."""
    first = Store(str(tmp_path / "sandbox.db"))
    first.open()
    first.put("payment", "pay_1", {"total_amount": 2900})
    first.close()
    second = Store(str(tmp_path / "sandbox.db"))
    second.open()
    found = second.get("payment", "pay_1")
    second.close()

    assert found == {"total_amount": 2900}


def test_a_replaced_document_keeps_its_place(store: Store) -> None:
    """Lists stay in the order of the first put."""
    store.put("payment", "a", {"n": 1})
    store.put("payment", "b", {"n": 2})
    store.put("payment", "a", {"n": 3})

    assert store.all("payment") == [{"n": 3}, {"n": 2}]


def test_trim_keeps_the_newest_of_one_kind(store: Store) -> None:
    """Old requests go, other kinds stay."""
    for number in range(5):
        store.put("request", str(number), {"n": number})
    store.put("payment", "a", {"n": 0})
    store.trim("request", newest=2)

    assert store.all("request") == [{"n": 3}, {"n": 4}]
    assert store.all("payment") == [{"n": 0}]


def test_writes_together_are_undone_together(store: Store) -> None:
    """A failure between two writes leaves neither."""

    def fail() -> None:
        with store.together():
            store.put("payment", "a", {"n": 1})
            raise LookupError

    with pytest.raises(LookupError):
        fail()

    assert store.all("payment") == []


def test_a_closed_store_says_what_to_do() -> None:
    """Using the app without its lifespan is a mistake with a sentence."""
    with pytest.raises(RuntimeError, match="lifespan"):
        Store(":memory:").get("payment", "a")
