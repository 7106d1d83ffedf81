"""The table of risks of a gateway without a page: each row, and the tests that hold it.

A row is kept by tests of this folder, and by those that stood elsewhere before; all of them must exist.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
_HERE = "server/security/test_security_"

ROWS: dict[str, tuple[str, ...]] = {
    "missing auth": (
        _HERE + "doors.py::test_every_route_and_method_in_every_spelling_needs_a_key",
        _HERE + "doors.py::test_no_field_opens_a_route",
        _HERE + "doors.py::test_an_absolute_target_is_no_way_round",
        "server/test_server_keys.py::test_every_route_but_health_needs_a_key",
        "server/test_server_mounting.py::test_websockets_are_refused",
    ),
    "key storage": (
        "server/test_server_keys.py::test_a_key_is_stored_as_its_digest",
        "server/test_server_keys.py::test_modes",
        _HERE + "secrets.py::test_a_key_is_in_nobodys_arguments",
    ),
    "compare": (
        "server/test_server_keys.py::test_keys_are_compared_once_and_as_digests",
        _HERE + "doors.py::test_odd_keys_are_wrong_keys",
        _HERE + "doors.py::test_the_right_key_twice_is_none",
    ),
    "brute force and flood": (
        "server/test_server_limits.py::test_ten_thousand_wrong_keys",
        "server/test_server_limits.py::test_the_table_of_addresses_is_bounded",
        "server/test_server_keys.py::test_the_body_of_a_stranger_is_not_read",
    ),
    "objects of others": (
        "server/test_server_stored.py::test_a_response_belongs_to_the_key_that_asked",
        "server/test_server_ledger.py::test_responses_belong_to_a_key",
        _HERE + "evasion.py::test_one_key_cannot_push_out_the_responses_of_another",
        _HERE + "injection.py::test_ids_are_never_the_clients",
    ),
    "DNS rebinding": (
        "server/test_server_gate.py::test_host",
        "server/test_server_gate.py::test_host_must_be_there_once",
        _HERE + "doors.py::test_another_host_is_refused_on_every_route",
        "server/test_server_forwarded.py::test_a_forwarded_host_is_checked_beside_the_host",
    ),
    "CSRF and CORS": (
        _HERE + "doors.py::test_a_page_of_another_origin_changes_nothing",
        _HERE + "doors.py::test_a_preflight_gives_nothing_away",
        "server/test_server_gate.py::test_origin",
    ),
    "0.0.0.0": (
        _HERE + "secrets.py::test_every_address_without_keys_is_refused_with_exit_code_2",
        "server/test_server_serve.py::test_other_machines_are_not_served_without_keys",
    ),
    "path traversal": (
        _HERE + "files.py::test_paths_that_lead_out_open_nothing",
        _HERE + "files.py::test_file_names_of_forms_open_nothing",
        _HERE + "files.py::test_paths_in_place_of_media_open_nothing",
        _HERE + "injection.py::test_a_name_of_a_model_leads_to_no_other_path",
    ),
    "SSRF": (
        _HERE + "files.py::test_nobody_is_asked_for_an_address_that_a_client_names",
        _HERE + "files.py::test_nobody_is_asked_for_it_before_a_back_end_that_wants_bytes",
        _HERE + "files.py::test_an_address_in_place_of_a_provider_or_model_is_asked_nothing",
        _HERE + "doors.py::test_the_body_cannot_bring_keys_or_places",
    ),
    "data URI and base64 bomb": (
        _HERE + "bombs.py::test_five_thousand_tiny_pictures_are_too_many",
        _HERE + "bombs.py::test_pictures_spread_over_many_messages_are_counted_together",
        _HERE + "bombs.py::test_a_body_above_the_cap_is_refused_before_it_is_read",
        "server/test_bodies.py::test_memory_does_not_grow_with_the_media",
    ),
    "JSON bomb": (
        _HERE + "bombs.py::test_deep_json_is_an_answer_and_never_a_defect",
        "server/test_server_json_suite.py::test_the_json_suite",
    ),
    "decompression bomb": (
        _HERE + "bombs.py::test_packed_requests_are_not_unpacked",
        _HERE + "bombs.py::test_a_packed_bomb_of_a_back_end_is_bounded",
    ),
    "slow clients": (
        _HERE + "bombs.py::test_five_hundred_half_open_sockets_hold_nobody_up",
        "server/test_server_protocol.py::test_an_unfinished_head_is_closed",
        "server/test_server_protocol.py::test_a_client_that_reads_nothing_is_left",
        "server/test_server_ready.py::test_a_body_that_trickles_is_a_408",
        "server/test_server_protocol.py::test_more_connections_than_allowed_are_a_503",
    ),
    "smuggling": (
        _HERE + "bombs.py::test_what_llhttp_must_refuse_is_refused_on_the_socket",
        _HERE + "bombs.py::test_a_body_whose_end_is_in_doubt_is_refused",
        "server/test_server_odd_framing.py::test_trailer_fields_are_not_header_fields",
        "server/test_server_odd_framing.py::test_an_upgrade_cannot_hide_a_request_in_a_body",
    ),
    "header injection": (
        _HERE + "injection.py::test_naughty_names_of_models_add_no_line_at_the_back_end",
        _HERE + "injection.py::test_naughty_strings_in_every_text_of_a_request",
        _HERE + "injection.py::test_a_clients_fields_go_nowhere_but_where_they_should",
        _HERE + "injection.py::test_a_back_ends_type_of_sound_adds_no_line",
        _HERE + "injection.py::test_a_file_name_stays_within_its_field_on_the_way_up",
        _HERE + "injection.py::test_a_back_ends_wait_is_a_number_of_seconds_or_left_out",
    ),
    "SSE injection": (
        _HERE + "injection.py::test_relayed_text_stays_one_field_through_every_pair_of_dialects",
        _HERE + "injection.py::test_a_model_that_the_client_names_is_no_event",
        "server/test_server_streams.py::test_relayed_text_cannot_add_fields",
    ),
    "log redaction": (
        _HERE + "secrets.py::test_no_secret_shows_anywhere",
        _HERE + "evasion.py::test_a_line_of_the_log_is_one_line_whatever_a_name_is",
        _HERE + "evasion.py::test_a_model_that_its_provider_does_not_know_is_not_logged",
        "server/test_server_records.py::test_the_list_of_what_is_logged_is_closed",
        "server/test_server_records.py::test_no_secret_is_logged_at_any_level",
    ),
    "prompts at rest": (
        _HERE + "secrets.py::test_a_stored_prompt_is_in_the_state_file_and_gone_when_it_is_deleted",
        "server/test_server_ledger.py::test_what_was_removed_is_overwritten",
        "server/test_server_ledger.py::test_modes",
        "server/test_server_ledger.py::test_responses_age",
    ),
    "media served back": (_HERE + "injection.py::test_the_type_of_a_sound_is_a_type_of_sound",),
    "resource exhaustion": (
        _HERE + "evasion.py::test_one_more_than_allowed_is_refused_and_others_are_served",
        _HERE + "evasion.py::test_requests_at_the_same_time_are_counted_one_by_one",
        _HERE + "evasion.py::test_every_route_that_takes_a_body_passes_the_door",
        _HERE + "evasion.py::test_names_that_clients_make_up_fill_no_table_of_metrics",
        "server/test_server_limits.py::test_requests_of_a_minute_are_refused_in_the_dialect",
    ),
    "ways round the limits": (
        _HERE + "evasion.py::test_no_name_leads_to_a_model_that_the_key_may_not_use",
        _HERE + "evasion.py::test_further_models_of_a_request_are_no_way_round",
        _HERE + "evasion.py::test_routes_and_spellings_of_the_key_share_one_count",
        _HERE + "evasion.py::test_what_a_response_goes_on_from_is_charged_too",
        _HERE + "evasion.py::test_a_chain_of_responses_is_no_longer_than_what_it_says",
        "server/test_server_limits.py::test_going_away_saves_nothing",
    ),
    "supply chain": (
        _HERE + "supply.py::test_the_wheel_is_the_tree",
        _HERE + "supply.py::test_nothing_of_the_wheel_runs_by_itself",
        _HERE + "supply.py::test_there_are_few_packages_of_others",
        _HERE + "supply.py::test_the_server_runs_nothing_that_a_request_says",
    ),
    "errors": (
        _HERE + "fuzz.py::test_ten_thousand_requests",
        _HERE + "secrets.py::test_an_error_tells_no_place",
        _HERE + "secrets.py::test_a_defect_tells_nothing_in_any_dialect",
        _HERE + "secrets.py::test_refusals_have_the_form_of_their_dialect_and_say_little",
        "server/test_server_fuzz.py::test_any_bytes",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_the_row_exist(row: str) -> None:
    assert ROWS[row]
    for name in ROWS[row]:
        path, _, wanted = name.partition("::")
        tree = ast.parse((TESTS / path).read_text())
        found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        (test,) = [node for node in found if node.name == wanted]
        assert not any(
            "skip" in ast.unparse(each) and "skipif" not in ast.unparse(each) for each in test.decorator_list
        )


def test_no_test_of_this_folder_is_of_no_row() -> None:
    """Not each is named above, but each file is."""
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert files == {name.partition("::")[0].rpartition("/")[2] for names in ROWS.values() for name in names} & files
