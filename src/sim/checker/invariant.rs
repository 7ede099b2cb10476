//! What must hold, by name, and what is said when it does not.

use std::fmt;

macro_rules! invariants {
    ($($(#[doc = $doc:literal])* $variant:ident, $name:literal;)*) => {
        /// A promise that the simulation checks.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Invariant {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Invariant {
            /// All of them.
            pub const ALL: &[Invariant] = &[$(Invariant::$variant,)*];

            /// As a sentence without its verb's end, for reports.
            pub fn name(self) -> &'static str {
                match self {
                    $(Invariant::$variant => $name,)*
                }
            }
        }
    };
}

invariants! {
    /// What was acknowledged or read is there.
    Kept, "what was acknowledged is there";
    /// An offset that was seen holds the same record for ever.
    Unchanged, "an offset keeps its record";
    /// Idempotent records are there once.
    Once, "nothing is there twice";
    /// The records of an idempotent producer are in the order of sending.
    InOrder, "records are in their producer's order";
    /// Offsets that a reader gets follow each other.
    Contiguous, "offsets follow each other";
    /// Nobody reads what was never sent, or other bytes than were sent.
    Sent, "readers get what was sent";
    /// No high watermark is below one that was seen.
    HighWatermark, "the high watermark never goes back";
    /// A log starts where deletions have left it, and never before where it has started.
    LogStart, "a log starts where deletions left it, and never before where it has started";
    /// A batch that is sent again gets the offset that it has.
    OriginalOffset, "a retry gets the original offset";
    /// Topics and partitions are there from their creation to their deletion.
    Topics, "topics are there until they are deleted";
    /// What a setting was set to is what it is.
    Settings, "settings are what they were set to";
    /// The id of a deleted topic is refused.
    DeletedIds, "the id of a deleted topic is refused";
    /// Answers can be read and are those to the requests.
    Answers, "answers are those to the requests";
    /// What may be done is not refused.
    NotRefused, "nothing is refused without a reason";
    /// A broker ends when it is stopped, and by itself only because of its disk.
    Process, "a broker ends only when it should";
    /// When nothing fails any more all work comes to its end.
    Liveness, "all work ends when nothing fails";
    /// What a damaged disk has taken is told before anything is cut.
    NotCutSilently, "nothing is cut silently";
    /// What is refused because of damage is told with its file and place.
    DamageReported, "damage is reported with file and place";
}

impl Invariant {
    /// It does not hold: `text` says what was seen.
    pub(in crate::sim) fn broken(self, text: impl Into<String>) -> Violation {
        Violation {
            invariant: self,
            text: text.into(),
        }
    }
}

/// A promise that was not kept, with what was seen instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub invariant: Invariant,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.invariant.name())
    }
}
