//! One transcript a situation. To change one: run the test, read the difference as a reviewer would, paste.
use crate::pair::run;

#[track_caller]
fn check(transcript: &str) {
    let expected: Vec<&str> = transcript.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let script: String =
        transcript.lines().filter(|line| !line.starts_with("            ")).map(|l| format!("{l}\n")).collect();
    let actual = run(&script);
    let lines: Vec<&str> = actual.lines().map(str::trim).collect();
    assert!(lines == expected, "the transcript is now\n\n{actual}");
}

#[test]
fn a_healthy_commit_and_its_readers() {
    check(
        "
        # A leads. Readers in both regions wait for a key in flight, and for nothing else.
        lead A
            A leads term 1, first entry 1
        propose A k=1 other=x @ 1.1
            1.2 in the log of A
        read A k
            waits, at 1.2
        read A k 1.1
            nothing
        read A free
            nothing
        read B k
            nothing
        ship B
            B received up to 2
        read B k
            waits, at 1.2
        commit B 2
        read B k
            waits, at 1.2
        apply B
            applied 2
        read B k
            1 of 2
        commit A 2
        apply A
            applied 2
        # B's write of the same row arrives with a position from before A's.
        propose B k=2 @ 1.1
            refused: conflict on k with 2 of A
        propose B k=2 @ 1.2
            1.3 in the log of A
        ",
    );
}

#[test]
fn a_change_of_leader_with_truncation() {
    check(
        "
        # A leads and appends what B never gets. A's reader has it in its snapshot, and waits.
        lead A
            A leads term 1, first entry 1
        propose A k=1 @ 1.1
            1.2 in the log of A
        ship B
            B received up to 2
        commit A 2
        apply A
            applied 2
        propose A k=lost @ 1.2
            1.3 in the log of A
        propose A j=lost @ 1.2
            1.4 in the log of A
        snapshot A s
            s at 1.4
        read A k
            waits, at 1.4
        # B leads. A is cut: the snapshot is lowered, the waiting reader finds the older version.
        lead B
            B leads term 2, first entry 3
        ship A
            A cut to 2
            A received up to 3
        snapshots A
            s at 1.2
        read A k 1.2
            1 of 2
        # A retries with the positions that it had: the log has another entry there (T3).
        propose A j=mine @ 1.4
            refused: SnapshotLost
        propose A j=mine @ 1.3
            refused: SnapshotLost
        # The older writer of k is still known (T5), in both regions.
        verdict k=stale @ 1.1
            A: conflict on k with 2 of A
            B: conflict on k with 2 of A
        propose A k=2 @ 1.2
            2.4 in the log of B
        ship A
            A received up to 4
        verdict k=3 @ 1.2
            A: conflict on k with 4 of A
            B: conflict on k with 4 of A
        commit A 4
        apply A
            applied 4
        read A k
            2 of 4
        ",
    );
}

#[test]
fn a_proposal_is_in_the_log_once() {
    check(
        "
        # A's proposal is appended by A, shipped to B, and A does not hear of it. B leads and is sent it again (T4).
        lead A
            A leads term 1, first entry 1
        propose A k=1 @ 1.1
            1.2 in the log of A
        ship B
            B received up to 2
        lead B
            B leads term 2, first entry 3
        again A 1
            is 1.2 already
        # One that was truncated is new again.
        ship A
            A received up to 3
        propose A j=1 @ 2.3
            2.4 in the log of B
        again A 2
            is 2.4 already
        lead A
            A leads term 3, first entry 4
        ship B
            B cut to 3
            B received up to 4
        again A 2
            3.5 in the log of A
        # Once A's records say that A has settled it, a copy that comes late is refused.
        propose A x=1 @ 1.1
            3.6 in the log of A
        propose A x=2 @ 3.5
            refused: conflict on x with 6 of A
        propose A x=3 @ 3.6
            3.7 in the log of A
        propose A x=4 @ 3.7
            3.8 in the log of A
        commit A 8
        again A 2
            refused: Stale
        ",
    );
}

