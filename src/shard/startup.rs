//! The log directories before anything is opened in them: are they ours, are they free, do they
//! belong together?

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::directories::METADATA_DIRECTORY;
use super::directory_format::{self, Origin};
use super::error::ShardError;
use super::takeover::{self, TakeOverError};
use crate::config::BrokerConfig;
use crate::io::{Disk, DiskFacts, FileLock, FileSystem, Reactor, WriteCache};
use crate::log_state::MetaProperties;
use crate::types::{DirectoryId, TopicId};

const META_PROPERTIES: &str = "meta.properties";
const LOCK_FILE: &str = ".lock";

/// Written as the last thing of a clean stop, removed as the first of a start (Kafka's name).
const CLEAN_SHUTDOWN_MARKER: &str = ".kafka_cleanshutdown";

/// A small text file is never larger.
const TEXT_SIZE_MAX: usize = 64 << 10;

/// How long a start waits for a lock that somebody holds, and how often it looks.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(20);

/// A broker needs at least this much room to start: metadata, first segments, their zeros.
const FREE_SPACE_MIN: u64 = 16 << 20;

/// The name of the metadata log's directory.
const METADATA_LOG: &str = "__cluster_metadata-0";

/// The locks of the log directories. All shards hold them until they have ended with all that they
/// have begun: a rename that the disk holds back must not happen to the next broker's files.
#[derive(Clone, Default)]
pub(super) struct DirectoryLocks(Arc<Mutex<Vec<FileLock>>>);

impl DirectoryLocks {
    fn hold(&self, lock: FileLock) {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.push(lock);
    }
}

/// A log directory that is this process's.
pub(super) struct PreparedDirectory {
    pub(super) path: PathBuf,
    /// `None` while it is unformatted, and when it cannot be read.
    pub(super) directory_id: Option<DirectoryId>,
    pub(super) facts: Option<DiskFacts>,
    /// Why it cannot be used; never the metadata's.
    pub(super) refused: Option<String>,
    pub(super) was_stopped_cleanly: bool,
}

/// All of `log.dirs`, in their order.
pub(super) struct Prepared {
    pub(super) cluster_id: String,
    pub(super) directories: Vec<PreparedDirectory>,
    /// Which of them had been formatted before.
    pub(super) were_formatted: Vec<bool>,
}

/// Why a directory cannot be used.
enum Trouble {
    /// Its disk: the others can do without it, unless it has the metadata.
    Disk(ShardError),
    /// Somebody has to correct something first.
    Mistake(ShardError),
}

impl Trouble {
    /// What is left of a directory that the broker can do without.
    fn survived(self, index: usize) -> Result<String, ShardError> {
        match self {
            Trouble::Disk(error) if index != METADATA_DIRECTORY => Ok(error.to_string()),
            Trouble::Disk(error) | Trouble::Mistake(error) => Err(error),
        }
    }
}

/// What the directories are claimed for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// One of Kafka's is taken over.
    Start,
    Format,
}

/// Checks, locks and if need be formats the broker's log directories.
pub(super) async fn prepare(
    reactor: &Reactor,
    config: &BrokerConfig,
    locks: &DirectoryLocks,
) -> Result<Prepared, ShardError> {
    let mut prepared = claim(reactor, config, Purpose::Start, locks).await?;
    let disk = reactor.disk();
    for (index, directory) in prepared.directories.iter_mut().enumerate() {
        if directory.refused.is_some() {
            continue;
        }
        match take_marker(&disk, &directory.path).await {
            Ok(was_there) => directory.was_stopped_cleanly = was_there,
            Err(error) => directory.refused = Some(Trouble::Disk(error).survived(index)?),
        }
    }
    Ok(prepared)
}

