//! Batches that lie one behind the other in a buffer: a Fetch response, a piece of a segment.

use super::error::BatchError;
use super::header::{BatchView, HEADER_SIZE, LOG_OVERHEAD};

/// Whether to compute the CRC of every batch (`check.crcs`; recovery always does).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrcCheck {
    Verify,
    Skip,
}

/// Why the batches end where they end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScanEnd {
    /// The buffer ends with a batch.
    Complete,
    /// The buffer ends inside a batch. `needed` bytes from its start are known to be wanted: the
    /// whole batch once its length is there, which may itself be damaged. Usual at the end of a
    /// Fetch response.
    Truncated { needed: usize },
    /// Where a header should be, there are zeros to the end of the buffer or for a header's size:
    /// the tail that was zeroed ahead, or a hole. What follows has not been looked at.
    Zeros,
    /// Not a batch, or a damaged one.
    Corrupt(BatchError),
}

/// Iterates over whole batches and stops at the first that is not; then [`BatchIter::end`] says
/// why and [`BatchIter::position`] where.
#[derive(Clone, Debug)]
pub struct BatchIter<'a> {
    bytes: &'a [u8],
    position: usize,
    crc_check: CrcCheck,
    end: Option<ScanEnd>,
}

impl<'a> BatchIter<'a> {
    pub fn new(bytes: &'a [u8], crc_check: CrcCheck) -> BatchIter<'a> {
        BatchIter {
            bytes,
            position: 0,
            crc_check,
            end: None,
        }
    }

    /// Byte after the last batch that was returned.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Why there are no more batches; `None` while there may be.
    pub fn end(&self) -> Option<ScanEnd> {
        self.end
    }

    fn read(&self) -> Result<BatchView<'a>, ScanEnd> {
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return Err(ScanEnd::Complete);
        }
        if rest.len() < LOG_OVERHEAD {
            let needed = HEADER_SIZE;
            return Err(ScanEnd::Truncated { needed });
        }
        let start = &rest[..rest.len().min(HEADER_SIZE)];
        if start.iter().all(|&byte| byte == 0) {
            return Err(ScanEnd::Zeros);
        }
        let batch = BatchView::parse(rest).map_err(|error| match error {
            BatchError::Truncated { needed, .. } => ScanEnd::Truncated { needed },
            error => ScanEnd::Corrupt(error),
        })?;
        if self.crc_check == CrcCheck::Verify {
            batch.check_crc().map_err(ScanEnd::Corrupt)?;
        }
        Ok(batch)
    }
}

impl<'a> Iterator for BatchIter<'a> {
    type Item = BatchView<'a>;

    fn next(&mut self) -> Option<BatchView<'a>> {
        if self.end.is_some() {
            return None;
        }
        match self.read() {
            Ok(batch) => {
                self.position += batch.size_in_bytes();
                Some(batch)
            }
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
