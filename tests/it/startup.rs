//! The start: what keeps a broker from it is said in one sentence, what it is and what to do, with
//! exit code 1; a broker that has started serves everyone.

use std::net::TcpListener;
use std::path::Path;

use kafka_protocol::messages::ApiVersionsRequest;
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};

use crate::broker::{TestBroker, directory};
use crate::process::{BrokerProcess, Failed, start_in_vain};

/// `BPF_RET | BPF_K`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_LD | BPF_W | BPF_ABS`.
const RETURN: u16 = 0x06;
const JUMP_IF_EQUAL: u16 = 0x15;
const LOAD_WORD: u16 = 0x20;

fn in_vain(directory: &Path, more: &[&str]) -> Failed {
    start_in_vain(directory, more, || Ok(()))
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn whoever_connects_first_is_served() {
    for _ in 0..10 {
        let broker = TestBroker::start(&["shards=4"]);
        // Connections go to the shards in turn.
        let mut wires = [(); 8].map(|()| broker.connect());
        for wire in &mut wires {
            assert_eq!(wire.call(0, &ApiVersionsRequest::default()).error_code, 0);
        }
    }
}

#[test]
fn a_directory_of_another_cluster_or_node() {
    let directory = directory();
    let mine = ["cluster.id=first", "node.id=1"];
    BrokerProcess::start(directory.path(), &mine).kill();
    let path = name(directory.path());
    let failed = in_vain(directory.path(), &["cluster.id=second", "node.id=1"]);
    failed.check(&[path, "first", "second", "cluster.id", "log.dirs"]);
    let failed = in_vain(directory.path(), &["cluster.id=first", "node.id=22"]);
    failed.check(&[path, "node 1", "22", "node.id", "log.dirs"]);
    BrokerProcess::start(directory.path(), &mine);
}

#[test]
fn a_directory_that_another_process_uses() {
    let directory = directory();
    let mut first = BrokerProcess::start(directory.path(), &[]);
    let failed = in_vain(directory.path(), &[]);
    failed.check(&[name(directory.path()), "in use", "log.dirs"]);
    assert!(first.is_running());
    crate::topics::works(&mut first.connect(), "t");
}

#[test]
fn a_directory_in_which_a_flush_has_failed() {
    let directory = directory();
    BrokerProcess::start(directory.path(), &[]).kill();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let marker = |id: &str| directory.path().join(format!("ringlog-flush-failed.{id}"));
    let now = marker(boot_id.trim());
    std::fs::write(&now, "").unwrap();
    let failed = in_vain(directory.path(), &[]);
    failed.check(&[name(&now), "a flush failed", "restart the machine"]);
    std::fs::remove_file(&now).unwrap();
    let earlier = marker("of-an-earlier-start");
    std::fs::write(&earlier, "").unwrap();
    BrokerProcess::start(directory.path(), &[]);
    assert!(!earlier.exists(), "it has no meaning any more");
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!("PLAINTEXT://{}", taken.local_addr().unwrap());
    let directory = directory();
    let failed = in_vain(directory.path(), &[&format!("listeners={listener}")]);
    failed.check(&[&listener, "in use", "choose another"]);
}

#[test]
fn the_same_port_right_after_kill_9() {
    let directory = directory();
    let mut first = BrokerProcess::start(directory.path(), &[]);
    let listeners = format!("listeners=PLAINTEXT://{}", first.address());
    first.kill();
    for round in 0..10 {
        let mut broker = BrokerProcess::start(directory.path(), &[&listeners]);
        crate::topics::works(&mut broker.connect(), &format!("t{round}"));
        broker.kill();
    }
}

#[test]
fn a_port_in_use_by_another_broker() {
    let (first_directory, second_directory) = (directory(), directory());
    let first = BrokerProcess::start(first_directory.path(), &[]);
    let listeners = format!("listeners=PLAINTEXT://{}", first.address());
    let failed = in_vain(second_directory.path(), &[&listeners]);
    failed.check(&[&first.address().to_string(), "in use"]);
}

#[test]
fn an_address_of_another_host() {
    let directory = directory();
    let failed = in_vain(directory.path(), &["listeners=PLAINTEXT://192.0.2.1:0"]);
    failed.check(&["192.0.2.1", "address of this host"]);
}

#[test]
fn too_little_locked_memory() {
    let directory = directory();
    let failed = start_in_vain(directory.path(), &[], || {
        setrlimit(Resource::RLIMIT_MEMLOCK, 64 << 10, 64 << 10).map_err(Into::into)
    });
    failed.check(&["RLIMIT_MEMLOCK", "65536", "ulimit -l"]);
}

#[test]
fn too_few_open_files() {
    let directory = directory();
    let failed = start_in_vain(directory.path(), &[], || {
        setrlimit(Resource::RLIMIT_NOFILE, 256, 256).map_err(Into::into)
    });
    failed.check(&["RLIMIT_NOFILE", "256", "ulimit -n"]);
}

#[test]
fn io_uring_forbidden() {
    let directory = directory();
    let failed = start_in_vain(directory.path(), &[], forbid_io_uring);
    failed.check(&["io_uring", "seccomp"]);
}

/// A filter as containers have it: `io_uring_setup` answers EPERM.
fn forbid_io_uring() -> std::io::Result<()> {
    let step = |code, if_equal, if_not, value| libc::sock_filter {
        code,
        jt: if_equal,
        jf: if_not,
        k: value,
    };
    let forbidden = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut filter = [
        step(LOAD_WORD, 0, 0, 0),
        step(JUMP_IF_EQUAL, 0, 1, libc::SYS_io_uring_setup as u32),
        step(RETURN, 0, 0, forbidden),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program is sound and outlives the calls; the kernel copies it.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) != 0
    };
    if failed {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// The profile for containers: valid JSON, each call once, and the calls without which nothing
/// starts. That it is enough was tried with libseccomp (docs/containers.md).
#[test]
fn the_containers_profile_lets_io_uring_through() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/seccomp.json");
    let profile = std::fs::read_to_string(path).unwrap();
    let profile: serde_json::Value = serde_json::from_str(&profile).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let mut allowed = std::collections::BTreeSet::new();
    for rule in profile["syscalls"].as_array().unwrap() {
        let is_plain = rule["args"].is_null() && rule["action"] == "SCMP_ACT_ALLOW";
        for name in rule["names"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            assert!(!is_plain || allowed.insert(name), "{name} twice");
        }
    }
    for name in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "fdatasync",
        "flock",
    ] {
        assert!(allowed.contains(name), "{name} is not allowed");
    }
}

