//! The tree of names, with what a power cut may take kept apart.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, Result};
use std::path::{Component, Path};

use nix::libc;

use super::super::random::Random;
use super::Survival;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Node {
    File(u64),
    Directory(u64),
}

type Entries = BTreeMap<String, Node>;

#[derive(Default)]
struct Directory {
    current: Entries,
    durable: Entries,
}

/// One change of names that has not been made durable; happens as a whole or not at all.
struct Change {
    sequence: u64,
    set: Option<(u64, String, Node)>,
    unset: Option<(u64, String)>,
    /// The directory that goes with the name: what had changed in it goes first.
    removed: Option<u64>,
}

impl Change {
    /// What gets a name.
    fn node(&self) -> Option<Node> {
        self.set.as_ref().map(|(.., node)| *node)
    }

    fn touches(&self, directories: &BTreeSet<u64>) -> bool {
        self.directories()
            .any(|directory| directories.contains(&directory))
    }

    fn directories(&self) -> impl Iterator<Item = u64> {
        let set = self.set.as_ref().map(|(directory, ..)| *directory);
        let unset = self.unset.as_ref().map(|(directory, _)| *directory);
        set.into_iter().chain(unset).chain(self.removed)
    }
}

/// All directories of a disk.
pub(super) struct Names {
    directories: BTreeMap<u64, Directory>,
    pending: Vec<Change>,
    /// How many names each file has: now, durable ones, and in pending changes.
    uses: BTreeMap<u64, usize>,
    /// Files that have lost their last name since somebody asked.
    unnamed: Vec<u64>,
}

const ROOT: u64 = 0;

pub(super) fn system_error(code: i32) -> Error {
    Error::from_raw_os_error(code)
}

impl Names {
    pub(super) fn new() -> Names {
        Names {
            directories: BTreeMap::from([(ROOT, Directory::default())]),
            pending: Vec::new(),
            uses: BTreeMap::new(),
            unnamed: Vec::new(),
        }
    }

    /// What a path stands for.
    pub(super) fn find(&self, path: &Path) -> Result<Node> {
        let mut node = Node::Directory(ROOT);
        for name in names_of(path) {
            node = *self
                .entries(node)?
                .get(name)
                .ok_or_else(|| system_error(libc::ENOENT))?;
        }
        Ok(node)
    }

    pub(super) fn find_file(&self, path: &Path) -> Result<u64> {
        match self.find(path)? {
            Node::File(inode) => Ok(inode),
            Node::Directory(_) => Err(system_error(libc::EISDIR)),
        }
    }

