//! Files of this machine, read with plain calls.

use std::fs::{self, File};
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::inspect::{Files, ReadAt};
use crate::io::DirEntry;

pub(super) struct DiskFiles;

struct DiskFile {
    file: File,
    size: u64,
}

impl Files for DiskFiles {
    fn list(&self, directory: &Path) -> Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Links are followed, as a broker follows them.
            let metadata = match fs::metadata(entry.path()) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            entries.push(DirEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: metadata.is_dir(),
                size: if metadata.is_dir() { 0 } else { metadata.len() },
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn ReadAt>> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Box::new(DiskFile { file, size }))
    }
}

impl ReadAt for DiskFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut size = 0;
        while size < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[size..], position + size as u64)
            {
                Ok(0) => break,
                Ok(read) => size += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(size)
    }
}