#[test]
fn a_directory_in_memory() {
    let Ok(directory) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: there is no /dev/shm to write to");
        return;
    };
    let failed = in_vain(directory.path(), &[]);
    failed.check(&[name(directory.path()), "tmpfs", "log.dirs"]);
}

#[test]
fn a_directory_with_something_else_in_it() {
    let directory = directory();
    let precious = directory.path().join("precious.txt");
    std::fs::write(&precious, "mine").unwrap();
    let failed = in_vain(directory.path(), &[]);
    failed.check(&[name(directory.path()), "precious.txt", "log.dirs"]);
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "mine");
}

#[test]
fn a_directory_that_cannot_be_made() {
    let directory = directory();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("data");
    in_vain(&below, &[]).check(&[name(&below), "log.dirs"]);
}

#[test]
fn misspelt_keys_and_values_out_of_range() {
    let directory = directory();
    let cases = [
        (
            "log.segmnt.bytes=1048576",
            ["log.segmnt.bytes", "log.segment.bytes"],
        ),
        ("num.partition=3", ["num.partition", "num.partitions"]),
        ("num.partitions=0", ["num.partitions", "1"]),
        ("num.partitions=many", ["num.partitions", "many"]),
        ("listeners=SSL://127.0.0.1:0", ["listeners", "PLAINTEXT"]),
    ];
    for (setting, told) in cases {
        in_vain(directory.path(), &[setting]).check(&told);
    }
}
