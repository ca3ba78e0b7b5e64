// A free trial is reported once: its id is the subscription's, and a subscription that is
// reactivated after the trial's time sends the event again. A paid trial is a sale.
function trial(data, sentAt) {
  const days = data.trial_period_days;
  if (!Number.isInteger(days) || days < 1 || days > 10000 || data.trial_amount) return null;
  const amount = majorUnits(0, data.currency);
  if (amount === null || !matches(data.subscription_id, ID) || sentAt === null) return null;
  const startedAt = utc(data.created_at) || sentAt;
  if (Date.parse(sentAt) - Date.parse(startedAt) >= days * 86400000) return null;
  const flags = { renewal: false, is_free_trial: true };
  return report(amount, "trial_" + data.subscription_id, flags, data, sentAt);
}