/// Makes the directories this process's, and this broker's if they are nobody's. Kafka's
/// `MetaPropertiesEnsemble` decides in the same way: what can be read must belong together, the
/// metadata's directory must be formatted when another one is, and what is empty beside it is
/// formatted.
pub(super) async fn claim(
    reactor: &Reactor,
    config: &BrokerConfig,
    purpose: Purpose,
    locks: &DirectoryLocks,
) -> Result<Prepared, ShardError> {
    let disk = reactor.disk();
    let mut directories = Vec::new();
    for (index, path) in config.log_dirs.iter().enumerate() {
        let (facts, refused) = match examine(&disk, path).await {
            Ok(facts) => (Some(facts), None),
            Err(trouble) => (None, Some(trouble.survived(index)?)),
        };
        directories.push(PreparedDirectory {
            path: path.clone(),
            directory_id: None,
            facts,
            refused,
            was_stopped_cleanly: false,
        });
    }
    check_names(&directories)?;
    let mut identities = Vec::new();
    for (index, directory) in directories.iter_mut().enumerate() {
        let mut identity = None;
        if directory.refused.is_none() {
            match take(reactor, config, purpose, &directory.path, locks).await {
                Ok(found) => identity = found,
                Err(trouble) => directory.refused = Some(trouble.survived(index)?),
            }
        }
        identities.push(identity);
    }
    let cluster_id = check_identities(config, &directories, &identities)?;
    let cluster_id = cluster_id.or_else(|| config.cluster_id.clone());
    let cluster_id = cluster_id.unwrap_or_else(|| TopicId(random_id(reactor)).to_string());
    for (index, directory) in directories.iter_mut().enumerate() {
        if directory.refused.is_some() {
            continue;
        }
        if let Err(trouble) = check_place(&disk, index, config).await {
            directory.refused = Some(trouble.survived(index)?);
            continue;
        }
        directory.directory_id = match &identities[index] {
            Some(identity) => Some(identity.directory_id),
            None => {
                let properties = MetaProperties {
                    cluster_id: cluster_id.clone(),
                    node_id: config.node_id,
                    directory_id: DirectoryId(random_id(reactor)),
                };
                match format_directory(&disk, &directory.path, &properties).await {
                    Ok(()) => Some(properties.directory_id),
                    Err(trouble) => {
                        directory.refused = Some(trouble.survived(index)?);
                        None
                    }
                }
            }
        };
    }
    Ok(Prepared {
        cluster_id,
        directories,
        were_formatted: identities.iter().map(Option::is_some).collect(),
    })
}

/// Makes the directory if it is not there, and looks at its disk.
async fn examine(disk: &Disk, path: &Path) -> Result<DiskFacts, Trouble> {
    let fail = |what: String| Trouble::Disk(ShardError::directory(path, what));
    disk.create_dir_all(path).await.map_err(|error| {
        fail(format!(
            "cannot be made: {error}; choose another with log.dirs"
        ))
    })?;
    let facts = disk
        .facts(path)
        .await
        .map_err(|error| fail(format!("no facts: {error}")))?;
    check_facts(path, &facts)?;
    Ok(facts)
}

/// One directory under two names would be two to everybody.
fn check_names(directories: &[PreparedDirectory]) -> Result<(), ShardError> {
    for (index, directory) in directories.iter().enumerate() {
        let same = |other: &&PreparedDirectory| {
            let number = |of: &PreparedDirectory| of.facts.as_ref().map(|facts| facts.directory);
            other.path == directory.path
                || (number(directory).is_some() && number(other) == number(directory))
        };
        if let Some(other) = directories[..index].iter().find(same) {
            let what = format!(
                "is also {} of log.dirs; name each directory once",
                other.path.display()
            );
            return Err(ShardError::directory(&directory.path, what));
        }
    }
    Ok(())
}

/// Locks a directory and reads whose it is.
async fn take(
    reactor: &Reactor,
    config: &BrokerConfig,
    purpose: Purpose,
    path: &Path,
    locks: &DirectoryLocks,
) -> Result<Option<MetaProperties>, Trouble> {
    let disk = &reactor.disk();
    let fail = |what: String| ShardError::directory(path, what);
    let lock = lock(reactor, disk, &path.join(LOCK_FILE)).await;
    let lock = lock.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => Trouble::Mistake(fail(
            "is in use by another process; stop that one or choose another with log.dirs"
                .to_owned(),
        )),
        _ => Trouble::Disk(fail(format!("cannot be locked: {error}"))),
    })?;
    locks.hold(lock);
    let origin = directory_format::origin(disk, path).await;
    let origin =
        origin.map_err(|error| Trouble::Disk(fail(format!("{META_PROPERTIES}: {error}"))))?;
    let taken_over = match (origin, purpose) {
        (Origin::Ours, _) => Ok(()),
        (Origin::Refused(refusal), _) => return Err(Trouble::Mistake(refusal)),
        (Origin::Kafkas(file), Purpose::Format) => {
            let what = format!(
                "was written by Apache Kafka ({file} says so); ringlog start takes it over, or \
                 choose another directory with log.dirs"
            );
            return Err(Trouble::Mistake(fail(what)));
        }
        (Origin::Kafkas(_), Purpose::Start) => takeover::take_over(reactor, config, path).await,
        (Origin::TakeOverUnderWay, _) => takeover::finish(reactor, path).await,
    };
    match taken_over {
        Ok(()) => read_identity(disk, path).await,
        Err(TakeOverError::Refused(what)) => Err(Trouble::Mistake(takeover::refusal(path, &what))),
        Err(TakeOverError::Disk(what) | TakeOverError::Flush(what)) => {
            let what = format!("cannot be taken over from Kafka: {what}");
            Err(Trouble::Disk(fail(what)))
        }
    }
}

