//! Which test keeps which fault, trap and row of spec/ldirectord.md (chapters 14, 15 and 16). A name
//! that no test has, and an item that no test keeps, fail here.

#[path = "../../tests/named.rs"]
mod named;

/// Faults of the original. Each test fails on what the original does. Those whose number is in the
/// name of a test (`fault_b9_...`) are found without an entry, and so are traps (`trap_t5_...`).
const FAULTS: &[(u32, &[&str])] = &[
    (1, &["a_broken_file_is_2_for_every_verb_and_leaves_the_pid_file_alone"]),
    (2, &["a_reload_reads_in_the_background_and_a_broken_file_changes_nothing"]),
    (3, &["a_server_is_added_after_its_first_good_check_and_not_before"]),
    (4, &["a_refused_server_is_tried_again_with_growing_pauses_and_told_when_it_is_there"]),
    (5, &["fault_b5_a_servers_own_request_counts_with_and_without_its_slash"]),
    (8, &["fault_b8_imap_is_checked_on_its_checkport"]),
    (9, &["fault_b9_a_check_that_is_killed_is_down"]),
    (10, &["a_check_shared_by_two_services_is_made_once_and_counts_once_in_each"]),
    (11, &["fault_b11_a_server_that_is_down_in_two_services_is_quiescent_in_both"]),
    (14, &["https_takes_a_self_signed_certificate_and_says_the_virtual_hosts_name"]),
    (
        15,
        &[
            "a_pattern_that_is_no_expression_is_found_when_the_file_is_read",
            "fault_b15_a_monitor_file_that_cannot_be_written_is_no_reason_to_die",
        ],
    ),
    (16, &["fault_b16_each_recipient_is_named_to_the_server_by_himself"]),
    (17, &["a_hung_server_delays_nobody_else", "a_helper_that_never_answers_holds_up_nobody"]),
    (
        18,
        &[
            "row_29_a_global_fallback_without_port_has_each_virtuals_port_and_works_for_marks",
            "fault_b18_a_fallback_command_is_told_the_mark",
        ],
    ),
    (19, &["row_13_direct_routing_cannot_translate_ports", "a_start_over_its_own_table_changes_nothing"]),
    (20, &["a_supervised_daemon_stays_in_the_foreground", "the_first_of_the_three_places_counts"]),
    (21, &["row_53_quiescent_fail_and_recover_and_the_thresholds_stay"]),
    (23, &["fault_b23_a_fallback_command_is_told_stop_at_the_end_if_that_is_asked_for"]),
    (24, &["fault_b24_the_unit_needs_no_lock_directory"]),
    (25, &["this_machine_answers_over_ipv4_and_ipv6"]),
    (26, &["rows_14_and_15_ranges"]),
    (27, &["fault_b27_quotes_are_no_part_of_a_directory_or_a_command", "a_hash_within_quotes_is_no_comment"]),
    (28, &["default_logins_hold_for_inferred_services_too"]),
    (29, &["a_process_that_only_mentions_the_name_is_not_taken_for_the_daemon"]),
    (30, &["fault_b30_the_manual_says_what_quiescent_is_by_default"]),
];

/// Behaviour that files rely on.
const TRAPS: &[(u32, &[&str])] = &[
    (1, &["a_hash_within_quotes_is_no_comment"]),
    (2, &["comments_do_not_end_a_section_and_neither_do_blank_lines"]),
    (3, &["a_tab_or_four_blanks_make_a_section_line_and_three_do_not"]),
    (4, &["a_number_is_the_first_run_of_digits", "yes_and_no_stand_alone"]),
    (5, &["trap_t5_some_values_need_quotes_and_some_take_both"]),
    (6, &["trap_t6_a_request_gets_a_slash_that_some_services_take_away_again"]),
    (7, &["patterns_are_unanchored_and_case_sensitive", "what_perl_takes_is_taken"]),
    (8, &["the_host_is_the_virtual_hosts_or_the_address_without_port"]),
    (9, &["seven_redirects_are_followed_and_an_eighth_is_not"]),
    (10, &["trap_t10_a_mark_has_port_0_and_no_service"]),
    (11, &["trap_t11_a_server_without_port_has_the_virtuals_unless_it_is_masqueraded"]),
    (12, &["row_52_failurecount_2_with_a_fallback_fail_fail_recover"]),
    (13, &["row_27_off_with_a_fallback_leaves_only_the_fallback"]),
    (14, &["weight_0_in_the_file_is_up_and_keeps_the_fallback_out"]),
    (
        15,
        &[
            "row_55_a_start_adopts_corrects_purges_and_leaves_others_alone",
            "row_60_without_cleanstop_a_stop_changes_nothing",
        ],
    ),
    (16, &["a_weight_set_by_hand_stays_until_that_servers_next_change_of_state"]),
    (17, &["the_default_instance_and_its_file_have_different_pid_files"]),
    (18, &["row_69_checktype_2_is_negotiate_connect_connect_negotiate"]),
    (19, &["trap_t19_connect_with_udp_pings"]),
    (20, &["trap_t20_of_several_lines_the_last_counts"]),
    (21, &["fault_b16_each_recipient_is_named_to_the_server_by_himself"]),
    (22, &["a_check_shared_by_two_services_is_made_once_and_counts_once_in_each"]),
    (
        23,
        &[
            "a_server_that_never_passed_is_down_at_its_first_failure",
            "row_63_a_file_takes_a_server_out_at_once_and_its_going_brings_it_back",
        ],
    ),
    (24, &["trap_t24_the_quotes_of_execute_are_removed"]),
    (25, &["status_of_a_running_daemon_goes_to_standard_error", "status_is_3_if_never_started_and_1_if_it_died"]),
];

