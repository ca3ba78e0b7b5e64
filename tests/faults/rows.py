"""
Which test holds which fault. Outcomes are promised at the boundary: what a sender is answered, what
is on disk, what counts at DataFast.

A test whose name begins with a number belongs to that row; the guard checks both ways.
"""

from dataclasses import dataclass

STEPS = "tests/faults/test_steps.py"
STORM = "tests/faults/test_storm.py"
DATABASES = "tests/faults/test_databases.py"
ENDS = "tests/faults/test_ends.py"
PEERS = "tests/faults/test_peers.py"
CROWDS = "tests/faults/test_crowds.py"
DURABILITY = "tests/faults/test_durability.py"
BACKLOGS = "tests/faults/test_backlogs.py"
CRASHES = "tests/ledger/test_crashes.py"
WRITER = "tests/ledger/test_writer.py"
CLAIMS = "tests/ledger/test_claims.py"
CLOCK = "tests/ledger/test_clock.py"
MAPPING = "tests/ledger/test_mapping.py"
POSTGRES = "tests/ledger/test_postgres.py"
REPLAYS = "tests/ledger/test_replays.py"
SQLITE = "tests/ledger/test_sqlite.py"
VERSIONS = "tests/ledger/test_versions.py"
FORWARDER = "tests/test_forwarder.py"
CLIENTS = "tests/test_clients.py"
SERVER = "tests/test_server.py"
OUTCOMES = "tests/test_outcomes.py"
RECEIVER = "tests/web/test_receiver.py"
HEALTH = "tests/web/test_health.py"
CHECKOUT = "tests/web/test_checkout.py"
INSPECTOR = "tests/web/inspector/test_listing.py"
ACTIONS = "tests/web/inspector/test_actions.py"
WORKERS = "tests/cli/test_workers.py"
SERVE = "tests/cli/test_serve.py"
REPLY = "tests/helpers/test_reply.py"
PAYMENT = "tests/helpers/test_payment.py"
MONEY = "tests/helpers/test_money.py"
VISITOR = "tests/helpers/test_visitor.py"
SIGNATURE = "tests/helpers/test_signature.py"
EVENT = "tests/helpers/test_event.py"
ADDRESSES = "tests/helpers/test_checkout.py"
SEQUENCES = "tests/money/test_sequences.py"
CONSERVATION = "tests/money/test_conservation.py"
ORDERS = "tests/money/test_orders.py"
HOSTILE = "tests/money/test_hostile.py"

BEFORE = f"{STEPS}::test_a_kill_before_the_answer_leaves_a_message_that_dodo_sends_again"
AFTER = f"{STEPS}::test_a_kill_after_the_answer_costs_at_most_a_repeat"
DURING = f"{STEPS}::test_5_a_kill_while_datafast_has_the_report_costs_one_repeat"
STORMS = f"{STORM}::test_storms_on_both_databases_lose_nothing_and_double_nothing"
FAULT = f"{FORWARDER}::test_a_fault_has_its_state_and_ends_in_one_counted_sale"
LOST_ANSWER = f"{FORWARDER}::test_an_answer_lost_after_the_sale_was_stored_is_a_duplicate_later"


@dataclass(frozen=True, slots=True)
class Row:
    """A fault and the tests that play it, by file and name; what cannot be played says why."""

    number: int | None
    fault: str
    held_by: tuple[str, ...] = ()
    not_here: str = ""