/// Takes the directory's lock. That of a process that was killed may go a little later than the
/// process: whoever restarts it at once need not try again.
async fn lock(reactor: &Reactor, disk: &Disk, path: &Path) -> std::io::Result<FileLock> {
    let deadline = reactor.now() + LOCK_WAIT_MAX;
    loop {
        match disk.lock_file(path).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock && reactor.now() < deadline => {
                reactor.sleep(LOCK_RETRY_PAUSE).await;
            }
            taken => return taken,
        }
    }
}

fn check_facts(path: &Path, facts: &DiskFacts) -> Result<(), Trouble> {
    if facts.file_system == FileSystem::Tmpfs {
        let what = "is on tmpfs, which keeps nothing; choose a directory on a disk with log.dirs";
        return Err(Trouble::Mistake(ShardError::directory(path, what)));
    }
    if facts.free_bytes < FREE_SPACE_MIN {
        let what = format!(
            "the disk is full ({} bytes free, {FREE_SPACE_MIN} needed to start); free some space",
            facts.free_bytes
        );
        return Err(Trouble::Disk(ShardError::directory(path, what)));
    }
    Ok(())
}

async fn read_identity(disk: &Disk, path: &Path) -> Result<Option<MetaProperties>, Trouble> {
    let fail = |what: String| ShardError::directory(path, what);
    let file = path.join(META_PROPERTIES);
    match disk.read_file(&file, TEXT_SIZE_MAX).await {
        Ok(bytes) => {
            let properties = MetaProperties::decode(&String::from_utf8_lossy(&bytes));
            let properties =
                properties.map_err(|error| fail(format!("{META_PROPERTIES}: {error}")));
            properties.map(Some).map_err(Trouble::Mistake)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Trouble::Disk(fail(format!("{META_PROPERTIES}: {error}")))),
    }
}

/// Whether the directories belong to this broker and to each other; the cluster that they are of.
fn check_identities(
    config: &BrokerConfig,
    directories: &[PreparedDirectory],
    identities: &[Option<MetaProperties>],
) -> Result<Option<String>, ShardError> {
    let known = directories.iter().zip(identities);
    let known = known.filter_map(|(directory, found)| Some((&directory.path, found.as_ref()?)));
    let known: Vec<(&PathBuf, &MetaProperties)> = known.collect();
    for (index, (path, properties)) in known.iter().enumerate() {
        let fail = |what: String| Err(ShardError::directory(path, what));
        if let Some(wanted) = &config.cluster_id
            && *wanted != properties.cluster_id
        {
            return fail(format!(
                "belongs to cluster {}, the configuration says {wanted}; correct cluster.id or \
                 choose another directory with log.dirs",
                properties.cluster_id
            ));
        }
        if properties.node_id != config.node_id {
            return fail(format!(
                "belongs to node {}, the configuration says {}; correct node.id or choose another \
                 directory with log.dirs",
                properties.node_id, config.node_id
            ));
        }
        for (other_path, other) in &known[..index] {
            if other.cluster_id != properties.cluster_id {
                return fail(format!(
                    "belongs to cluster {}, {} to cluster {}; name directories of one cluster \
                     with log.dirs",
                    properties.cluster_id,
                    other_path.display(),
                    other.cluster_id
                ));
            }
            if other.directory_id == properties.directory_id {
                return fail(format!(
                    "has the directory.id {} of {}: one is a copy of the other; take one out of \
                     log.dirs",
                    properties.directory_id,
                    other_path.display()
                ));
            }
        }
    }
    if let (None, Some((formatted, _))) = (&identities[METADATA_DIRECTORY], known.first()) {
        let what = format!(
            "has no {META_PROPERTIES}, while {} is formatted; is its disk mounted? The metadata \
             is in the first of log.dirs: name the one first that has {METADATA_LOG} in it",
            formatted.display()
        );
        return Err(ShardError::directory(
            &directories[METADATA_DIRECTORY].path,
            what,
        ));
    }
    Ok(known.first().map(|(_, first)| first.cluster_id.clone()))
}

