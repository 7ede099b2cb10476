//! Names of what is in a world.

use std::net::{IpAddr, Ipv4Addr};

/// A machine: a disk, a wall clock, an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MachineId(pub(super) u32);

/// A process on a machine. A restarted one is another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ProcessId(pub(super) u32);

impl MachineId {
    /// The machine that every world begins with.
    pub const FIRST: MachineId = MachineId(0);

    /// The address of the machine for others; its own loopback works too.
    pub fn address(self) -> IpAddr {
        let [_, _, high, low] = (self.0 + 1).to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 0, high, low))
    }

    pub(super) fn of_address(address: IpAddr) -> Option<MachineId> {
        match address {
            IpAddr::V4(address) => match address.octets() {
                [10, 0, high, low] => u32::from_be_bytes([0, 0, high, low])
                    .checked_sub(1)
                    .map(MachineId),
                _ => None,
            },
            IpAddr::V6(_) => None,
        }
    }
}
