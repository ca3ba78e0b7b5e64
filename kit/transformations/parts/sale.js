function sale(data, sentAt) {
  const amount = majorUnits(data.total_amount, data.currency);
  // Nothing was paid: the mandate of a free trial, or a full discount.
  if (!amount || !matches(data.payment_id, ID)) return null;
  if (!succeeded(data.status) || data.is_update_payment_method === true) return null;
  return report(amount, data.payment_id, { renewal: isRenewal(data) }, data, sentAt);
}

// Dodo may leave the status empty for a moment; the event's type has said it already.
function succeeded(status) {
  return status === undefined || status === null || status === "succeeded";
}

function isRenewal(data) {
  if (typeof data.charge_type === "string") return data.charge_type !== "new";
  // A one-time sale, or a payload from before August 2026: only a retry is surely a renewal.
  return Number.isInteger(data.retry_attempt) && data.retry_attempt > 0;
}
