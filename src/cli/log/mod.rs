//! `ringlog log`: files of a log directory, read as they lie there.

mod args;
mod disk_files;
mod dump;
mod line;
mod small_files;
mod verify;

pub(super) use args::{LogArgs, run};
