//! glommio's errors as the system's.

use std::io;

use glommio::GlommioError;

/// The error of the system call, with its number; glommio's own conversion loses it.
pub(super) fn os_error<T>(error: GlommioError<T>) -> io::Error {
    match error {
        GlommioError::IoError(source) | GlommioError::EnhancedIoError { source, .. } => source,
        other => other.into(),
    }
}
