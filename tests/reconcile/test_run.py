"""A reconciliation of a short history: each thing that it finds, and what it takes in."""

from dataclasses import replace
from typing import Any

import pytest

from kit.errors import DodoError
from kit.hops import REASONS
from kit.ledger.policy import Policy
from kit.ledger.tombstones import bury
from kit.reconcile.findings import MEANINGS, NEEDS_HANDS
from kit.reconcile.progress import kept_progress
from tests.money.messages import ADA, disputed, refunded, sold, subscribed
from tests.reconcile.conftest import Scene, brief

pytestmark = pytest.mark.anyio


async def test_what_agrees_is_no_finding(scene: Scene) -> None:
    """A sale, its refund, and all that is no money."""
    await scene.report(sold("pay_1"), refunded("pay_1", 900, is_partial=True))
    scene.at_dodo(
        sold("pay_free", 0),
        sold("pay_failed", kind="failed", status="failed"),
        sold("pay_card", 100, is_update_payment_method=True),
        refunded("pay_free", 1, refund_id="ref_free"),
        refunded("pay_1", 1, refund_id="ref_failed", kind="failed", status="failed"),
        disputed("pay_1", dispute_id="dp_won", kind="won", dispute_status="dispute_won"),
    )
    report = await scene.reconcile()

    assert brief(report) == []
    assert report.seen == {"payments": 4, "refunds": 3, "disputes": 1}


async def test_what_never_came_is_missing(scene: Scene) -> None:
    """Each with what Dodo has, in words that a person reads; nothing is changed."""
    await scene.report(sold("pay_1"))
    scene.at_dodo(
        sold("pay_2", 3300, currency="JPY"),
        refunded("pay_1", 900, is_partial=True),
        disputed("pay_2", "3300", currency="JPY", dispute_status="dispute_lost"),
    )
    report = await scene.reconcile()
    [dispute, payment, refund] = sorted(report.found, key=lambda each: each.kind)

    assert brief(report) == [
        ("missing", "dp_1", "never_reported"),
        ("missing", "pay_2", "never_reported"),
        ("missing", "ref_1", "never_reported"),
    ]
    assert payment.hop.expected == "3300 JPY"
    assert refund.hop.expected == "900 USD (as Dodo writes it)"
    assert (dispute.payment_id, refund.payment_id) == ("pay_2", "pay_1")
    assert (await scene.rows()).keys() == {"pay_1"}


async def test_a_finding_is_plain_data_without_a_person(scene: Scene) -> None:
    """Nobody's e-mail, name or visitor is in it."""
    scene.at_dodo(sold("pay_2"))
    [finding] = (await scene.reconcile()).found

    assert finding.as_dict() == {
        "what": "missing",
        "kind": "payment",
        "id": "pay_2",
        "payment_id": "pay_2",
        "reason": "never_reported",
        "seen": None,
        "expected": "29.00 USD",
        "at_ms": 1_790_942_400_000,
        "sentence": REASONS["never_reported"].sentence,
        "fix": REASONS["never_reported"].fix,
        "tone": "lost",
    }
    assert "ada" not in repr(finding).lower()


async def test_with_send_what_is_missing_is_reported_once(scene: Scene) -> None:
    """Read like a webhook, refunds after their sale; the next run finds nothing."""
    scene.at_dodo(sold("pay_1"), refunded("pay_1", 900, is_partial=True))
    report = await scene.reconcile(send=True)
    fates = await scene.follow(report)
    again = await scene.reconcile(send=True)
    counted = {each["transaction_id"]: each for each in await scene.at_datafast("payments")}
    rows = await scene.rows()

    assert report.counts == {"taken_in": 2}
    assert [(fate.entry.id, fate.standing, fate.verdict) for fate in fates] == [
        ("pay_1", "sent", "attributed"),
        ("ref_1", "sent", "attributed"),
    ]
    assert brief(again) == []
    assert counted["pay_1"]["amount"] == "29"
    assert counted["ref_1"]["amount"] == "9"
    assert counted["ref_1"]["refunded"] is True
    assert rows["pay_1"]["confirmed"] is True
    assert {row["source"] for row in (await scene.messages()).values()} == {"api"}


