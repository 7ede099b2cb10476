//! How files are read here.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use crate::io::DirEntry;

/// Largest small file that is read whole: an index of `segment.index.bytes`' largest value that
/// anybody uses, a snapshot of a million producers.
const SMALL_FILE_SIZE_MAX: u64 = 64 << 20;

/// A file open for reading.
pub trait ReadAt {
    /// Bytes of the file when it was opened; a file that is being written may grow.
    fn size(&self) -> u64;

    /// Reads as many bytes as `buffer` holds, fewer only where the file ends.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<usize>;
}

/// Where files are found. Nothing here changes any.
pub trait Files {
    /// What is in a directory, by name.
    fn list(&self, directory: &Path) -> Result<Vec<DirEntry>>;

    fn open(&self, path: &Path) -> Result<Box<dyn ReadAt>>;
}

/// The whole contents of a file that is not a segment; one above 64 MiB is refused.
pub fn read_small_file(files: &dyn Files, path: &Path) -> Result<Vec<u8>> {
    let file = files.open(path)?;
    if file.size() > SMALL_FILE_SIZE_MAX {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("{} bytes are too many for such a file", file.size()),
        ));
    }
    let mut bytes = vec![0; file.size() as usize];
    let size = file.read_at(0, &mut bytes)?;
    bytes.truncate(size);
    Ok(bytes)
}