/// The check-list. Rows whose number is in the name of a test are found without an entry.
const ROWS: &[(u32, &[&str])] = &[
    (1, &["without_arguments_the_usage_goes_to_standard_output_and_the_status_is_255"]),
    (2, &["the_version_is_known_to_scripts"]),
    (3, &["an_unknown_option_is_named"]),
    (4, &["a_missing_configuration_is_named_as_it_was_given"]),
    (5, &["status_is_3_if_never_started_and_1_if_it_died"]),
    (6, &["start_does_nothing_if_it_runs_and_goes_to_the_background_if_not"]),
    (7, &["reload_sends_hup_and_is_1_and_silent_if_stopped"]),
    (8, &["stop_and_try_restart_of_a_stopped_daemon_are_fine"]),
    (9, &["the_default_instance_and_its_file_have_different_pid_files"]),
    (10, &["the_first_of_the_three_places_counts"]),
    (
        39,
        &[
            "a_page_that_matches_is_up_and_another_is_down",
            "an_error_status_is_down_with_its_line",
            "seven_redirects_are_followed_and_an_eighth_is_not",
            "a_silent_server_is_down_when_the_timeout_has_passed",
        ],
    ),
    (40, &["patterns_are_perls"]),
    (58, &["a_reload_reads_in_the_background_and_a_broken_file_changes_nothing"]),
    (62, &["a_hung_server_delays_nobody_else"]),
    (73, &["what_is_gone_stops_what_stays_reads_again_and_what_is_new_starts"]),
    (75, &["status_is_3_if_never_started_and_1_if_it_died"]),
];

/// What a name like `rows_29_to_31_fallbacks`, `row_12_one`, `fault_b9_killed` or `trap_t5_quotes` tells.
fn told_by(name: &str) -> Option<(&'static str, Vec<u32>)> {
    let kinds = [("fault_b", "fault"), ("trap_t", "trap"), ("rows_", "row"), ("row_", "row")];
    let (rest, kind) = kinds.iter().find_map(|(prefix, kind)| Some((name.strip_prefix(prefix)?, *kind)))?;
    let words: Vec<&str> = rest.split('_').collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
    let numbers = match (number(0), words.get(1), number(2)) {
        (Some(first), Some(&"to"), Some(last)) => (first..=last).collect(),
        (Some(first), Some(&"and"), Some(second)) => vec![first, second],
        (Some(first), ..) => vec![first],
        (None, ..) => Vec::new(),
    };
    Some((kind, numbers))
}

#[test]
fn every_fault_trap_and_row_has_its_test() {
    let tests = named::tests(&["src", "tests"]);
    let named: Vec<(&str, Vec<u32>)> = tests.iter().filter_map(|name| told_by(name)).collect();
    for (what, last, index) in [("fault", 30, FAULTS), ("trap", 25, TRAPS), ("row", 75, ROWS)] {
        for (number, names) in index {
            for name in *names {
                assert!(tests.contains(*name), "{what} {number}: there is no test {name}");
            }
        }
        for number in 1..=last {
            let listed = index.iter().any(|(n, names)| *n == number && !names.is_empty());
            let named = named.iter().any(|(kind, numbers)| *kind == what && numbers.contains(&number));
            assert!(listed || named, "{what} {number}: no test keeps it");
        }
    }
}