async def test_a_webhook_that_comes_after_all_counts_nothing_twice(scene: Scene) -> None:
    """Both bring the same transaction."""
    sale = sold("pay_1")
    scene.at_dodo(sale)
    await scene.follow(await scene.reconcile(send=True))
    await scene.report(sale)

    assert len(await scene.messages()) == 2
    assert len(await scene.rows()) == 1
    assert len(await scene.at_datafast("payments")) == 1


async def test_what_was_skipped_before_is_read_anew(scene: Scene) -> None:
    """A brand that counts now: its message is there already, and became nothing."""
    scene.at_dodo(sold("pay_1", brand_id="brnd_other"))
    await scene.follow(await scene.reconcile(send=True))
    skipping = replace(scene, policy=Policy(brands=frozenset({"brnd_contour"})))
    scene.at_dodo(sold("pay_2", brand_id="brnd_other"))
    ignored = await skipping.reconcile(send=True)
    scene.at_dodo(sold("pay_3", kind="failed", status="failed"))
    await scene.report(sold("pay_3", total=0))
    scene.change("payment", "pay_3", total_amount=1000, status="succeeded")
    found = await scene.reconcile(send=True)
    await scene.follow(found)

    assert brief(ignored) == []
    assert brief(found) == [
        ("taken_in", "pay_2", "never_reported"),
        ("taken_in", "pay_3", "never_reported"),
    ]
    assert (await scene.rows()).keys() == {"pay_1", "pay_2", "pay_3"}
    assert brief(await scene.reconcile()) == []


async def test_a_message_of_ours_that_became_nothing_is_renewed(scene: Scene) -> None:
    """The same id, with what Dodo has now."""
    scene.at_dodo(sold("pay_1", currency="XXX"))
    first = await scene.reconcile(send=True)
    [stuck] = await scene.follow(first)
    parked = await scene.reconcile(send=True)
    scene.change("payment", "pay_1", currency="USD")
    await scene.shop.ledger.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE events SET state = 'skipped', reason = 'zero_amount'"
        )
    )
    renewed = await scene.reconcile(send=True)
    [sent] = await scene.follow(renewed)

    assert (stuck.standing, stuck.reason) == ("not_sent", "unknown_currency")
    assert brief(parked) == [("parked", "pay_1", "unknown_currency")]
    assert brief(renewed) == [("taken_in", "pay_1", "never_reported")]
    assert (sent.standing, sent.verdict) == ("sent", "attributed")


@pytest.mark.parametrize(
    ("changes", "reason", "expected"),
    [
        ({"total_amount": 1900}, "figure_differs", "19.00 USD"),
        ({"currency": "EUR"}, "figure_differs", "29.00 EUR"),
        ({"total_amount": 0}, "figure_differs", "0"),
        ({"status": "failed"}, "not_paid_at_dodo", "failed"),
        ({"is_update_payment_method": True, "total_amount": 1}, "figure_differs", "0"),
    ],
    ids=["amount", "currency", "nothing", "unpaid", "card update"],
)
async def test_what_was_reported_differently_is_mismatched(
    scene: Scene, changes: dict[str, Any], reason: str, expected: str
) -> None:
    """With both figures."""
    await scene.report(sold("pay_1"), sold("pay_2"))
    scene.change("payment", "pay_2", **changes)
    report = await scene.reconcile()
    [finding] = report.found

    assert brief(report) == [("mismatched", "pay_2", reason)]
    assert (finding.hop.seen, finding.hop.expected) == ("29.00 USD", expected)


