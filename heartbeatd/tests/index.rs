//! Which test keeps which fault of spec/heartbeat.md, chapter 10. A name that no test has, and a fault that
//! no test keeps, fail here.

use std::collections::BTreeSet;

#[path = "../../tests/named.rs"]
mod named;

/// Faults of heartbeat 3.0.6. Each test fails on what the original does. Those whose number is in the name of
/// a test (`fault_7_...`) are found without an entry.
const FAULTS: &[(u32, &[&str])] = &[
    (
        1,
        &[
            "an_unsigned_field_of_a_type_that_does_not_exist_is_never_read",
            "arbitrary_bytes_never_panic",
            "a_flood_of_strange_datagrams_changes_nothing_and_is_one_line_in_the_log",
        ],
    ),
    (
        3,
        &[
            "during_a_rotation_old_and_new_keys_are_both_believed",
            "keys_are_changed_one_node_after_the_other_and_nothing_moves",
        ],
    ),
    (
        4,
        &[
            "a_group_that_does_not_start_here_moves_to_the_old_node",
            "a_group_that_does_not_start_where_it_is_wanted_runs_on_the_other_node",
        ],
    ),
    (5, &["failback_puts_things_where_they_belong", "a_wish_for_failback_means_the_senders_own_groups"]),
    (
        6,
        &[
            "a_node_whose_generation_went_back_is_followed_when_its_known_life_is_over",
            "another_heartbeatd_proves_that_its_earlier_life_is_now",
            "an_unanswered_reqnodes_does_not_keep_us_from_starting",
            "a_node_restored_from_an_old_copy_is_not_behind",
        ],
    ),
    (
        7,
        &[
            "two_that_start_together_have_their_own_at_once",
            "after_a_partition_each_group_has_one_owner_at_once_and_then_its_home",
        ],
    ),
    (8, &["who_loses_the_ping_node_gives_up_when_told_to"]),
    (
        9,
        &[
            "the_guard_takes_off_what_is_watched_when_the_pipe_is_closed",
            "the_kernel_takes_an_address_off_when_nobody_renews_it",
            "the_death_of_heartbeatd_is_one_takeover_and_never_two_owners",
            "a_killed_owner_answers_for_no_more_than_50_ms",
            "an_owner_whose_main_loop_spins_loses_the_address_to_the_kernel",
        ],
    ),
    (10, &["an_address_that_somebody_takes_off_is_put_back_and_given_away_in_the_end"]),
    (11, &["groups_of_differing_files_stay_where_they_can_be"]),
    (12, &["what_is_no_time_says_what_to_write", "times_are_read_as_heartbeat_reads_them"]),
    (13, &["a_late_heartbeat_is_warned_of_and_the_node_lives"]),
    (14, &["a_node_is_not_declared_dead_for_the_time_that_we_were_not_run", "times_must_fit_each_other"]),
    (
        16,
        &[
            "the_resources_of_a_director_are_carried_out_without_scripts",
            "a_takeover_with_a_deadtime_of_100_ms_is_over_in_an_instant",
        ],
    ),
    (18, &["messages_of_an_earlier_life_are_refused_while_the_known_one_goes_on"]),
    (19, &["a_copied_uuid_is_refused_with_a_clear_word"]),
    (20, &["a_message_without_sender_time_or_sequence_has_no_header"]),
    (21, &["the_peers_wish_for_its_own_deadtime_counts_within_bounds"]),
    (22, &["requests_that_cannot_be_met_are_refused_at_once"]),
    (
        23,
        &[
            "a_group_is_named_by_its_first_resource_and_no_two_are_named_alike",
            "an_address_stands_in_one_group_only_however_it_is_written",
        ],
    ),
    (
        24,
        &[
            "what_cannot_be_stopped_is_judged_by_its_status_in_the_end",
            "a_machine_reboots_only_if_it_is_to_and_somebody_takes_over",
            "a_node_that_is_to_be_fenced_falls_silent_until_it_is_or_has_stopped_everything",
            "an_old_heartbeat_is_told_that_it_is_held_here_and_not_to_go_on",
            "what_still_runs_on_one_node_is_started_on_no_other",
        ],
    ),
    (25, &["a_peer_cannot_take_nodes_out_of_our_list"]),
    (
        26,
        &[
            "a_medium_waits_for_its_interface_and_follows_it",
            "a_node_without_any_open_medium_declares_nobody_dead_and_says_so",
            "a_peer_that_does_not_read_costs_the_oldest_heartbeats_and_nobody_waits",
        ],
    ),
    (
        27,
        &[
            "this_node_is_found_whatever_the_case_and_by_the_short_form_of_its_name",
            "keys_that_others_may_read_are_refused_with_the_command_that_mends_it",
            "both_forms_are_announced_at_once_and_none_after_the_release",
        ],
    ),
];

const LAST: u32 = 27;

/// The number in a name like `fault_7_a_start`.
fn told_by(name: &str) -> Option<u32> {
    name.strip_prefix("fault_")?.split('_').next()?.parse().ok()
}

#[test]
fn every_fault_has_its_test() {
    let tests =
        named::tests(&["src", "tests", "../tests/sim", "../tests/scenarios", "../tests/interop", "../tests/deaths"]);
    for (number, names) in FAULTS {
        for name in *names {
            assert!(tests.contains(*name), "fault {number}: there is no test {name}");
        }
    }
    let listed = FAULTS.iter().filter(|(_, names)| !names.is_empty()).map(|(number, _)| *number);
    let kept: BTreeSet<u32> = listed.chain(tests.iter().filter_map(|name| told_by(name))).collect();
    let missing: Vec<u32> = (1..=LAST).filter(|number| !kept.contains(number)).collect();
    assert!(missing.is_empty(), "no test keeps fault {missing:?}");
}
