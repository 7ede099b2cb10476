//! The conformance suite of `io`: what every side must do, as cases that use nothing but the front
//! of `ringlog::io`, and one driver for each side that runs all of them unchanged.

mod cases;
mod disk;
mod mesh;
mod names;
mod net;
mod sync;
mod time;

mod sim;
mod uring;
