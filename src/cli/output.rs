//! Standard output, gathered into few writes.

use std::io::{BufWriter, Result, StdoutLock, Write};

/// Bytes gathered before a write.
const BUFFER_SIZE: usize = 256 << 10;

/// Standard output until dropped. What must be seen is flushed; an error of that is the caller's.
pub(super) struct Output {
    writer: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub(super) fn new() -> Output {
        Output {
            writer: BufWriter::with_capacity(BUFFER_SIZE, std::io::stdout().lock()),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.writer.flush()
    }
}
