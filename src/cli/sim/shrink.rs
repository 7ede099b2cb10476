//! The shortest way to a failure: fewer steps, then fewer faults, as long as it still fails.

use crate::sim::{Fault, FaultSet};

/// Attempts at most, each of which plays the seed once.
const ATTEMPT_COUNT_MAX: usize = 60;

/// What a seed is played with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attempt {
    pub(super) steps: u64,
    pub(super) without: FaultSet,
}

/// Shrinks an attempt that fails; `faults` are those that the seed has, and `fails` plays it.
pub(super) fn shrink(
    failing: Attempt,
    faults: impl Iterator<Item = Fault>,
    fails: impl FnMut(&Attempt) -> bool,
) -> Attempt {
    let mut shrinking = Shrinking {
        shortest: failing,
        attempts_left: ATTEMPT_COUNT_MAX,
        fails,
    };
    shrinking.cut_steps();
    for fault in faults {
        shrinking.leave_out(fault);
    }
    // With less going on it may fail earlier.
    shrinking.cut_steps();
    shrinking.shortest
}

struct Shrinking<F> {
    /// It fails.
    shortest: Attempt,
    attempts_left: usize,
    fails: F,
}

impl<F: FnMut(&Attempt) -> bool> Shrinking<F> {
    /// Whether this fails, too: then it is the shortest.
    fn attempt(&mut self, attempt: Attempt) -> bool {
        if self.attempts_left == 0 {
            return false;
        }
        self.attempts_left -= 1;
        let fails = (self.fails)(&attempt);
        if fails {
            self.shortest = attempt;
        }
        fails
    }

    /// Halves the distance to the fewest steps that fail. Where fewer steps fail and more do not it
    /// finds some border, not the first.
    fn cut_steps(&mut self) {
        let mut passing = 0;
        while self.shortest.steps > passing + 1 && self.attempts_left > 0 {
            let steps = passing + (self.shortest.steps - passing) / 2;
            let attempt = Attempt {
                steps,
                ..self.shortest
            };
            if !self.attempt(attempt) {
                passing = steps;
            }
        }
    }

    fn leave_out(&mut self, fault: Fault) {
        let without = self.shortest.without.with(fault);
        let attempt = Attempt {
            without,
            ..self.shortest
        };
        if without != self.shortest.without {
            self.attempt(attempt);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Attempt = Attempt {
        steps: 2_000,
        without: FaultSet::EMPTY,
    };

    /// Shrinks what fails from so many steps on and only with one fault.
    fn shrunk(steps_needed: u64, needed: Fault) -> (Attempt, usize) {
        let mut count = 0;
        let found = shrink(LONG, Fault::ALL.iter().copied(), |attempt| {
            count += 1;
            attempt.steps >= steps_needed && !attempt.without.has(needed)
        });
        (found, count)
    }

    #[test]
    fn what_does_not_matter_goes() {
        let (found, _) = shrunk(137, Fault::PowerCut);
        assert_eq!(found.steps, 137);
        let left: Vec<_> = Fault::ALL
            .iter()
            .copied()
            .filter(|f| !found.without.has(*f))
            .collect();
        assert_eq!(left, [Fault::PowerCut]);
    }

    #[test]
    fn attempts_are_bounded() {
        for steps_needed in [1, 2, 999, 2_000] {
            let (found, count) = shrunk(steps_needed, Fault::Kill);
            assert!(count <= ATTEMPT_COUNT_MAX, "{count}");
            assert!(found.steps >= steps_needed && !found.without.has(Fault::Kill));
        }
    }
}
