// Sales in every currency, renewals marked; the rest is cancelled.
//
// For Dodo's dashboard: Webhooks > Add Endpoint > DataFast > transformation. Paste all of it.
// Send it payment.succeeded.

function handler(webhook) {
  return transform(webhook, { "payment.succeeded": sale });
}

// <sale>
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
// </sale>

// <report>
// Put the report of an event in its place. An event without one is cancelled and emptied: DataFast
// never gets Dodo's own body. What Dodo makes of an exception is not documented, so none leaves.
function transform(webhook, reports) {
  let found = null;
  try {
    const payload = members(webhook.payload);
    const type = payload.type === undefined ? webhook.eventType : payload.type;
    if (Object.keys(reports).includes(type)) {
      found = reports[type](members(payload.data), utc(payload.timestamp));
    }
  } catch (error) {
    found = null;
  }
  webhook.cancel = found === null;
  webhook.payload = found === null ? {} : found;
  return webhook;
}

// DataFast's fields, and no others; one that is not known is left out, not null.
function report(amount, id, flags, data, sentAt) {
  const visitorId = members(data.metadata).datafast_visitor_id;
  const customerId = members(data.customer).customer_id;
  const timestamp = utc(data.created_at) || sentAt; // not the arrival: that may be hours later
  return Object.assign(
    { amount: amount, currency: data.currency, transaction_id: id },
    matches(visitorId, UUID) ? { datafast_visitor_id: visitorId } : {},
    matches(customerId, ID) ? { customer_id: customerId } : {},
    flags,
    timestamp === null ? {} : { timestamp: timestamp }
  );
}

// Minor units become the number with exactly those digits: a point is set, nothing is divided.
// Null where the currency is not known, or where a number would not hold the digits (16 or more).
function majorUnits(minor, currency) {
  const digits = exponent(currency);
  if (digits === null || !Number.isInteger(minor) || minor < 0 || minor >= 1e15) return null;
  if (digits === 0) return minor;
  const text = "000" + minor;
  return Number(text.slice(0, -digits) + "." + text.slice(-digits));
}

function exponent(currency) {
  const found = [0, 2, 3].find((digits) => CURRENCIES[digits].split(" ").includes(currency));
  return found === undefined ? null : found;
}

// An RFC 3339 time as UTC with milliseconds; null for anything else.
function utc(text) {
  const found = matches(text, TIME) ? TIME.exec(text) : null;
  if (found === null) return null;
  const written = found[1] + "T" + found[2] + "." + ((found[3] || "") + "000").slice(0, 3) + "Z";
  const clock = new Date(written);
  // Some engines roll 30 February over to March; then the text does not come back.
  if (isNaN(clock) || clock.toISOString() !== written) return null;
  const minutes = found[5] ? Number(found[6]) * 60 + Number(found[7]) : 0;
  const minutesEast = found[5] === "-" ? -minutes : minutes;
  const moment = new Date(clock.getTime() - minutesEast * 60000).toISOString();
  return /^(?!0000)\d{4}-/.test(moment) ? moment : null;
}

function members(value) {
  return typeof value === "object" && value !== null ? value : {};
}

function matches(value, pattern) {
  return typeof value === "string" && pattern.test(value);
}

const ID = /^[A-Za-z0-9_-]{1,128}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME =
  /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|([+-])([01]\d|2[0-3]):?([0-5]\d))?$/;
// </report>

// <currencies>
// Dodo's currencies, by how many decimals they have. A code of none is cancelled.
const CURRENCIES = {
  0:
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF",
  2:
    "AED ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD " +
    "CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD " +
    "HKD HNL HRK HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD " +
    "MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN " +
    "QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SZL THB TOP TRY TTD " +
    "TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW",
  3:
    "BHD IQD JOD KWD LYD OMR TND",
};
// </currencies>