async def test_a_report_that_the_ledger_itself_belies_is_mismatched(scene: Scene) -> None:
    """Its figure is not the one that its own payment comes to, in net as in gross."""
    scene.policy = Policy(basis="net")
    await scene.report(sold("pay_1", 2900, tax=400), sold("pay_2", 2900, tax=400))
    await scene.alter("pay_2", amount="29.00")
    report = await scene.reconcile()

    assert brief(report) == [("mismatched", "pay_2", "figure_differs")]
    assert (report.found[0].hop.seen, report.found[0].hop.expected) == ("29.00 USD", "25.00 USD")


async def test_a_list_that_lacks_the_tax_is_no_mismatch(scene: Scene) -> None:
    """Where the ledger does not remember it either, the payment is read singly."""
    scene.policy = Policy(basis="net")
    await scene.report(sold("pay_1", 2900, tax=400))
    await scene.shop.ledger.write(
        lambda connection: connection.exec_driver_sql("DELETE FROM payments")
    )
    report = await scene.reconcile()
    read = [each["path"] for each in await at_dodo(scene)]

    assert brief(report) == []
    assert "/payments/pay_1" in read


async def test_what_agrees_is_not_read_singly(scene: Scene) -> None:
    """A list item is enough to acquit."""
    await scene.report(sold("pay_1"), refunded("pay_1", 900, is_partial=True))
    before = len(await at_dodo(scene))
    await scene.reconcile()
    read = [each["path"] for each in (await at_dodo(scene))[before:]]

    assert set(read) == {"/payments", "/refunds", "/disputes"}


async def test_a_refund_of_another_amount_is_mismatched(scene: Scene) -> None:
    """Dodo's word against the share that was reported."""
    await scene.report(sold("pay_1"), refunded("pay_1", 900, is_partial=True))
    scene.change("refund", "ref_1", amount=950)
    report = await scene.reconcile()

    assert brief(report) == [("mismatched", "ref_1", "figure_differs")]
    assert report.found[0].hop.expected == "950 USD in minor units"


async def test_a_refund_is_held_against_what_its_sale_was_counted_as(scene: Scene) -> None:
    """Where the sale's figure has changed since, it is the sale that is mismatched."""
    scene.policy = Policy(basis="net")
    await scene.report(sold("pay_1", 2900, tax=None), sold("pay_1", 2900, tax=400, id="later"))
    await scene.report(refunded("pay_1", 2900))

    assert brief(await scene.reconcile()) == [("mismatched", "pay_1", "figure_differs")]


async def test_a_refund_that_did_not_succeed_after_all_is_mismatched(scene: Scene) -> None:
    """It was reported, and Dodo has it as failed."""
    await scene.report(sold("pay_1"), refunded("pay_1", 900, is_partial=True))
    scene.change("refund", "ref_1", status="failed")

    assert brief(await scene.reconcile()) == [("mismatched", "ref_1", "not_paid_at_dodo")]


async def test_what_a_dispute_left_for_a_refund_is_no_mismatch(scene: Scene) -> None:
    """More cannot be taken back than there was."""
    await scene.report(
        sold("pay_1"),
        disputed("pay_1", "2000", dispute_status="dispute_lost", on=2),
        refunded("pay_1", 2900),
    )

    assert (await scene.rows())["ref_1"]["amount_minor"] == 900
    assert brief(await scene.reconcile()) == []


