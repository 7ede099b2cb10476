//! Which faults a seed has: each is drawn on or off, so that none hides what another would show.

use std::fmt;
use std::str::FromStr;

use crate::io::sim::{FaultPlan, Random};

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $variant:ident, $name:literal;)*) => {
        /// A class of faults of the broker's simulation.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Fault {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$variant,)*];

            /// As `ringlog sim --without` takes it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$variant => $name,)*
                }
            }
        }
    };
}

faults! {
    /// kill -9; writes that were under way land late.
    Kill, "kill";
    /// A drawn part of what was not flushed is lost.
    PowerCut, "power-cut";
    Pause, "pause";
    SlowDisk, "slow-disk";
    /// Operations that take up to half a minute.
    StuckDisk, "stuck-disk";
    ReadError, "read-error";
    WriteError, "write-error";
    FlushError, "flush-error";
    FullDisk, "full-disk";
    BitRot, "bit-rot";
    /// A write that had succeeded is not there.
    LostWrite, "lost-write";
    /// A write that had succeeded is somewhere else.
    MisdirectedWrite, "misdirected-write";
    ClockJump, "clock-jump";
    ClockDrift, "clock-drift";
    ConnectionReset, "connection-reset";
    ConnectionRefused, "connection-refused";
    PacketDelay, "packet-delay";
    /// A connection of which one end is gone, or out of reach, and the other is not told.
    HalfOpen, "half-open";
    /// Nothing comes through, in one direction or both.
    NetworkCut, "network-cut";
}

/// One seed of so many has a disk that damages what it holds: the checker can demand less then.
const DAMAGE_EVERY: u64 = 4;

const DAMAGES: [Fault; 3] = [Fault::BitRot, Fault::LostWrite, Fault::MisdirectedWrite];

const DISK_FAULTS: [Fault; 5] = [
    Fault::SlowDisk,
    Fault::StuckDisk,
    Fault::ReadError,
    Fault::WriteError,
    Fault::FlushError,
];

const NETWORK_FAULTS: [Fault; 3] = [
    Fault::ConnectionReset,
    Fault::ConnectionRefused,
    Fault::PacketDelay,
];

/// Some classes of faults.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct FaultSet(u32);

impl FaultSet {
    /// None.
    pub const EMPTY: FaultSet = FaultSet(0);

    pub fn with(self, fault: Fault) -> FaultSet {
        FaultSet(self.0 | 1 << fault as u32)
    }

    pub fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u32 != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Fault> {
        let all = Fault::ALL.iter().copied();
        all.filter(move |fault| self.has(*fault))
    }

    fn without(self, other: FaultSet) -> FaultSet {
        FaultSet(self.0 & !other.0)
    }
}

impl FromIterator<Fault> for FaultSet {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> FaultSet {
        faults.into_iter().fold(FaultSet::EMPTY, FaultSet::with)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Fault, String> {
        let mut all = Fault::ALL.iter().copied();
        all.find(|fault| fault.name() == name).ok_or_else(|| {
            let names: Vec<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
            format!("there is no fault {name}; there are {}", names.join(", "))
        })
    }
}

/// The faults of a seed, and those that befall one life of a broker.
pub(super) struct Swarm {
    faults: FaultSet,
}

impl Swarm {
    /// Draws them, less those that are left out.
    pub(super) fn draw(random: &mut Random, without: FaultSet) -> Swarm {
        let is_damaged = random.below(DAMAGE_EVERY) == 0;
        let drawn = Fault::ALL.iter().copied();
        let drawn = drawn.filter(|fault| random.coin() && (is_damaged || !DAMAGES.contains(fault)));
        let faults = drawn.collect::<FaultSet>();
        Swarm {
            faults: faults.without(without),
        }
    }

    pub(super) fn faults(&self) -> FaultSet {
        self.faults
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.has(fault)
    }

    /// One of some faults, of those that the seed has.
    fn one_of(&self, faults: &[Fault], random: &mut Random) -> Option<Fault> {
        let drawn = faults[random.below(faults.len() as u64) as usize];
        Some(drawn).filter(|fault| self.has(*fault))
    }

    /// What damages the disk, if anything does now.
    pub(super) fn damage(&self, random: &mut Random) -> Option<Fault> {
        self.one_of(&DAMAGES, random)
    }

    /// What goes wrong by itself in one life: mostly a disk and a network that work.
    pub(super) fn plan(&self, random: &mut Random) -> FaultPlan {
        let mut plan = FaultPlan::none();
        if random.coin() {
            match self.one_of(&DISK_FAULTS, random) {
                Some(Fault::SlowDisk) => plan.slow_disk = 0.1,
                Some(Fault::StuckDisk) => plan.stuck_disk = 0.002,
                Some(Fault::ReadError) => plan.read_error = 0.02,
                Some(Fault::WriteError) => plan.write_error = 0.005,
                Some(Fault::FlushError) => plan.flush_error = 0.01,
                _ => {}
            }
        }
        if random.coin() {
            match self.one_of(&NETWORK_FAULTS, random) {
                Some(Fault::ConnectionReset) => plan.connection_reset = 0.02,
                Some(Fault::ConnectionRefused) => plan.connection_refused = 0.2,
                Some(Fault::PacketDelay) => plan.packet_delay = 0.01,
                _ => {}
            }
        }
        if self.has(Fault::HalfOpen) {
            plan.half_open = 0.3;
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swarms() -> Vec<FaultSet> {
        let drawn = (0..400).map(|seed| {
            let mut random = Random::stream(seed, "swarm", 0);
            Swarm::draw(&mut random, FaultSet::EMPTY).faults()
        });
        drawn.collect()
    }

    #[test]
    fn every_fault_is_on_in_some_seeds_and_off_in_others() {
        let swarms = swarms();
        for &fault in Fault::ALL {
            let on_count = swarms.iter().filter(|swarm| swarm.has(fault)).count();
            assert!((20..300).contains(&on_count), "{fault}: {on_count} of 400");
        }
    }

    #[test]
    fn most_seeds_have_a_disk_that_keeps_what_it_holds() {
        let is_damaged = |swarm: &&FaultSet| DAMAGES.iter().any(|fault| swarm.has(*fault));
        let count = swarms().iter().filter(is_damaged).count();
        assert!((50..150).contains(&count), "{count} of 400");
    }

    #[test]
    fn what_is_left_out_does_not_come_and_changes_no_other() {
        let without = FaultSet::EMPTY.with(Fault::Kill);
        for seed in 0..50 {
            let all = Swarm::draw(&mut Random::stream(seed, "swarm", 0), FaultSet::EMPTY);
            let some = Swarm::draw(&mut Random::stream(seed, "swarm", 0), without);
            assert!(!some.has(Fault::Kill));
            assert_eq!(some.faults(), all.faults().without(without));
        }
    }

    #[test]
    fn names_lead_back() {
        for &fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert!("thirst".parse::<Fault>().unwrap_err().contains("kill"));
    }
}
