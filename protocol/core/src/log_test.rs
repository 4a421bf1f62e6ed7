//! The log's arithmetic, drawn: a log is written as its entries' terms, `1 1 2` being 1.1, 1.2, 2.3.
use super::*;

fn log(base: u64, terms: &str) -> Log {
    let mut terms = terms.split_whitespace().map(|term| term.parse().expect("a term is a number"));
    let base = Position::new(if base == 0 { 0 } else { terms.next().expect("a base has a term") }, base);
    let mut log = Log::recover(base, &[base], vec![], base).expect("an empty log is consistent");
    for term in terms {
        let position = Position { term: Term(term), index: log.last().index.next() };
        log.push(Entry { position, body: EntryBody::NoOp });
    }
    log
}

fn terms(log: &Log) -> String {
    let all: Vec<String> = (log.base().index.0..=log.last().index.0)
        .map(|i| log.term_at(Index(i)).expect("within the log").0.to_string())
        .collect();
    all.join(" ")
}

#[test]
fn the_match_point_of_two_logs() {
    // ours, theirs, the last index at which they agree
    let table = [
        ("1 1 1", "1 1 1", 3),
        ("1 1 1", "1 1", 2),
        ("1 1", "1 1 1", 2),
        ("", "1 1", 0),
        ("1 1", "", 0),
        ("1 1 2 2", "1 1 1 1", 2),
        ("1 1 1 1", "1 1 2 2", 2),
        ("1 1 1 1 4 4", "1 1 1 1 2 3 3", 4),
        ("1 2 3", "1 1 1 1", 1),
        ("1 2 2 2 5", "1 2 2 4 4", 3),
        ("2 2", "1 1 1", 0),
        ("1 3 3 3", "2 3 3 3", 4), // impossible logs: equal terms are trusted
    ];
    for (ours, theirs, expected) in table {
        let (ours, theirs) = (log(0, ours), log(0, theirs));
        let found = ours.match_point(theirs.last(), &theirs.term_starts(theirs.last().index));
        assert_eq!(found, Some(Index(expected)), "{} | {}", terms(&ours), terms(&theirs));
        let back = theirs.match_point(ours.last(), &ours.term_starts(ours.last().index));
        assert_eq!(back, Some(Index(expected)), "{} | {}", terms(&theirs), terms(&ours));
    }
}

#[test]
fn a_base_bounds_the_match_point() {
    let ours = log(5, "2 2 3");
    let theirs = log(0, "1 1 2 2 2 2 2");
    assert_eq!(ours.match_point(theirs.last(), &theirs.term_starts(Index(7))), Some(Index(6)));
    let short = log(0, "1 1 2");
    assert_eq!(ours.match_point(short.last(), &short.term_starts(Index(3))), None, "it ends below our base");
}

#[test]
fn rebasing_keeps_what_fits_and_forgets_what_does_not() {
    let table = [
        // log, new base, what is left (the base's term first)
        ("1 1 2 2", (2, 3), "2 2"),
        ("1 1 2 2", (2, 4), "2"),
        ("1 1 2 2", (1, 2), "1 2 2"),
        ("1 1 2 2", (3, 9), "3"),
        ("1 1 2 2", (3, 3), "3"),
    ];
    for (before, (term, index), after) in table {
        let mut log = log(0, before);
        log.rebase(Position::new(term, index));
        assert_eq!(terms(&log), after, "{before} rebased to {term}.{index}");
        log.push(Entry { position: Position { term: Term(9), index: log.last().index.next() }, body: EntryBody::NoOp });
        assert_eq!(terms(&log), format!("{after} 9"));
    }
}

#[test]
fn a_cut_forgets_terms_and_entries() {
    let mut log = log(0, "1 1 2 2 3");
    assert_eq!(log.cut(Index(3)), Position::new(2, 3));
    assert_eq!(terms(&log), "0 1 1 2");
    assert_eq!(log.cut(Index(2)), Position::new(1, 2));
    assert_eq!(terms(&log), "0 1 1");
    assert_eq!(log.cached_above(Index(0)).count(), 2);
    assert_eq!(log.term_at(Index(3)), None);
}

#[test]
fn eviction_keeps_what_is_needed() {
    let mut log = log(0, "1 1 1 1 1");
    log.evict(0, Index(3));
    assert_eq!(log.cached_from(), Index(4));
    assert_eq!(log.cached_above(Index(3)).count(), 2);
    assert_eq!(log.term_at(Index(1)), Some(Term(1)), "terms stay known");
}

#[test]
fn a_journal_that_contradicts_itself_is_refused() {
    let entry = |term, index| Entry { position: Position::new(term, index), body: EntryBody::NoOp };
    let zero = Position::ZERO;
    let table = [
        ("gap", Log::recover(zero, &[zero, Position::new(1, 1)], vec![entry(1, 1), entry(1, 3)], Position::new(1, 3))),
        ("falling term", Log::recover(zero, &[zero], vec![entry(2, 1), entry(1, 2)], Position::new(1, 2))),
        ("short", Log::recover(zero, &[zero], vec![entry(1, 1)], Position::new(1, 2))),
        ("below the base", Log::recover(Position::new(1, 4), &[], vec![entry(1, 4)], Position::new(1, 4))),
        (
            "falling starts",
            Log::recover(zero, &[Position::new(2, 1), Position::new(1, 2)], vec![], Position::new(1, 2)),
        ),
    ];
    for (what, result) in table {
        assert!(result.is_err(), "{what} was accepted");
    }
    let good = Log::recover(
        zero,
        &[zero, Position::new(1, 1), Position::new(3, 4)],
        vec![entry(1, 3), entry(3, 4)],
        Position::new(3, 4),
    );
    let good = good.expect("older entries may be on disk only");
    assert_eq!(terms(&good), "0 1 1 1 3");
    assert_eq!(good.cached_from(), Index(3));
}
