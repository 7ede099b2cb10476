//! What a damaged disk may do to one partition: some offsets cannot be read any more, and recovery
//! may cut the log there, if it says so. Nobody ever reads anything else than what was written.

use std::ops::Range;

use crate::types::Offset;

/// Something in a log file that is not as it was written.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Damage {
    /// From the first batch that is touched to the end of its segment: what lies behind the batch
    /// may be found only through it.
    pub(in crate::sim) unreadable: Range<Offset>,
    /// In the newest segment: the first batch from which on there are zeros up to the end, so that
    /// nothing shows that there was more. [`Offset::MAX`] if there is none.
    pub(in crate::sim) silent_from: Option<Offset>,
}

/// All that has befallen a partition.
#[derive(Debug, Default)]
pub(in crate::sim) struct Damages {
    all: Vec<Damage>,
    /// Since the last start that served.
    unjudged: Vec<Damage>,
    /// The broker has told of it, with file and place.
    is_reported: bool,
}

impl Damages {
    pub(super) fn add(&mut self, damage: Damage) {
        self.all.push(damage.clone());
        self.unjudged.push(damage);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn reported(&mut self) {
        self.is_reported = true;
    }

    pub(super) fn is_reported(&self) -> bool {
        self.is_reported
    }

    /// Where reading may go on if it fails at `offset`; `None` where it may not fail.
    pub(super) fn readable_behind(&self, offset: Offset) -> Option<Offset> {
        let here = self.all.iter().map(|damage| &damage.unreadable);
        let here = here.filter(|unreadable| unreadable.contains(&offset));
        here.map(|unreadable| unreadable.end).max()
    }

    /// A broker serves, and recovery has told of a cut at `cut_end` or of none: from which offset
    /// on records may be gone.
    pub(super) fn judge(&mut self, cut_end: Option<Offset>) -> Option<Offset> {
        let unjudged = std::mem::take(&mut self.unjudged);
        let silent = unjudged.iter().filter_map(|damage| damage.silent_from);
        let silent = silent.filter(|&from| from < Offset::MAX).min();
        let Some(cut_end) = cut_end else {
            return silent;
        };
        let starts = self.all.iter().map(|damage| damage.unreadable.start);
        let cut = starts.min().map(|start| start.max(cut_end));
        [silent, cut].into_iter().flatten().min()
    }

    /// The log may end at `offset` now, or anywhere behind it: what is appended there goes into the
    /// segment that has the end, and may be found only through what is damaged of it.
    pub(super) fn may_end_from(&mut self, offset: Offset) {
        for damage in self.all.iter_mut().chain(&mut self.unjudged) {
            if damage.unreadable.end >= offset {
                damage.unreadable.end = Offset::MAX;
            }
        }
    }

    /// What was behind damage may be gone, and with it what showed that.
    pub(super) fn power_cut(&mut self) {
        for damage in &mut self.unjudged {
            if let Some(from) = &mut damage.silent_from {
                *from = damage.unreadable.start;
            }
        }
    }
}