#[test]
fn guards_of_one_region_hold_in_the_other() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        propose A parent=p @ 1.1
            1.2 in the log of A
        ship B
            B received up to 2
        # A inserts a child while B deletes its parent (T1).
        propose A child=c parent!KS @ 1.2
            1.3 in the log of A
        propose B parent- @ 1.2
            refused: conflict on parent with 3 of A
        # A change of the parent that touches no key is none of the child's business, and the other way round.
        propose B parent=q @ 1.2
            1.4 in the log of A
        propose A child2=c parent!KS @ 1.2
            1.5 in the log of A
        # A guarded range.
        propose B row/7=x @ 1.1
            1.6 in the log of A
        propose A index=built [row/..row0] @ 1.5
            refused: conflict on row/7 with 6 of B
        propose A index=built [row/..row0] @ 1.6
            1.7 in the log of A
        ship B
            B received up to 7
        verdict parent- @ 1.4
            A: conflict on parent with 5 of A
            B: conflict on parent with 5 of A
        verdict parent- @ 1.5
            A: yes
            B: yes
        ",
    );
}

#[test]
fn a_row_lock_is_doomed_by_what_the_other_region_commits() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        propose A k=1 j=1 @ 1.1
            1.2 in the log of A
        ship B
            B received up to 2
        commit B 2
        apply B
            applied 2
        lock B k U
        lock B j KS
        propose A k=2 j=2 @ 1.2
            1.3 in the log of A
        ship B
            B received up to 3
        doomed B
        commit B 3
        apply B
            applied 3
        # j's key did not change: KEY SHARE does not mind.
        doomed B
            k by entry 3
        ",
    );
}

#[test]
fn regions_that_disagree_stop_serving_and_keep_the_log() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        propose A k=1 @ 1.1
            1.2 in the log of A
        propose A k=2 @ 1.2
            1.3 in the log of A
        ship B
            B received up to 3
        # The leader's certifier is broken: it appends what conflicts.
        forge A k=3 @ 1.2
            1.4 in the log of A, unasked
        ship B
            B received up to 4
        commit B 3
        apply B
            applied 3
        # The entry is in B's log, and B's vote counts; only applying stops, at the first entry that is wrong.
        commit B 4
        apply B
            stopped at 3: regions disagree about entry 4 of term 1: this region would have refused it: it conflicts with entry 3 of region 1
        apply B
            stopped at 3: regions disagree about entry 4 of term 1: this region would have refused it: it conflicts with entry 3 of region 1
        ",
    );
}

#[test]
fn a_crash_loses_what_was_not_flushed_and_the_journal_brings_it_back() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        propose A k=1 @ 1.1
            1.2 in the log of A
        propose A k=2 @ 1.2
            1.3 in the log of A
        ship B
            B received up to 3
        commit A 3
        commit B 3
        apply A
            applied 3
        apply B
            applied 3
        flush B
            durable 3
        propose A k=3 @ 1.3
            1.4 in the log of A
        propose A j=1 @ 1.3
            1.5 in the log of A
        ship B
            B received up to 5
        commit B 4
        apply B
            applied 4
        read B k
            3 of 4
        crash B
            applied 3, journal from 1 to 5
        # 4 was applied and is lost, 5 was never committed: both are pending until they are committed (again).
        read B k
            waits, at 1.5
        read B k 1.3
            2 of 3
        verdict k=stale @ 1.3
            A: conflict on k with 4 of A
            B: conflict on k with 4 of A
        verdict k=fresh @ 1.4
            A: yes
            B: yes
        commit B 5
        apply B
            applied 5
        read B k
            3 of 4
        ",
    );
}

#[test]
fn a_horizon_is_agreed_on_forgets_and_survives_a_crash() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        propose A k=1 @ 1.1
            1.2 in the log of A
        propose B k=2 @ 1.2
            1.3 in the log of A
        propose A k=3 @ 1.3
            1.4 in the log of A
        ship B
            B received up to 4
        snapshot B old
            old at 1.4
        tidy B
            low-water mark 0, the store's horizon 0
        propose A k=4 @ 1.4
            1.5 in the log of A
        horizon 3
            refused: Horizon
        commit A 5
        horizon 3
            1.6 in the log of A
        ship B
            B received up to 6
        verdict x=1 @ 1.2
            A: SnapshotTooOld { horizon: Index(3) }
            B: SnapshotTooOld { horizon: Index(3) }
        verdict k=1 @ 1.3
            A: conflict on k with 4 of A
            B: conflict on k with 4 of A
        verdict k=1 @ 1.5
            A: yes
            B: yes
        commit A 6
        commit B 6
        apply A
            applied 6
        apply B
            applied 6
        # Readers of B hold B's own store back, not the log's horizon.
        tidy B
            low-water mark 0, the store's horizon 4
        end B old
        flush B
            durable 6
        tidy B
            low-water mark 6, the store's horizon 6
        # After a crash the certifier is rebuilt from the horizon on, and says the same.
        propose A y=1 @ 1.6
            1.7 in the log of A
        ship B
            B received up to 7
        crash B
            applied 6, journal from 4 to 7
        verdict x=1 @ 1.2
            A: SnapshotTooOld { horizon: Index(3) }
            B: SnapshotTooOld { horizon: Index(3) }
        verdict k=1 @ 1.3
            A: conflict on k with 4 of A
            B: conflict on k with 4 of A
        verdict k=1 @ 1.5
            A: yes
            B: yes
        verdict y=1 @ 1.6
            A: conflict on y with 7 of A
            B: conflict on y with 7 of A
        # Outcomes of before are remembered, too.
        lead B
            B leads term 2, first entry 8
        again B 1
            is 1.3 already
        ",
    );
}

