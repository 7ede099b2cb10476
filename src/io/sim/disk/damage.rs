//! A look at files from outside, and what a disk does to them that rots or lies.

use std::path::Path;

use super::inode::Inode;
use super::names::Node;
use super::state::DiskState;

impl DiskState {
    /// A file's contents as a process would read them, `None` if there is none.
    pub(in crate::io::sim) fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let inode = &self.inodes[&self.names.find_file(path).ok()?];
        Some(inode.read(0, inode.size() as usize).to_vec())
    }

    /// The files in a directory, by name.
    pub(in crate::io::sim) fn file_names(&self, path: &Path) -> Vec<String> {
        let Ok(entries) = self.names.list(path) else {
            return Vec::new();
        };
        let files = entries.filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(name, _)| name.to_owned()).collect()
    }

    /// Flips bits of one byte; false when there is no such byte.
    pub(in crate::io::sim) fn corrupt(&mut self, path: &Path, position: u64) -> bool {
        self.named_file(path)
            .is_some_and(|inode| inode.corrupt(position))
    }

    /// What a unit holds from `kept_size` on becomes zeros; false when there is no such unit.
    pub(in crate::io::sim) fn lose_write(
        &mut self,
        path: &Path,
        unit: u64,
        kept_size: usize,
    ) -> bool {
        self.named_file(path)
            .is_some_and(|inode| inode.replace_unit(unit, |contents| contents[kept_size..].fill(0)))
    }

    /// A unit gets the contents of another one of the same file; false when one is not there.
    pub(in crate::io::sim) fn copy_unit(&mut self, path: &Path, from: u64, to: u64) -> bool {
        self.named_file(path).is_some_and(|inode| {
            inode.unit_contents(from).is_some_and(|copied| {
                inode.replace_unit(to, |contents| contents.copy_from_slice(&copied))
            })
        })
    }

    fn named_file(&mut self, path: &Path) -> Option<&mut Inode> {
        let inode = self.names.find_file(path).ok()?;
        self.inodes.get_mut(&inode)
    }
}
