use super::*;
use crate::payload::PayloadWriter;

/// Checks a partition 4 that holds these records of producer 0, of which `written` were sent.
fn check(sequences: &[u64], written: Option<u64>) -> Faults {
    let mut writer = PayloadWriter::new(9, 0, 64);
    let mut checker = Checker::default();
    for (offset, &sequence) in sequences.iter().enumerate() {
        checker.record(4, offset as i64, Some(writer.value(4, sequence)));
    }
    let written = written.map(|count| Written {
        run: 9,
        counts: vec![vec![0, 0, 0, 0, count]],
    });
    checker.finish(&[4], written.as_ref())
}

/// Sequences in the order of their offsets, how many were written if that is known, and what is to
/// be found.
type Case = (&'static [u64], Option<u64>, (u64, u64, u64));

/// lost, doubled, reordered
fn counts(faults: &Faults) -> (u64, u64, u64) {
    assert_eq!(faults.damaged + faults.misplaced, 0);
    (faults.lost, faults.doubled, faults.reordered)
}

#[test]
fn what_is_wrong_is_told() {
    let cases: [Case; 11] = [
        (&[], None, (0, 0, 0)),
        (&[], Some(0), (0, 0, 0)),
        (&[0, 1, 2, 3], Some(4), (0, 0, 0)),
        (&[0, 1, 2, 3], None, (0, 0, 0)),
        (&[], Some(3), (3, 0, 0)),
        (&[0, 1], Some(4), (2, 0, 0)),
        (&[0, 3, 4], Some(5), (2, 0, 0)),
        (&[1, 2], None, (1, 0, 0)),
        (&[0, 1, 1, 2, 0], Some(3), (0, 2, 0)),
        (&[0, 2, 1, 3], Some(4), (0, 0, 1)),
        (&[0, 9, 5, 5, 6, 3], Some(10), (5, 1, 3)),
    ];
    for (sequences, written, expected) in cases {
        let faults = check(sequences, written);
        assert_eq!(counts(&faults), expected, "{sequences:?} of {written:?}");
        assert_eq!(faults.described.is_empty(), faults.count() == 0);
    }
}

#[test]
fn damaged_and_misplaced_records_are_told() {
    let mut writer = PayloadWriter::new(9, 0, 64);
    let mut checker = Checker::default();
    checker.record(4, 0, Some(writer.value(5, 0)));
    checker.record(4, 1, None);
    checker.record(4, 2, Some(b"somebody else's"));
    let mut value = writer.value(4, 0).to_vec();
    value[40] ^= 0x20;
    checker.record(4, 3, Some(&value));
    let faults = checker.finish(&[4], None);
    assert_eq!((faults.misplaced, faults.damaged), (1, 3));
    assert!(
        faults.described[0].contains("offset 0"),
        "{:?}",
        faults.described
    );
}

#[test]
fn producers_and_runs_are_told_apart() {
    let mut checker = Checker::default();
    let mut offset = 0;
    for (run, producer) in [(1, 0), (1, 1), (2, 0)] {
        let mut writer = PayloadWriter::new(run, producer, 64);
        for sequence in 0..3 {
            checker.record(0, offset, Some(writer.value(0, sequence)));
            offset += 1;
        }
    }
    let written = Written {
        run: 1,
        counts: vec![vec![3], vec![3]],
    };
    assert_eq!(checker.finish(&[0], Some(&written)), Faults::default());
}

#[test]
fn only_the_first_faults_are_described() {
    let faults = check(&[0; 100], None);
    assert_eq!(
        (faults.doubled, faults.described.len()),
        (99, DESCRIBED_MAX)
    );
    let mut sum = faults.clone();
    sum.merge(faults);
    assert_eq!((sum.doubled, sum.described.len()), (198, DESCRIBED_MAX));
}