#[test]
fn a_large_transaction_comes_in_parts() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        propose A k=1 @ 1.1
            1.2 in the log of A
        ship B
            B received up to 2
        # Two parts without effect, small commits in between, and a final that makes them one.
        part B T1 0 k=large l=large @ 1.2
            1.3 in the log of A
        propose A m=small @ 1.2
            1.4 in the log of A
        part B T1 1 n=large @ 1.2
            1.5 in the log of A
        final B T1 3 done=yes @ 1.2
            refused: PartsMissing
        final B T1 2 done=yes @ 1.2
            1.6 in the log of A
        ship B
            B received up to 6
        read B k
            waits, at 1.6
        read B m
            waits, at 1.6
        read B n 1.5
            nothing
        verdict n=1 @ 1.5
            A: conflict on n with 6 of B
            B: conflict on n with 6 of B
        verdict n=1 @ 1.6
            A: yes
            B: yes
        commit B 6
        apply B
            applied 6
        # Applied, and its writes are still to come: its readers wait, others do not, and what follows is not held up.
        read B k
            waits, at 1.6
        read B m
            small of 4
        read B done
            yes of 6
        propose A m=after @ 1.4
            1.7 in the log of A
        ship B
            B received up to 7
        commit B 7
        apply B
            applied 7
        read B m
            after of 7
        read B n 1.5
            nothing
        work B
        read B k
            large of 6
        read B l
            large of 6
        read B n
            large of 6
        ",
    );
}

#[test]
fn a_large_transaction_is_refused_for_a_conflict_with_any_part() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        part B T1 0 k=large @ 1.1
            1.2 in the log of A
        propose A k=small @ 1.2
            1.3 in the log of A
        part B T1 1 l=large @ 1.1
            1.4 in the log of A
        final B T1 2 @ 1.1
            refused: conflict on k with 3 of A
        # The one that conflicted is cut away with its leader: the large transaction may end.
        part B T2 0 p=large @ 1.1
            1.5 in the log of A
        ship B
            B received up to 5
        propose A p=small @ 1.4
            1.6 in the log of A
        verdict p=1 @ 1.5
            A: conflict on p with 6 of A
            B: yes
        final B T2 1 @ 1.1
            refused: conflict on p with 6 of A
        lead B
            B leads term 2, first entry 6
        ship A
            A cut to 5
            A received up to 6
        final B T2 1 @ 1.1
            2.7 in the log of B
        verdict p=1 @ 1.5
            A: yes
            B: conflict on p with 7 of B
        # Given up: a final that comes all the same is refused.
        part B T3 0 q=large @ 1.1
            2.8 in the log of B
        abandon B T3
            2.9 in the log of B
        final B T3 1 @ 1.1
            refused: PartsMissing
        ",
    );
}

#[test]
fn unfinished_background_work_is_done_after_a_crash() {
    check(
        "
        lead A
            A leads term 1, first entry 1
        part B T1 0 k=large @ 1.1
            1.2 in the log of A
        part B T1 1 l=large k=newer @ 1.1
            1.3 in the log of A
        final B T1 2 l=newest @ 1.1
            1.4 in the log of A
        ship B
            B received up to 4
        commit B 4
        apply B
            applied 4
        flush B
            durable 4
        crash B
            applied 4, journal from 1 to 4
        read B k
            waits, at 1.4
        read B l
            waits, at 1.4
        read B free
            nothing
        work B
        read B k
            newer of 4
        read B l
            newest of 4
        ",
    );
}
