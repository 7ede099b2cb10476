use super::*;

/// On the disk of the build directory: /tmp may be in memory.
fn base() -> tempfile::TempDir {
    let test = std::env::current_exe().expect("a path");
    tempfile::tempdir_in(test.parent().expect("a directory")).expect("a directory")
}

fn runs(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).expect("a directory").flatten();
    let mut runs: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    runs.sort();
    runs
}

#[test]
fn a_run_removes_its_own_directory_and_those_of_dead_runs_only() {
    let base = base();
    let dead = base.path().join(format!("{PREFIX}1-1"));
    fs::create_dir_all(dead.join("data/t-0")).unwrap();
    fs::write(dead.join(LOCK), "").unwrap();
    let unlocked = base.path().join(format!("{PREFIX}1-2"));
    fs::create_dir(&unlocked).unwrap();
    let foreign = base.path().join("photographs");
    fs::create_dir(&foreign).unwrap();

    let first = Workspace::create(base.path(), 0).unwrap();
    assert_eq!(
        runs(base.path()),
        [foreign.clone(), first.path().to_owned()]
    );
    let second = Workspace::create(base.path(), 0).unwrap();
    assert_eq!(runs(base.path()).len(), 3, "the first one lives");
    drop(first);
    drop(second);
    assert_eq!(runs(base.path()), [foreign]);
}

#[test]
fn a_kept_directory_is_not_swept_and_can_be_opened_once_at_a_time() {
    let base = base();
    let manifest = Manifest {
        topic: "t".to_owned(),
        written: Written {
            run: 5,
            counts: vec![vec![1, 2]],
        },
    };
    let mut workspace = Workspace::create(base.path(), 0).unwrap();
    let path = workspace.path().to_owned();
    workspace.keep(&manifest).unwrap();
    drop(workspace);
    drop(Workspace::create(base.path(), 0).unwrap());
    let (opened, found) = Workspace::open(&path).unwrap();
    assert_eq!(found, manifest);
    let again = Workspace::open(&path).err().expect("it is in use");
    assert!(again.to_string().contains("in use"), "{again}");
    drop(opened);
    assert!(path.is_dir());
    let nothing = Workspace::open(base.path()).err().expect("nothing is kept");
    assert!(nothing.to_string().contains("--keep"), "{nothing}");
}

#[test]
fn a_disk_in_memory_and_too_little_space_are_refused() {
    let base = base();
    let full = Workspace::create(base.path(), u64::MAX).err();
    assert!(full.expect("no room").to_string().contains("--max-bytes"));
    assert_eq!(runs(base.path()), [] as [PathBuf; 0]);
    let memory = Path::new("/dev/shm");
    if memory.is_dir() && check_disk(memory).is_err() {
        let refused = Workspace::create(memory, 0).err();
        assert!(refused.expect("tmpfs").to_string().contains("--dir"));
    }
}
