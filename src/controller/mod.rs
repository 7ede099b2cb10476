//! The state machine of the controller.
