//! What happened, in order: a running hash always, text on request.

use std::fmt::Write;

/// A step of the world. Two runs with one seed have equal traces, or something outside the seed
/// (an address, a hash map's order, a real clock) got in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A task was polled.
    Run {
        process: u32,
        shard: u16,
        task: u32,
    },
    Timer,
    /// A disk operation was submitted; what distinguishes it (position and checksum of a write).
    DiskSubmit {
        machine: u32,
        id: u64,
        detail: u64,
    },
    DiskComplete {
        machine: u32,
        id: u64,
        failed: bool,
    },
    /// Something arrived on a connection.
    Deliver {
        connection: u64,
        size: u64,
    },
    Mesh,
    Fault {
        name: &'static str,
        target: u64,
    },
}

/// See [`Step`].
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    text: Option<String>,
}

impl Trace {
    pub(super) fn new(keep_text: bool) -> Trace {
        Trace {
            hash: 0xcbf2_9ce4_8422_2325,
            text: keep_text.then(String::new),
        }
    }

    pub(super) fn record(&mut self, now: u64, step: Step) {
        let (kind, a, b) = match step {
            Step::Run {
                process,
                shard,
                task,
            } => (
                1,
                u64::from(process) << 16 | u64::from(shard),
                u64::from(task),
            ),
            Step::Timer => (2, 0, 0),
            Step::DiskSubmit {
                machine,
                id,
                detail,
            } => (3, u64::from(machine) << 48 ^ id, detail),
            Step::DiskComplete {
                machine,
                id,
                failed,
            } => (4, u64::from(machine) << 48 ^ id, u64::from(failed)),
            Step::Deliver { connection, size } => (5, connection, size),
            Step::Mesh => (6, 0, 0),
            Step::Fault { name, target } => (7, u64::from(crc32c::crc32c(name.as_bytes())), target),
        };
        for value in [now, kind, a, b] {
            self.hash = (self.hash ^ value)
                .wrapping_mul(0x9fb2_1c65_1e98_df25)
                .rotate_left(29);
        }
        if let Some(text) = &mut self.text {
            writeln!(text, "{now} {step:?}").expect("a string takes any text");
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}