async def test_one_payment_under_two_ids_is_doubled(scene: Scene) -> None:
    """However the second one came into the ledger."""
    await scene.report(sold("pay_1"), sold("pay_2"))
    await scene.shop.ledger.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE deliveries SET transaction_id = 'dodo:pay_1', payment_id = 'pay_1' "
            "WHERE transaction_id = 'pay_2'"
        )
    )
    report = await scene.reconcile()
    [doubled] = [each for each in report.found if each.what == "doubled"]

    assert (doubled.id, doubled.hop.reason) == ("pay_1", "reported_twice")
    assert sorted(str(doubled.hop.seen).split(", ")) == ["dodo:pay_1", "pay_1"]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"verdict": "unconfirmed", "reason": "no_echo"}, ("unconfirmed", "no_echo")),
        ({"verdict": "no_pageview", "reason": "no_pageview"}, ("unattributed", "no_pageview")),
        (
            {"verdict": "recorded", "reason": "recorded_without_visitor", "visitor_id": None},
            ("unattributed", "visitor_missing"),
        ),
        ({"state": "parked", "reason": "rejected"}, ("parked", "rejected")),
        ({"state": "parked", "reason": "horizon", "verdict": None}, ("parked", "horizon")),
        ({"state": "held", "reason": "test_mode", "verdict": None}, ("waiting", "test_mode")),
        ({"state": "ready", "reason": "queued", "verdict": None}, ("waiting", "queued")),
        ({"verdict": "duplicate", "reason": "duplicate"}, None),
        ({"verdict": "recorded", "reason": "attribution_not_stated"}, None),
        ({"verdict": None, "reason": "original_not_counted"}, None),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
async def test_each_verdict_says_what_it_is_worth(
    scene: Scene, values: dict[str, Any], found: tuple[str, str] | None
) -> None:
    """What counts with a visitor is no finding."""
    await scene.report(sold("pay_1"))
    await scene.alter("pay_1", **values)
    report = await scene.reconcile(send=True)

    assert brief(report) == ([] if found is None else [(found[0], "pay_1", found[1])])
    assert report.taken_in == []


async def test_a_message_that_waits_for_a_person_is_not_missing(scene: Scene) -> None:
    """It came; `kit replay` has it read again, and a second one would help nobody."""
    await scene.report(sold("pay_1"), refunded("pay_1", 9900, id="msg_refund"))
    await scene.report(sold("pay_2", currency="XXX"))
    report = await scene.reconcile(send=True)

    assert brief(report) == [
        ("parked", "pay_2", "unknown_currency"),
        ("parked", "ref_1", "refund_exceeds_sale"),
    ]
    assert report.taken_in == []


async def test_a_reversal_that_was_read_and_found_to_be_none_is_not_missing(scene: Scene) -> None:
    """The sale was taken back whole before."""
    await scene.report(
        sold("pay_1"), refunded("pay_1"), disputed("pay_1", dispute_status="dispute_lost")
    )

    assert (await scene.rows()).keys() == {"pay_1", "ref_1"}
    assert brief(await scene.reconcile()) == []


async def test_disputes_that_the_shop_ignores_are_not_looked_at(scene: Scene) -> None:
    """KIT_DISPUTES=ignore."""
    scene.policy = Policy(reverse_disputes=False)
    await scene.report(sold("pay_1"))
    scene.at_dodo(disputed("pay_1", dispute_status="dispute_lost"))
    report = await scene.reconcile()

    assert brief(report) == []
    assert "disputes" not in report.seen


async def test_what_was_reported_and_dodo_does_not_know_is_named(scene: Scene) -> None:
    """A report of another account's payment, for example."""
    await scene.report(sold("pay_1"), sold("pay_2"))
    scene.shop.dodo_store.delete("payment", "pay_2")
    report = await scene.reconcile()

    assert brief(report) == [("mismatched", "pay_2", "unknown_to_dodo")]
    assert report.left_out == 0


async def test_renewals_are_taken_in_as_such(scene: Scene) -> None:
    """The ledger decides by what came before, in whatever order it is told."""
    scene.at_dodo(
        subscribed(),
        sold("pay_2", sub="sub_1", charge="renewal", on=8, visitor=None),
        sold("pay_1", sub="sub_1", charge="new", on=1),
    )
    await scene.follow(await scene.reconcile(send=True))
    renewals = {name: row["renewal"] for name, row in (await scene.rows()).items()}

    assert renewals == {"pay_1": False, "pay_2": True}
    assert (await scene.rows())["pay_2"]["visitor_id"] is not None