/// Only the first directory may hold the metadata: a broker that began with another one would know
/// of no topic.
async fn check_place(disk: &Disk, index: usize, config: &BrokerConfig) -> Result<(), Trouble> {
    if index == METADATA_DIRECTORY {
        return Ok(());
    }
    let path = &config.log_dirs[index];
    match disk.list_dir(&path.join(METADATA_LOG)).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Trouble::Disk(ShardError::directory(path, error))),
        Ok(_) => {
            let what = format!(
                "has the metadata ({METADATA_LOG}), which is looked for in {}, the first of \
                 log.dirs; name the one with the metadata first",
                config.log_dirs[METADATA_DIRECTORY].display()
            );
            Err(Trouble::Mistake(ShardError::directory(path, what)))
        }
    }
}

fn random_id(reactor: &Reactor) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&reactor.random().to_be_bytes());
    bytes[8..].copy_from_slice(&reactor.random().to_be_bytes());
    bytes
}

/// Makes an empty directory the broker's.
async fn format_directory(
    disk: &Disk,
    path: &Path,
    properties: &MetaProperties,
) -> Result<(), Trouble> {
    let fail = |what: String| Trouble::Disk(ShardError::directory(path, what));
    let entries = disk.list_dir(path).await;
    let entries = entries.map_err(|error| fail(error.to_string()))?;
    // What a format that was interrupted leaves behind, and what mkfs makes.
    let is_ours =
        |name: &str| name == LOCK_FILE || name == "lost+found" || name.starts_with("meta.");
    if let Some(other) = entries.iter().find(|entry| !is_ours(&entry.name)) {
        let what = format!(
            "is not empty ({}) and has no {META_PROPERTIES}; choose an empty directory with \
             log.dirs",
            other.name
        );
        return Err(Trouble::Mistake(ShardError::directory(path, what)));
    }
    sync_ancestors(disk, path).await.map_err(fail)?;
    let text = properties.encode().into_bytes();
    let written = disk.write_file(&path.join(META_PROPERTIES), text).await;
    written.map_err(|error| fail(format!("{META_PROPERTIES} cannot be written: {error}")))
}

/// Makes the directory's own name durable, and those of the directories above it: any of them may
/// just have been made. A power cut would take the directory with all that is in it.
async fn sync_ancestors(disk: &Disk, path: &Path) -> Result<(), String> {
    for ancestor in path.ancestors().skip(1) {
        // A relative path ends with an empty one.
        let ancestor = match ancestor.as_os_str().is_empty() {
            true => Path::new("."),
            false => ancestor,
        };
        match disk.sync_dir(ancestor).await {
            Ok(()) => {}
            // Not ours, and so not made just now.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => {
                let ancestor = ancestor.display();
                return Err(format!(
                    "{ancestor}, which it is in, cannot be synced: {error}"
                ));
            }
        }
    }
    Ok(())
}

/// Whether there was a marker; it is durably gone before the first append.
async fn take_marker(disk: &Disk, path: &Path) -> Result<bool, ShardError> {
    let fail = |error: std::io::Error| ShardError::directory(path, error);
    match disk.remove_file(&path.join(CLEAN_SHUTDOWN_MARKER)).await {
        Ok(()) => {
            disk.sync_dir(path).await.map_err(fail)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fail(error)),
    }
}

/// The last thing of a clean stop.
pub(super) async fn write_marker(disk: &Disk, path: &Path) -> Result<(), ShardError> {
    let text = b"{\"version\":0,\"brokerEpoch\":-1}".to_vec();
    disk.write_file(&path.join(CLEAN_SHUTDOWN_MARKER), text)
        .await
        .map_err(|error| ShardError::directory(path, error))
}

/// What an operator should know of a directory's disk, a line each; one of several is named.
pub(super) fn describe(directory: &PreparedDirectory, is_named: bool) -> Vec<String> {
    let Some(facts) = &directory.facts else {
        return Vec::new();
    };
    let journal = match facts.journal {
        Some(true) => "with a journal",
        Some(false) => "without a journal",
        None => "journal unknown",
    };
    let cache = match facts.write_cache {
        WriteCache::WriteBack => "write back (flushes are needed and made)",
        WriteCache::WriteThrough => "write through",
        WriteCache::Unknown => "unknown",
    };
    let mut lines = vec![format!(
        "file system {:?} {journal}, write cache {cache}, {:.1} of {:.1} GB free",
        facts.file_system,
        facts.free_bytes as f64 / 1e9,
        facts.total_bytes as f64 / 1e9
    )];
    if facts.barriers_off {
        lines.push("barriers are off: a power cut can lose acknowledged records".to_owned());
    }
    match is_named {
        true => lines
            .into_iter()
            .map(|line| format!("{}: {line}", directory.path.display()))
            .collect(),
        false => lines,
    }
}