    pub(super) fn find_directory(&self, path: &Path) -> Result<u64> {
        match self.find(path)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(system_error(libc::ENOTDIR)),
        }
    }

    /// The entries of a directory, by name.
    pub(super) fn list(&self, path: &Path) -> Result<impl Iterator<Item = (&str, Node)>> {
        let entries = self.entries(Node::Directory(self.find_directory(path)?))?;
        Ok(entries.iter().map(|(name, node)| (name.as_str(), *node)))
    }

    fn entries(&self, node: Node) -> Result<&Entries> {
        match node {
            Node::Directory(directory) => Ok(&self.directories[&directory].current),
            Node::File(_) => Err(system_error(libc::ENOTDIR)),
        }
    }

    /// The directory of a path and the name in it.
    fn parent_of(&self, path: &Path) -> Result<(u64, String)> {
        let name = names_of(path)
            .last()
            .ok_or_else(|| system_error(libc::EINVAL))?;
        let parent = path.parent().ok_or_else(|| system_error(libc::EINVAL))?;
        Ok((self.find_directory(parent)?, name.to_owned()))
    }

    /// Gives a file a name, replacing a file of that name.
    pub(super) fn set_file(&mut self, path: &Path, inode: u64, sequence: u64) -> Result<()> {
        let (directory, name) = self.parent_of(path)?;
        let set = Some((directory, name, Node::File(inode)));
        self.change(Change {
            sequence,
            set,
            unset: None,
            removed: None,
        });
        Ok(())
    }

    /// Makes a directory and its parents; `next_id` gives new ids.
    pub(super) fn create_dir_all(
        &mut self,
        path: &Path,
        sequence: u64,
        mut next_id: impl FnMut() -> u64,
    ) -> Result<()> {
        let mut parent = ROOT;
        for name in names_of(path) {
            match self.directories[&parent].current.get(name) {
                Some(Node::Directory(directory)) => parent = *directory,
                Some(Node::File(_)) => return Err(system_error(libc::ENOTDIR)),
                None => {
                    let directory = next_id();
                    self.directories.insert(directory, Directory::default());
                    let set = Some((parent, name.to_owned(), Node::Directory(directory)));
                    self.change(Change {
                        sequence,
                        set,
                        unset: None,
                        removed: None,
                    });
                    parent = directory;
                }
            }
        }
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path, sequence: u64) -> Result<()> {
        self.find_file(path)?;
        let unset = Some(self.parent_of(path)?);
        self.change(Change {
            sequence,
            set: None,
            unset,
            removed: None,
        });
        Ok(())
    }

    /// Removes everything below a path and the path, one name after the other, and stops early
    /// after `name_count_max` of them.
    pub(super) fn remove_dir_all(
        &mut self,
        path: &Path,
        sequence: u64,
        name_count_max: u64,
    ) -> Result<()> {
        let directory = self.find_directory(path)?;
        let mut names = Vec::new();
        self.collect_names(directory, &mut names);
        names.push((self.parent_of(path)?, Some(directory)));
        for (name, removed) in names.into_iter().take(name_count_max as usize) {
            self.change(Change {
                sequence,
                set: None,
                unset: Some(name),
                removed,
            });
        }
        Ok(())
    }

    fn collect_names(&self, directory: u64, into: &mut Vec<((u64, String), Option<u64>)>) {
        for (name, node) in &self.directories[&directory].current {
            let below = match node {
                Node::Directory(below) => Some(*below),
                Node::File(_) => None,
            };
            if let Some(below) = below {
                self.collect_names(below, into);
            }
            into.push(((directory, name.clone()), below));
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, sequence: u64) -> Result<()> {
        let node = self.find(from)?;
        match (node, self.find(to)) {
            (_, Err(_)) | (Node::File(_), Ok(Node::File(_))) => {}
            (Node::File(_), Ok(Node::Directory(_))) => return Err(system_error(libc::EISDIR)),
            (Node::Directory(_), Ok(Node::File(_))) => return Err(system_error(libc::ENOTDIR)),
            (Node::Directory(_), Ok(Node::Directory(other))) => {
                if !self.directories[&other].current.is_empty() {
                    return Err(system_error(libc::ENOTEMPTY));
                }
            }
        }
        let (directory, name) = self.parent_of(to)?;
        let unset = Some(self.parent_of(from)?);
        self.change(Change {
            sequence,
            set: Some((directory, name, node)),
            unset,
            removed: None,
        });
        Ok(())
    }

    fn change(&mut self, change: Change) {
        self.apply(&change, |directory| &mut directory.current);
        self.hold(change.node());
        self.pending.push(change);
    }

    fn hold(&mut self, node: Option<Node>) {
        if let Some(Node::File(inode)) = node {
            *self.uses.entry(inode).or_default() += 1;
        }
    }

    fn release(&mut self, node: Option<Node>) {
        let Some(Node::File(inode)) = node else {
            return;
        };
        let uses = self.uses.get_mut(&inode).expect("it had a name");
        *uses -= 1;
        if *uses == 0 {
            self.uses.remove(&inode);
            self.unnamed.push(inode);
        }
    }

    fn apply(&mut self, change: &Change, side: impl Fn(&mut Directory) -> &mut Entries) {
        if let Some((directory, name)) = &change.unset
            && let Some(directory) = self.directories.get_mut(directory)
        {
            let gone = side(directory).remove(name);
            self.release(gone);
        }
        if let Some((directory, name, node)) = &change.set
            && let Some(directory) = self.directories.get_mut(directory)
        {
            let replaced = side(directory).insert(name.clone(), *node);
            self.hold(Some(*node));
            self.release(replaced);
        }
    }

    /// Makes durable what had changed in a directory by `sequence`. A rename from or to another
    /// directory takes with it what had happened there before.
    pub(super) fn sync(&mut self, directory: u64, sequence: u64) {
        let mut touched = BTreeSet::from([directory]);
        let mut applied = Vec::new();
        for index in (0..self.pending.len()).rev() {
            let change = &self.pending[index];
            if change.sequence <= sequence && change.touches(&touched) {
                touched.extend(change.directories());
                applied.push(self.pending.remove(index));
            }
        }
        for change in applied.iter().rev() {
            self.apply(change, |directory| &mut directory.durable);
            self.release(change.node());
        }
    }

    /// Everything so far is on the medium.
    pub(super) fn sync_everything(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            self.apply(&change, |directory| &mut directory.durable);
            self.release(change.node());
        }
    }

    /// The machine lost its power: unsynced changes survive in part; a journal keeps their order.
    /// Returns how many were lost.
    pub(super) fn power_cut(&mut self, random: &mut Random, survival: Survival) -> u64 {
        let in_order = random.coin();
        let mut lost_count = 0;
        for change in std::mem::take(&mut self.pending) {
            if (in_order && lost_count > 0) || !survival.keeps(random) {
                lost_count += 1;
            } else {
                self.apply(&change, |directory| &mut directory.durable);
            }
        }
        for directory in self.directories.values_mut() {
            directory.current.clone_from(&directory.durable);
        }
        self.recount();
        lost_count
    }

    /// After a power cut all names are durable.
    fn recount(&mut self) {
        let mut before = std::mem::take(&mut self.uses);
        for directory in self.directories.values() {
            for node in directory.current.values().chain(directory.durable.values()) {
                if let Node::File(inode) = node {
                    *self.uses.entry(*inode).or_default() += 1;
                }
            }
        }
        before.retain(|inode, _| !self.uses.contains_key(inode));
        self.unnamed.extend(before.into_keys());
    }

    /// Whether a file has a name now, or would have one after a power cut.
    pub(super) fn has_name(&self, inode: u64) -> bool {
        self.uses.contains_key(&inode)
    }

    /// The files that have lost their last name since the last call.
    pub(super) fn take_unnamed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.unnamed)
    }
}

/// The names that a path is made of; relative paths start at the root.
fn names_of(path: &Path) -> impl DoubleEndedIterator<Item = &str> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_str().expect("simulated paths are UTF-8")),
        _ => None,
    })
}