async def test_a_refund_whose_sale_is_older_than_the_period_waits_for_a_person(
    scene: Scene,
) -> None:
    """Whether that sale is in DataFast, nobody here can know."""
    scene.shop.clock.now += 60 * 86_400
    scene.at_dodo(sold("pay_1", on=1), refunded("pay_1", on=40))
    run = scene.reconciliation(send=True)
    run.report.reached_ms = run.began.since_ms + 20 * 86_400_000
    report = await run.run()
    [fate] = await scene.follow(report)

    assert brief(report) == [("taken_in", "ref_1", "never_reported")]
    assert (fate.standing, fate.reason) == ("not_sent", "original_not_reported")


async def test_held_test_payments_are_taken_in_and_not_sent(scene: Scene) -> None:
    """DataFast has no test mode; every hold applies to what is taken in as well."""
    scene.policy = Policy(held_for="test_mode")
    scene.at_dodo(sold("pay_1"))
    [fate] = await scene.follow(await scene.reconcile(send=True))

    assert (fate.standing, fate.reason) == ("put_off", "test_mode")
    assert await scene.at_datafast("payments") == []


async def test_whoever_asked_to_be_forgotten_is_not_remembered(scene: Scene) -> None:
    """Dodo's metadata keeps the visitor for years; the money counts, and names nobody."""
    now_ms = int(scene.shop.clock.now * 1000)
    await scene.shop.ledger.write(lambda connection: bury(connection, ADA, now_ms))
    scene.at_dodo(sold("pay_1"))
    [fate] = await scene.follow(await scene.reconcile(send=True))
    [counted] = await scene.at_datafast("payments")

    assert (fate.standing, fate.verdict) == ("sent", "recorded")
    assert counted["datafast_visitor_id"] is None
    assert ADA not in counted["raw"]


async def test_an_interrupted_run_goes_on_where_it_stopped(scene: Scene) -> None:
    """What was found before is counted, and nothing is read a second time."""
    scene.at_dodo(*(sold(f"pay_{number}", on=number) for number in range(20)))
    first = scene.reconciliation(send=True)
    await scene.shop.dodo.post(
        "/_sandbox/chaos", json={"mode": "500", "match": {"path": "/payments/pay_9"}}
    )
    with pytest.raises(DodoError):
        await first.run()
    kept = await scene.shop.ledger.read(kept_progress)

    assert kept is not None
    assert kept.found == first.report.counts
    assert 0 < kept.found["taken_in"] < 10

    await scene.shop.dodo.post("/_sandbox/chaos", json={"mode": "off"})
    before = len(await at_dodo(scene))
    second = scene.reconciliation(send=True, began=kept)
    report = await second.run()
    await scene.follow(report)
    read = [each["path"] for each in (await at_dodo(scene))[before:]]

    assert report.counts == {"taken_in": 20}
    assert report.progress.seen["payments"] == 20
    assert len(report.found) == 20 - kept.found["taken_in"]
    assert "/payments/pay_1" not in read
    assert len(await scene.rows()) == 20
    assert await scene.shop.ledger.read(kept_progress) is None


async def test_progress_is_told_after_each_window(scene: Scene) -> None:
    """From the first day to the last."""
    told: list[int] = []
    run = scene.reconciliation(on_progress=lambda report: told.append(report.reached_ms))
    await run.run()

    assert len(told) > 3
    assert told == sorted(told)
    assert told[-1] == run.began.until_ms


def test_each_finding_has_a_meaning() -> None:
    """What needs hands is among them."""
    assert set(NEEDS_HANDS) < set(MEANINGS)


async def at_dodo(scene: Scene) -> list[dict[str, Any]]:
    """Return the requests that Dodo received."""
    return list((await scene.shop.dodo.get("/_sandbox/requests")).json())
