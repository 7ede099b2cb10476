//! The version of the rdkafka crate, which its own code does not tell.

fn main() {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != "name = \"rdkafka\"");
    let version = lines.nth(1).and_then(|line| line.split('"').nth(1));
    println!(
        "cargo::rustc-env=RDKAFKA_VERSION={}",
        version.unwrap_or("unknown")
    );
}
