"""What the doctor may find, told as hops.py tells it: the sentence, how bad it is, and the fix."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kit.reasons import Reason

_SERVE = "Is `kit serve` running there, with the settings of this environment?"
_RAW = (
    "Pass the bytes on as they came: no JSON parser before the signature check, no proxy or "
    "`dodo wh listen` that writes the body anew."
)

DIAGNOSES: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        "not_checked": Reason(
            "This could not be looked at, because something that it needs is wrong.",
            "wait",
            "Mend what fails above or below, and run the doctor again.",
        ),
        # The environment.
        "settings_whole": Reason("Every setting can be used."),
        "setting_wrong": Reason(
            "A setting cannot be used, and `kit serve` would not start.",
            "lost",
            "Set it as told, in the environment or in .env; the README lists every name.",
        ),
        "setting_for_server": Reason(
            "A setting that only the kit's own server needs is not there.",
            "warn",
            "Nothing to do for a shop with the copied file; before `kit serve`, set it as told.",
        ),
        "setting_unknown": Reason(
            "A variable is named like one of ours, and nothing reads it.",
            "warn",
            "Name it as the README does, or remove it.",
        ),
        "keys_in_shape": Reason("Each key looks like one of its kind."),
        "key_unusual": Reason(
            "A key does not look like one of its kind.",
            "warn",
            "Compare it with the dashboard: keys of two services are easily swapped.",
        ),
        "money_counted": Reason("Payments of this environment are reported where they count."),
        "live_to_sandbox": Reason(
            "Live payments would be reported to a stand-in on this machine.",
            "lost",
            "Unset DATAFAST_BASE_URL.",
        ),
        "test_money_counted": Reason(
            "Test payments are reported, and DataFast counts them as real.",
            "warn",
            "Keep KIT_SEND_TEST=1 only with a DataFast website that was made for tests.",
        ),
        "rate_too_high": Reason(
            "KIT_DATAFAST_RATE is above what DataFast allows, about 60 calls a minute.",
            "warn",
            "Set it to 50; other programs with the same key need their share too.",
        ),
        "rate_within": Reason("The rate of reports stays below what DataFast allows."),
        "addresses_hidden": Reason(
            "Nobody is trusted to name the visitors' addresses, so all seem to come from one city.",
            "warn",
            "Set KIT_TRUSTED_PROXIES to the address of the web server in front.",
        ),
        "addresses_known": Reason("Visitors' own addresses go along to DataFast."),
        "env_file_open": Reason(
            "Other users of this machine can read .env, and the keys in it.",
            "warn",
            "Run: chmod 600 .env.",
        ),
        # The machine.
        "browser_found": Reason("A browser is here for `kit verify` and `kit test`."),
        "browser_missing": Reason(
            "No browser starts here; `kit verify` and `kit test` need one.",
            "warn",
            "Run `kit test` once, or name a Chromium in KIT_BROWSER.",
        ),
        "folders_found": Reason("Templates and stylesheets are where they belong."),
        "folders_missing": Reason(
            "A part of the kit's own files is missing.", "lost", "Install or clone the kit again."
        ),
        # The clocks.
        "clocks_agree": Reason("The clocks agree with Dodo's."),
        "clocks_drift": Reason(
            "A clock runs away from Dodo's.", "warn", "Let the machine set its clock by NTP."
        ),
        "clock_wrong": Reason(
            "A clock is further from Dodo's than a webhook may be old, so all are refused.",
            "lost",
            "Set the clock of that machine, by NTP for example.",
        ),
        "clock_unknown": Reason("No answer told Dodo's time.", "warn", "Run the doctor again."),
        # The account at Dodo.
        "dodo_key_accepted": Reason("Dodo accepts the API key."),
        "dodo_key_refused": Reason(
            "Dodo refuses the API key.",
            "lost",
            "Copy it again, and set DODO_PAYMENTS_ENVIRONMENT to its mode: a test key is unknown "
            "in live mode, and the other way round.",
        ),
        "dodo_key_reads_only": Reason(
            "The API key may read and not write, so it opens no checkout.",
            "warn",
            "Make a key with write access, unless the shop opens its checkouts with another.",
        ),
        "dodo_silent": Reason(
            "Dodo's API gave no usable answer.",
            "lost",
            "Try again; then check DODO_PAYMENTS_BASE_URL and this machine's way out.",
        ),
        "endpoint_ready": Reason("Dodo sends its webhooks to this shop, payments among them."),
        "endpoint_missing": Reason(
            "Dodo has no webhook endpoint with this shop's address.",
            "lost",
            "Make one with `kit webhook create`, or set KIT_BASE_URL to the address Dodo knows.",
        ),
        "endpoint_local": Reason(
            "Dodo cannot reach an address on this machine.",
            "lost",
            "Open a tunnel, and set KIT_BASE_URL to its address.",
        ),
        "endpoint_by_cli": Reason(
            "Webhooks come through `dodo wh listen`, which writes each body anew.",
            "warn",
            "Good enough to try things out; where signatures do not fit, open a tunnel instead.",
        ),
        "endpoint_disabled": Reason(
            "The webhook endpoint is switched off at Dodo.",
            "lost",
            "Switch it on in the dashboard, under Developer, Webhooks.",
        ),
        "endpoint_without_payments": Reason(
            "The webhook endpoint does not ask for payment.succeeded.",
            "lost",
            "Add the event in the dashboard, under Developer, Webhooks.",
        ),
        "endpoint_without_events": Reason(
            "The webhook endpoint does not ask for every event that the kit reads.",
            "warn",
            "Add them in the dashboard: refunds, disputes and trials are missed without.",
        ),
        "endpoint_twice": Reason(
            "Two webhook endpoints lead to this shop, each with a secret of its own.",
            "warn",
            "Remove one in the dashboard; until then name both secrets, with a comma between.",
        ),
        "secret_fits": Reason("DODO_PAYMENTS_WEBHOOK_KEY is the endpoint's secret."),
        "secret_differs": Reason(
            "DODO_PAYMENTS_WEBHOOK_KEY is not the secret of this shop's endpoint.",
            "lost",
            "Copy it again from the endpoint's own page: each endpoint has its own, in each mode.",
        ),
        "card_absent": Reason("Nobody but this shop reports Dodo's payments to DataFast."),
        "card_beside": Reason(
            "Dodo's own DataFast endpoint reports as well; ids are the same, so no sale doubles.",
            "warn",
            "Remove one of the two: its reports lack refunds, renewals and unknown visitors.",
        ),
        "card_address_wrong": Reason(
            "Dodo's own DataFast endpoint posts to another path than the payments API.",
            "lost",
            "Set it to https://datafa.st/api/v1/payments, or remove it.",
        ),
        "card_takes_all": Reason(
            "Dodo's own DataFast endpoint is sent events besides payment.succeeded.",
            "warn",
            "Leave only what its script reads: the guide's passes all others on as they are.",
        ),
        # The account at DataFast.
        "datafast_writable": Reason(
            "The DataFast key may write: deleting a payment that never was is answered 404."
        ),
        "datafast_silent": Reason(
            "DataFast's API gave no usable answer.",
            "lost",
            "Try again; then check DATAFAST_BASE_URL and this machine's way out.",
        ),
        "datafast_unclear": Reason(
            "DataFast answered the delete of a payment that never was with something else.",
            "warn",
            "Look at the key in DataFast's settings: it needs write access.",
        ),
        # The webhook's way in.
        "shop_ready": Reason("The server answers, and its ledger takes writes."),
        "shop_is_another": Reason("The shop answers; it is not the kit's own server."),
        "shop_silent": Reason("The shop gives no answer at its address.", "lost", _SERVE),
        "shop_not_ready": Reason(
            "The server answers, and cannot keep its promises at the moment.",
            "lost",
            "See its log, the disk's free space and the database.",
        ),
        "message_accepted": Reason("A signed message came through unchanged, and was accepted."),
        "message_rewritten": Reason(
            "Something on the way rewrites the body, so that no signature of Dodo's fits.",
            "lost",
            _RAW,
        ),
        "message_refused": Reason(
            "The shop refuses messages that are signed with DODO_PAYMENTS_WEBHOOK_KEY.",
            "lost",
            "The server runs with another secret: start it again with this one.",
        ),
        "message_unguarded": Reason(
            "The shop takes messages with a wrong signature, so anybody can post sales.",
            "lost",
            "Check the signature before anything else, and answer 401 where it does not fit.",
        ),
        "receiver_missing": Reason(
            "There is no webhook receiver at this address.",
            "lost",
            "Correct the path, or name the whole address with --webhook.",
        ),
        "receiver_shut": Reason(
            "Something in front of the receiver refuses webhooks.",
            "lost",
            "Let the path through a firewall, a login or a bot filter: Dodo has none of these.",
        ),
        "receiver_fails": Reason("The receiver fails on a signed message.", "lost", "See its log."),
        "message_elsewhere": Reason(
            "The message is not in the ledger that KIT_DATABASE_URL names here.",
            "warn",
            "Run the doctor where the server runs, with its settings.",
        ),
        # The page.
        "page_silent": Reason(
            "The shop's page gives no answer.", "lost", "Name a page of the shop with --page."
        ),
        "page_unnamed": Reason(
            "There is no page at the shop's address to look at.",
            "warn",
            "Name one with --page, such as https://example.com/.",
        ),
        "script_tagged": Reason("The page has DataFast's script tag, payments left to the server."),
        "script_missing": Reason(
            "The landing page has no DataFast script.",
            "lost",
            "Add the script tag of DataFast's settings to the head of every page; where visitors "
            "are asked first, let this one agree.",
        ),
        "script_injected": Reason(
            "The page speaks of DataFast, and its HTML holds no script tag.",
            "warn",
            "If a tag manager or DataFast's SDK loads it, `kit verify` sees it in a browser.",
        ),
        "script_twice": Reason(
            "The page has DataFast's script tag more than once.", "warn", "Keep one of them."
        ),
        "script_other_website": Reason(
            "The script counts for another website than DATAFAST_WEBSITE_ID.",
            "lost",
            "Set data-website-id and DATAFAST_WEBSITE_ID to the id in DataFast's settings.",
        ),
        "script_domain_foreign": Reason(
            "The script's data-domain is not a domain of the host that takes the order.",
            "lost",
            "Set data-domain (DATAFAST_DOMAIN) to the root domain of the shop, as it is in "
            "DataFast's settings.",
        ),
        "script_domain_narrow": Reason(
            "The script's data-domain names one host, so its cookie stays away from the others.",
            "warn",
            "Set data-domain (DATAFAST_DOMAIN) to the root domain, without www.",
        ),
        "script_domain_other": Reason(
            "The script's data-domain is not DATAFAST_DOMAIN.",
            "warn",
            "Set both to the root domain of the shop, as it is in DataFast's settings.",
        ),
        "script_guesses_payments": Reason(
            "The script may take a parameter of an address for another provider's payment.",
            "lost",
            'Set data-disable-payments="true" on the tag: payments are reported by the server.',
        ),
        "script_silent_here": Reason(
            "On this machine's own address the script stays silent.",
            "warn",
            'Set data-allow-localhost="true" on the tag while you try things out.',
        ),
        "script_served": Reason("The script comes from the shop's own domain."),
        "script_from_datafast": Reason(
            "The script comes from DataFast's host, which blockers know.",
            "warn",
            "Serve the script and its events from your own domain; the kit's proxy does.",
        ),
        "script_unserved": Reason(
            "The page asks for DataFast's script, and does not get it.",
            "lost",
            "Pass /js/script.js and /api/events on to `kit serve`, or to DataFast.",
        ),
        "events_pass": Reason("Events find their way to DataFast."),
        "events_lost": Reason(
            "The script's events lead nowhere, so DataFast never sees a pageview.",
            "lost",
            "Pass /api/events on, as /js/script.js is, or set data-api-url on the tag.",
        ),
        "events_stuck": Reason(
            "The address for events answers, and does not reach DataFast.",
            "warn",
            "Check DATAFAST_BASE_URL and the proxy's way out.",
        ),
        "policy_allows": Reason("The page's security policy lets script, events and checkout be."),
        "policy_blocks_script": Reason(
            "The page's Content-Security-Policy blocks DataFast's script.",
            "lost",
            "Allow its host, or a nonce on its tag, in script-src.",
        ),
        "policy_blocks_events": Reason(
            "The page's Content-Security-Policy blocks the script's events.",
            "lost",
            "Allow their host in connect-src.",
        ),
        "policy_blocks_checkout": Reason(
            "The page's Content-Security-Policy keeps a form from leading on to Dodo.",
            "lost",
            "Allow https://*.dodopayments.com in form-action: browsers check redirects too.",
        ),
        "cookie_reaches_server": Reason("The visitor cookie's domain covers the shop's server."),
        # The ledger, and what it shows.
        "ledger_readable": Reason("The ledger is there, and can be read."),
        "ledger_absent": Reason(
            "There is no ledger yet; `kit serve` makes it.",
            "warn",
            "Nothing to do for a shop with the copied file. Else: is this the server's folder?",
        ),
        "ledger_older": Reason(
            "The ledger's tables are of an older version of the kit.",
            "warn",
            "Start `kit serve`: it brings them up to date.",
        ),
        "ledger_unusable": Reason(
            "The ledger cannot be used.", "lost", "See what it says, and KIT_DATABASE_URL."
        ),
        "nothing_yet": Reason("There is nothing to compare yet."),
        "webhooks_arrive": Reason("Webhooks about payments have arrived."),
        "visitors_captured": Reason("The server sees the visitor cookie at checkout."),
        "visitors_rarely_captured": Reason(
            "Most checkouts come without the visitor cookie.",
            "warn",
            "Serve the script from your own domain; open a checkout yourself and look at the "
            "cookies that its request carries.",
        ),
        "visitors_equal": Reason("Checkouts and Dodo's messages about them name the same visitor."),
        "visitor_changed": Reason(
            "Dodo's message names another visitor than the checkout did.",
            "lost",
            "Look for code that writes datafast_visitor_id into the metadata besides the kit's.",
        ),
        "visitor_not_passed": Reason(
            "A checkout knew its visitor, and Dodo's message about it does not.",
            "lost",
            "Send datafast_visitor_id in the checkout's own metadata, under exactly that name.",
        ),
        "amounts_agree": Reason("Every amount reported is the payment's, in its currency's units."),
        "amount_differs": Reason(
            "An amount reported is not what its payment and KIT_REVENUE_BASIS give.",
            "lost",
            "Compare the two; was the basis changed, or the payment at Dodo?",
        ),
        "reports_flow": Reason("No report is overdue."),
        "reports_stuck": Reason(
            "Reports are due, and nobody sends them.",
            "lost",
            "Is `kit serve` or `kit work` running on this ledger?",
        ),
        "nothing_parked": Reason("Nothing waits for a person."),
    }
)
