"""The sender's signature, checked with the reference library."""

from datetime import UTC, datetime

from standardwebhooks import Webhook

from kit.sandbox.signer import new_secret, sign

SECRET = "whsec_ZG9kby1kYXRhZmFzdC1raXQtdGVzdC1zZWNyZXQtMDE="
BODY = (
    b'{"business_id":"bus_test","type":"payment.succeeded",'
    b'"timestamp":"2026-10-01T12:00:00.000000Z","data":{"payload_type":"Payment",'
    b'"payment_id":"pay_test1","total_amount":2900,"currency":"USD"}}'
)


def test_signature_of_a_known_message() -> None:
    """A message with a published-library signature gets the same one here."""
    headers = sign(SECRET, message_id="msg_test_1", timestamp_s=1_790_856_000, body=BODY)

    assert headers == {
        "webhook-id": "msg_test_1",
        "webhook-timestamp": "1790856000",
        "webhook-signature": "v1,nn6sJ2zqrlo4/Jw8suyJ439JcV21lKy7m11QYyQ19nw=",
    }


def test_signature_with_a_new_secret_verifies() -> None:
    """The reference library accepts what a freshly made secret signs."""
    secret = new_secret()
    now_s = int(datetime.now(UTC).timestamp())
    headers = sign(secret, message_id="msg_1", timestamp_s=now_s, body=b'{"a":1}')

    assert Webhook(secret).verify(b'{"a":1}', headers) == {"a": 1}
