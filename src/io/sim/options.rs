//! What a world is made with.

use super::FaultPlan;

/// See [`Simulation::new`](super::Simulation::new). `SimOptions { seed, ..Default::default() }`.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Keep the trace as text, for comparison of two runs. Its hash is always there.
    pub keep_trace: bool,
    /// Steps after which a run that waits for something gives up and panics.
    pub step_count_max: u64,
    /// Bytes of each machine's disk.
    pub disk_capacity_size: u64,
    /// Bytes that a connection takes in one direction before its sender must wait.
    pub socket_buffer_size: usize,
    /// As in [`ReactorOptions`](crate::io::ReactorOptions), for each shard.
    pub background_bytes_in_flight_max: usize,
    /// The faults that come by themselves.
    pub faults: FaultPlan,
}

impl Default for SimOptions {
    fn default() -> SimOptions {
        SimOptions {
            seed: 0,
            keep_trace: false,
            step_count_max: 20_000_000,
            disk_capacity_size: 64 << 30,
            socket_buffer_size: 128 << 10,
            background_bytes_in_flight_max: 4 << 20,
            faults: FaultPlan::none(),
        }
    }
}

impl SimOptions {
    /// The defaults with this seed.
    pub fn with_seed(seed: u64) -> SimOptions {
        SimOptions {
            seed,
            ..SimOptions::default()
        }
    }
}
