"""What a refund takes back where less than the whole price was counted: its share, rounded."""

from tests.money.messages import refunded, sold
from tests.money.rows import Pass, Sequence, back, new
from tests.money.sequences.sales import NET, SETTLEMENT, UNSETTLED

SALE = new("pay_1", "29")
RUPEES = sold(
    total=321356,
    tax=49020,
    currency="INR",
    settlement_amount=3422,
    settlement_tax=522,
    settlement_currency="USD",
)

SEQUENCES = (
    Sequence(
        name="net: a full refund takes back the net",
        steps=(sold(tax=483), refunded()),
        reports=(new("pay_1", "24.17"), back("ref_1", "24.17")),
        policy=NET,
    ),
    Sequence(
        name="net: halves round to the even cent, each alone",
        steps=(
            sold(total=200, tax=50),
            refunded(amount=3, is_partial=True),
            refunded(amount=6, is_partial=True, refund_id="ref_2"),
            refunded(amount=10, is_partial=True, refund_id="ref_3"),
        ),
        # 150 of 200 is counted: 2.25, 4.5 and 7.5 cents
        reports=(
            new("pay_1", "1.5"),
            back("ref_1", "0.02"),
            back("ref_2", "0.04"),
            back("ref_3", "0.08"),
        ),
        policy=NET,
    ),
    Sequence(
        name="settlement: a third of the rupees",
        steps=(RUPEES, refunded(amount=107119, currency="INR", is_partial=True)),
        # 29.00 x 107119 / 321356 = 9.6668 dollars
        reports=(SALE, back("ref_1", "9.67")),
        policy=SETTLEMENT,
    ),
    Sequence(
        name="settlement: three refunds drift by at most a cent each",
        steps=(
            RUPEES,
            refunded(amount=107119, currency="INR", is_partial=True),
            refunded(amount=107119, currency="INR", is_partial=True, refund_id="ref_2"),
            refunded(amount=107118, currency="INR", is_partial=True, refund_id="ref_3"),
        ),
        reports=(SALE, back("ref_1", "9.67"), back("ref_2", "9.67"), back("ref_3", "9.67")),
        policy=SETTLEMENT,
    ),
    Sequence(
        name="settlement: a refund too small for a cent",
        steps=(RUPEES, refunded(amount=10, currency="INR", is_partial=True)),
        reports=(SALE,),
        left={"refund ref_1": "skipped zero_amount"},
        policy=SETTLEMENT,
    ),
    Sequence(
        name="settlement: read from Dodo for the sale and its refund",
        steps=(
            sold(tax=400, without=UNSETTLED),
            refunded(amount=1450, is_partial=True),
        ),
        reports=(new("pay_1", "25"), back("ref_1", "12.5")),
        policy=SETTLEMENT,
    ),
    Sequence(
        name="gross: a price that changes later changes no refund",
        steps=(sold(), Pass(60), sold(total=3000, id="later"), refunded()),
        reports=(SALE, back("ref_1", "29")),
    ),
    Sequence(
        name="net: a tax that is told later changes no refund",
        steps=(sold(tax=None), Pass(60), sold(tax=483, id="later"), refunded()),
        reports=(SALE, back("ref_1", "29")),
        policy=NET,
    ),
    Sequence(
        name="settlement: a figure that changes later changes no refund",
        steps=(
            RUPEES,
            Pass(60),
            sold(
                total=321356,
                currency="INR",
                settlement_amount=3511,
                settlement_tax=522,
                settlement_currency="USD",
                id="later",
            ),
            refunded(amount=321356, currency="INR"),
        ),
        reports=(SALE, back("ref_1", "29")),
        policy=SETTLEMENT,
    ),
    Sequence(
        name="settlement: a sale that Dodo does not know waits for a person, and its refund too",
        steps=(sold(without=UNSETTLED), refunded()),
        absent=frozenset({"pay_1"}),
        left={
            "succeeded pay_1": "parked not_at_dodo",
            "refund ref_1": "parked not_at_dodo",
        },
        policy=SETTLEMENT,
        ordered="read first, the refund is of a payment that nobody has heard of",
    ),
    Sequence(
        name="settlement: missing at Dodo too, sale and refund wait for a person",
        steps=(sold(without=UNSETTLED), refunded()),
        at_dodo=(sold(settlement_amount=None, settlement_currency=None),),
        left={
            "succeeded pay_1": "parked settlement_missing",
            "refund ref_1": "parked settlement_missing",
        },
        policy=SETTLEMENT,
    ),
)