ROWS = (
    # The process and its database.
    Row(1, "kill -9 while the body is read", (BEFORE,)),
    Row(2, "kill -9 after the signature was verified, before the commit", (BEFORE,)),
    Row(3, "kill -9 after the commit, before the 200", (BEFORE, STORMS)),
    Row(4, "kill -9 after the claim, before the post", (AFTER, STORMS)),
    Row(5, "kill -9 during or after the post, before it is written down", (AFTER, DURING, STORMS)),
    Row(
        6,
        "kill -9 during an upgrade or the first start",
        (
            f"{CRASHES}::test_a_first_start_killed_anywhere_leaves_a_database_that_can_be_used",
            f"{CRASHES}::test_6_an_upgrade_killed_anywhere_is_done_by_the_next_start",
            f"{POSTGRES}::test_several_processes_may_start_first_at_once",
        ),
    ),
    Row(
        7,
        "a machine that is gone for good",
        (
            f"{PEERS}::test_7_what_a_machine_had_under_way_is_taken_over_when_it_is_gone_for_good",
            f"{WORKERS}::test_a_worker_that_dies_is_replaced",
        ),
    ),
    Row(
        8,
        "SIGTERM under load",
        (
            f"{ENDS}::test_8_a_stop_under_load_answers_what_it_has_taken",
            f"{SERVER}::test_a_signal_finishes_what_is_under_way",
            f"{WORKERS}::test_several_workers_take_webhooks_and_end_in_order",
        ),
    ),
    Row(
        9,
        "disk full on intake",
        (
            f"{DATABASES}::test_9_10_a_full_disk_is_503_until_there_is_room",
            f"{CRASHES}::test_a_disk_that_fills_at_the_commit_takes_nothing_and_recovers",
            f"{WRITER}::test_a_full_database_takes_nothing_and_recovers",
        ),
        "A PostgreSQL's own disk cannot be filled without mounting one; what it says then is the "
        "same kind of error as a server that is away (row 13).",
    ),
    Row(
        10,
        "disk full when the answer is to be written down",
        (
            f"{DATABASES}::test_9_10_a_full_disk_is_503_until_there_is_room",
            f"{FORWARDER}::test_a_verdict_that_cannot_be_written_is_asked_for_again",
        ),
    ),
    Row(
        11,
        "database locked by another process",
        (
            f"{RECEIVER}::test_11_a_locked_ledger_is_503_and_recovers_by_itself",
            f"{RECEIVER}::test_11_a_ledger_that_gives_no_answer_is_503_in_time",
            f"{WRITER}::test_a_lock_held_too_long_is_told_and_recovered_from",
            f"{POSTGRES}::test_a_turn_that_does_not_come_is_told_and_recovered_from",
            f"{HEALTH}::test_a_locked_ledger_is_not_ready_and_recovers",
        ),
    ),
    Row(
        12,
        "a second process on the same SQLite file",
        (
            f"{DATABASES}::test_12_a_second_server_on_a_file_is_refused",
            f"{WORKERS}::test_a_second_process_on_a_file_is_refused",
            f"{CRASHES}::test_a_second_process_is_refused_until_the_first_is_gone",
        ),
    ),
    Row(
        13,
        "PostgreSQL restarted again and again",
        (
            f"{DATABASES}::test_13_a_postgres_that_is_stopped_is_503_until_it_is_back",
            STORMS,
        ),
    ),
    Row(
        14,
        "outcome of a commit unknown: the connection was lost in it",
        (
            f"{POSTGRES}::test_a_connection_lost_in_the_commit_is_no_success",
            f"{POSTGRES}::test_a_connection_lost_before_the_commit_is_made_again",
        ),
    ),
    Row(
        15,
        "damaged SQLite file",
        (
            f"{DATABASES}::test_15_a_damaged_file_is_refused_and_not_replaced",
            f"{SQLITE}::test_a_damaged_file_is_refused_untouched",
        ),
    ),
    Row(
        16,
        "power loss: what is on disk before the 200 leaves",
        (
            f"{DURABILITY}::test_16_the_log_is_synced_between_the_write_and_the_answer",
            f"{SQLITE}::test_the_writing_connection_survives_a_power_cut",
            f"{POSTGRES}::test_a_server_that_puts_speed_first_is_told_to_put_safety_first",
        ),
        "Power cannot be cut here; what is shown is the order in which the kit asks for it.",
    ),
    Row(
        17,
        "the writer's thread dies",
        (
            f"{ENDS}::test_17_a_process_whose_writer_has_died_ends_for_a_new_one",
            f"{HEALTH}::test_17_a_dead_writer_is_broken_for_good",
            f"{SERVER}::test_17_an_app_that_is_broken_for_good_ends_all_with_its_sentence",
            f"{WRITER}::test_a_dead_writer_is_told_to_everybody",
        ),
    ),
    # DataFast.
    Row(18, "500, 502, 503, 504", (FAULT, f"{REPLY}::test_each_answer_has_its_row", STORMS)),
    Row(
        19,
        "429 with Retry-After in every form",
        (
            FAULT,
            f"{REPLY}::test_retry_after_is_honoured_and_clamped",
            f"{REPLY}::test_the_body_s_reset_is_honoured_and_clamped",
            f"{FORWARDER}::test_a_rate_limit_slows_the_whole_lane",
            STORMS,
        ),
    ),
    Row(20, "408, 425", (f"{REPLY}::test_each_answer_has_its_row",)),
    Row(
        21,
        "400, 422",
        (
            f"{REPLY}::test_each_answer_has_its_row",
            f"{FORWARDER}::test_a_refused_sale_is_parked_with_datafasts_words",
            f"{ACTIONS}::test_what_is_parked_is_released_in_bulk",
        ),
    ),
    Row(
        22,
        "401, 403",
        (
            f"{FORWARDER}::test_a_refused_key_pauses_the_lane_and_burns_nothing",
            f"{FORWARDER}::test_a_changed_key_goes_on_without_loss",
            f"{INSPECTOR}::test_a_refused_key_is_an_alarm_that_says_what_to_do",
        ),
    ),
    Row(
        23,
        "404, 410 or a page that is not the API's",
        (
            f"{REPLY}::test_each_answer_has_its_row",
            f"{FORWARDER}::test_a_key_that_is_right_again_lets_all_go_on",
        ),
    ),
    Row(
        24,
        "200 with a page, nothing, or what is no JSON",
        (FAULT, f"{REPLY}::test_a_success_that_proves_nothing_says_why", STORMS),
    ),
    Row(25, "3xx", (FAULT, f"{CLIENTS}::test_a_redirect_is_an_answer_not_an_order", STORMS)),
    Row(
        26,
        "connection refused, no such name, TLS that proves nothing",
        (
            f"{CLIENTS}::test_nobody_there_is_told_apart",
            f"{CLIENTS}::test_nobody_there_is_a_retry",
            f"{CLIENTS}::test_26_a_name_that_does_not_resolve_is_nobody_there",
            f"{CLIENTS}::test_26_a_certificate_that_nobody_vouches_for_is_refused",
        ),
    ),
    Row(
        27,
        "connection reset before, during or after the answer",
        (FAULT, LOST_ANSWER, f"{CLIENTS}::test_a_broken_answer_is_none", STORMS),
    ),
    Row(
        28,
        "an answer of one byte a second",
        (FAULT, f"{CLIENTS}::test_one_deadline_covers_the_whole_exchange", STORMS),
    ),
    Row(
        29,
        "an answer without an end",
        (
            f"{CLIENTS}::test_an_answer_without_an_end_is_cut_off",
            f"{CLIENTS}::test_a_packed_answer_cannot_become_large",
        ),
    ),
    Row(
        30,
        "a black hole for three days, then back",
        (
            f"{BACKLOGS}::test_30_a_black_hole_of_three_days_ends_without_a_stampede",
            f"{FORWARDER}::test_datafast_back_after_three_days_less_an_hour_gets_everything",
            f"{FORWARDER}::test_three_days_of_silence_park_a_sale",
            f"{PEERS}::test_the_limit_is_kept_by_all_processes_together",
        ),
    ),
    Row(
        31,
        "taken, and answered after our deadline",
        (LOST_ANSWER, f"{FORWARDER}::test_a_worker_that_comes_too_late_changes_nothing", STORMS),
    ),
    # Webhooks.
    Row(
        32,
        "one id fifty times at once, on two machines",
        (
            f"{RECEIVER}::test_32_fifty_identical_deliveries_at_once_are_one_row",
            f"{RECEIVER}::test_32_no_duplicate_is_answered_before_the_first_is_on_disk",
            f"{RECEIVER}::test_32_duplicates_of_what_could_not_be_stored_are_not_told_that_it_was",
            f"{POSTGRES}::test_the_same_message_at_two_processes_is_one_row",
        ),
    ),
    Row(
        33,
        "another id, the same payment",
        (
            f"{RECEIVER}::test_33_another_id_for_the_same_payment_is_another_event",
            f"{MAPPING}::test_another_message_about_a_payment_makes_no_second_report",
            STORMS,
        ),
    ),
    Row(
        34,
        "the same id, another body",
        (
            f"{RECEIVER}::test_34_the_first_body_of_an_id_stays",
            f"{WRITER}::test_another_body_under_the_same_id_is_noted_and_dropped",
        ),
    ),
    Row(
        35,
        "refund before its payment",
        (
            f"{MAPPING}::test_what_lacks_its_payment_waits_for_it",
            f"{ORDERS}::test_any_order_comes_to_the_same",
            f"{SEQUENCES}::test_sequence",
            STORMS,
        ),
    ),
    Row(
        36,
        "renewal and first payment of a subscription",
        (
            f"{MAPPING}::test_a_subscription_charge_is_new_or_renewed",
            f"{CONSERVATION}::test_a_subscription_s_life_adds_up",
        ),
    ),
    Row(
        37,
        "failed payments, unknown types, new fields, missing fields",
        (
            f"{RECEIVER}::test_37_an_event_that_is_no_sale_is_not_an_error",
            f"{HOSTILE}::test_no_message_stops_the_ledger",
        ),
    ),
    Row(
        38,
        "an amount that is none",
        (
            f"{PAYMENT}::test_an_amount_that_is_none_is_skipped",
            f"{PAYMENT}::test_an_amount_that_is_not_finite_never_reaches_the_mapping",
            f"{PAYMENT}::test_a_zero_payment_is_skipped",
            f"{MAPPING}::test_money_that_cannot_be_told_is_parked",
        ),
    ),
    Row(
        39,
        "unknown currencies, and those of no or three decimals",
        (
            f"{PAYMENT}::test_an_unknown_currency_is_skipped",
            f"{PAYMENT}::test_the_currency_decides_the_divisor",
            f"{MONEY}::test_exponents_are_the_standard_s",
        ),
    ),
    Row(
        40,
        "no metadata, or no visitor in it",
        (
            f"{PAYMENT}::test_a_sale_without_a_usable_visitor_is_reported_all_the_same",
            f"{FORWARDER}::test_a_sale_without_a_visitor_is_recorded",
            STORMS,
        ),
    ),
    Row(
        41,
        "a visitor id that is none",
        (
            f"{PAYMENT}::test_a_sale_without_a_usable_visitor_is_reported_all_the_same",
            f"{VISITOR}::test_a_value_that_is_no_canonical_uuid4_is_dropped",
        ),
    ),
    Row(42, "no payment id", (f"{PAYMENT}::test_a_sale_without_a_payment_id_is_skipped",)),
    Row(
        43,
        "a signature that is wrong, missing, cut off or of another key",
        (
            f"{RECEIVER}::test_43_an_unproven_message_is_refused_and_not_stored",
            f"{RECEIVER}::test_43_one_changed_byte_of_the_body_is_refused",
            f"{SIGNATURE}::test_only_signature_errors_escape_for_unsigned_input",
        ),
    ),
    Row(
        44,
        "old and future messages with a valid signature",
        (
            f"{RECEIVER}::"
            "test_44_a_validly_signed_message_out_of_time_is_refused_counted_and_alarmed",
            f"{RECEIVER}::test_44_inside_the_window_the_id_alone_guards_against_a_replay",
            f"{RECEIVER}::test_44_a_forged_old_message_raises_no_alarm",
        ),
    ),
    Row(
        45,
        "the host's clock is off, or is set back",
        (
            f"{RECEIVER}::test_45_a_clock_set_right_again_takes_what_it_refused",
            f"{CLOCK}::test_a_clock_set_back_does_not_stop_the_time",
            f"{CLOCK}::test_a_clock_set_forward_is_followed",
            f"{CLOCK}::test_a_shared_ledger_goes_by_the_time_of_its_server",
            f"{CLAIMS}::test_a_clock_set_back_neither_refills_nor_blocks",
        ),
    ),
    Row(
        46,
        "rotation of the webhook's secret",
        (
            f"{RECEIVER}::test_46_both_secrets_are_good_while_both_are_set",
            f"{RECEIVER}::test_46_a_message_may_carry_the_signatures_of_both_secrets",
        ),
    ),
    Row(
        47,
        "a body of 64 kB and one byte, of 200 MB, or of another length than it says",
        (
            f"{RECEIVER}::test_47_a_body_of_64_kb_is_taken_and_one_byte_more_is_not",
            f"{RECEIVER}::test_47_a_body_that_does_not_say_its_length_is_cut_off",
            f"{RECEIVER}::test_47_a_declared_length_is_refused_early_and_never_trusted",
            f"{SERVER}::test_47_headers_past_the_limit_are_not_served",
            f"{SERVE}::test_memory_stays_flat_under_bodies_of_200_mb",
        ),
    ),
    Row(
        48,
        "bodies that cannot be read",
        (
            f"{RECEIVER}::test_48_a_signed_oddity_is_kept_with_its_reason",
            f"{RECEIVER}::test_48_an_unsigned_oddity_is_refused",
            f"{EVENT}::test_any_bytes_are_an_event_or_a_payload_error",
        ),
    ),
    Row(
        49,
        "signature headers twice or missing, an id with a dot",
        (
            f"{RECEIVER}::test_49_a_header_that_comes_twice_is_refused",
            f"{RECEIVER}::test_49_a_missing_header_is_refused",
            f"{RECEIVER}::test_49_an_id_that_could_shift_the_signed_text_is_refused",
            f"{RECEIVER}::test_49_header_bytes_beyond_ascii_are_refused",
        ),
    ),
    Row(
        50,
        "slow headers, slow bodies, answers that nobody reads, more idle connections than files",
        (
            f"{SERVER}::test_50_headers_that_do_not_come_are_given_up",
            f"{SERVER}::test_50_headers_that_dribble_are_given_up",
            f"{SERVER}::test_50_an_answered_connection_has_the_same_deadline",
            f"{SERVER}::test_50_a_signed_webhook_is_served_beside_two_thousand_idle_connections",
            f"{SERVER}::test_50_of_too_many_connections_the_idlest_is_closed",
            f"{SERVER}::test_50_who_waits_for_an_answer_is_not_the_idlest",
            f"{SERVER}::test_50_of_too_many_connections_those_that_never_read_are_closed",
            f"{SERVER}::test_50_an_answer_that_is_not_read_is_given_up",
            f"{CROWDS}::test_50_webhooks_pass_a_crowd_that_wants_more_files_than_there_are",
            f"{RECEIVER}::test_50_a_body_that_does_not_come_is_given_up",
            f"{CHECKOUT}::test_50_a_form_that_does_not_come_is_given_up",
        ),
    ),
    Row(
        51,
        "other methods and content types",
        (
            f"{RECEIVER}::test_51_another_method_is_told_which_one_to_use",
            f"{RECEIVER}::test_51_the_content_type_is_not_relied_upon",
        ),
    ),
    # The checkout, and what people do.
    Row(
        52,
        "Dodo fails when a checkout is to be opened",
        (
            f"{CHECKOUT}::test_52_a_failing_dodo_is_a_page_that_says_so_within_the_deadline",
            f"{CHECKOUT}::test_52_one_failure_is_retried_without_the_buyer_noticing",
            f"{CLIENTS}::test_a_fault_that_stays_is_told_after_two_tries",
        ),
    ),
    Row(
        53,
        "no cookie, a hostile one, two of one name",
        (
            f"{CHECKOUT}::test_53_the_checkout_works_whatever_the_cookies_are",
            f"{VISITOR}::test_any_header_is_read_without_an_error",
        ),
    ),
    Row(
        54,
        "a hostile return address",
        (
            f"{CHECKOUT}::test_54_a_form_names_a_product_and_nothing_else",
            f"{CHECKOUT}::test_54_the_return_address_is_not_built_from_the_host_header",
            f"{ADDRESSES}::test_a_return_url_that_is_not_absolute_is_refused",
        ),
    ),
    Row(
        55,
        "posts from other sites, and floods",
        (
            f"{CHECKOUT}::test_55_only_a_page_of_this_shop_places_an_order",
            f"{CHECKOUT}::test_55_a_flood_is_stopped_before_dodo_is_called",
            f"{CHECKOUT}::test_55_all_buyers_together_stay_under_dodos_limit",
            f"{CHECKOUT}::test_55_a_forged_forwarding_header_buys_no_second_budget",
        ),
    ),
    Row(
        56,
        "two workers and one row; a worker that sleeps past its lease",
        (
            f"{PEERS}::"
            "test_56_a_machine_that_sleeps_past_its_lease_changes_nothing_when_it_wakes_up",
            f"{FORWARDER}::test_two_workers_share_the_work",
            f"{FORWARDER}::test_a_worker_that_comes_too_late_changes_nothing",
            f"{CLAIMS}::test_a_late_workers_word_is_ignored",
        ),
    ),
    Row(
        57,
        "what fails, or kills its worker, each time",
        (
            f"{FORWARDER}::test_a_row_that_kills_its_worker_each_time_comes_to_an_end",
            f"{FORWARDER}::test_57_a_lookup_that_fails_each_time_stops_nothing_else",
            f"{MAPPING}::"
            "test_57_a_message_that_fails_each_time_is_set_aside_and_its_neighbours_are_read",
            f"{HEALTH}::test_a_forwarder_that_fails_is_started_again",
        ),
    ),
    Row(
        58,
        "ten thousand dead rows replayed, twice",
        (
            f"{REPLAYS}::test_ten_thousand_dead_reports_are_replayed_twice",
            f"{REPLAYS}::test_a_replay_goes_no_faster_than_the_lane",
        ),
    ),
    Row(
        59,
        "upgrade with rows in flight; downgrade",
        (
            f"{DATABASES}::test_59_what_an_older_kit_had_under_way_is_finished_by_this_one",
            f"{DATABASES}::test_59_what_a_newer_kit_wrote_is_refused",
            f"{VERSIONS}::test_an_older_ledger_becomes_what_a_new_one_is",
            f"{VERSIONS}::test_an_unknown_version_is_refused_untouched",
        ),
    ),
    Row(
        60,
        "a backup of two hours ago is restored",
        (f"{BACKLOGS}::test_60_a_backup_of_two_hours_ago_converges",),
        "Played on SQLite: a PostgreSQL's backup is the business of its own tools, and what then "
        "happens to the rows is the same code.",
    ),
    Row(
        None,
        "a poison row inside a commit group",
        (
            f"{WRITER}::test_a_poison_row_fails_alone",
            f"{WRITER}::test_a_failing_write_gets_its_own_exception",
            f"{HOSTILE}::test_no_message_stops_the_ledger",
        ),
    ),
)
