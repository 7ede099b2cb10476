//! What a seed draws before it begins: the broker's settings, the topics, the clients.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::client::NewTopic;
use crate::config::BrokerConfig;
use crate::io::sim::{MachineId, Random};

/// Where every broker of a seed listens.
const PORT: u16 = 9092;

/// The log directories of a broker; the second is on a device of its own.
const DIRECTORY: &str = "/data/ringlog";
const SECOND_DIRECTORY: &str = "/second/ringlog";

/// What begins the name of a topic that its first use creates.
const AUTO_PREFIX: &str = "auto-";

/// Number of partitions of a topic that its first use creates.
const AUTO_PARTITION_COUNT: usize = 2;

/// A topic that an administrator creates, deletes and creates again.
#[derive(Clone, Debug)]
pub(super) struct TopicPlan {
    pub(super) name: String,
    pub(super) partition_count: i32,
    pub(super) is_power_safe: bool,
    configs: BTreeMap<String, String>,
}

impl TopicPlan {
    fn draw(index: u64, random: &mut Random) -> TopicPlan {
        let is_power_safe = random.below(5) < 3;
        let mut configs = BTreeMap::new();
        let mut set = |key: &str, value: String| configs.insert(key.to_owned(), value);
        set("flush.before.ack", is_power_safe.to_string());
        // Segments end early: by a small index, or by time.
        set("index.interval.bytes", (64 << random.below(6)).to_string());
        if random.below(4) > 0 {
            set("segment.index.bytes", random.between(36, 400).to_string());
        }
        if random.below(4) == 0 {
            set("segment.ms", random.between(20, 2_000).to_string());
        }
        if !is_power_safe && random.coin() {
            set("flush.messages", random.between(2, 60).to_string());
        }
        if !is_power_safe && random.coin() {
            set("flush.ms", random.below(60).to_string());
        }
        TopicPlan {
            name: format!("t{index}"),
            partition_count: random.between(1, 3) as i32,
            is_power_safe,
            configs,
        }
    }

    pub(super) fn new_topic(&self) -> NewTopic {
        NewTopic {
            name: self.name.clone(),
            partition_count: Some(self.partition_count),
            replication_factor: None,
            configs: self.configs.clone(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) config: BrokerConfig,
    pub(super) address: SocketAddr,
    pub(super) topics: Vec<TopicPlan>,
    /// Created by their first use, never deleted.
    pub(super) auto_topics: Vec<String>,
    pub(super) shard_count_max: u64,
    pub(super) producer_count: u64,
    pub(super) lane_count: u64,
    pub(super) reader_count: u64,
}

impl Scenario {
    pub(super) fn draw(random: &mut Random, has_second_directory: bool) -> Scenario {
        let ip: IpAddr = MachineId::FIRST.address();
        let tail_cache_bytes = 1_u64 << random.between(10, 20);
        let overrides = [
            format!("listeners=PLAINTEXT://{ip}:{PORT}"),
            match has_second_directory {
                false => format!("log.dirs={DIRECTORY}"),
                true => format!("log.dirs={DIRECTORY},{SECOND_DIRECTORY}"),
            },
            format!("num.partitions={AUTO_PARTITION_COUNT}"),
            format!("shard.tail.cache.bytes={tail_cache_bytes}"),
            // What clients have deleted goes while they are there.
            format!("log.retention.check.interval.ms={}", 50 << random.below(8)),
            "message.max.bytes=65536".to_owned(),
            format!("log.index.size.max.bytes={}", random.between(60, 600)),
            format!("log.index.interval.bytes={}", 64 << random.below(6)),
        ];
        let mut config = BrokerConfig::load(None, &overrides).expect("settings that go together");
        // Below what the key allows, so that the limit is reached all the time.
        config.log_unflushed_bytes_max = (64 << 10) << random.below(4);
        Scenario {
            config,
            address: SocketAddr::new(ip, PORT),
            topics: (0..random.between(1, 3))
                .map(|index| TopicPlan::draw(index, random))
                .collect(),
            auto_topics: (0..random.below(2))
                .map(|index| format!("{AUTO_PREFIX}{index}"))
                .collect(),
            shard_count_max: random.between(1, 3),
            producer_count: random.between(1, 3),
            lane_count: random.between(1, 3),
            reader_count: random.between(1, 2),
        }
    }

    /// The log directory that the broker can do without, if there is one.
    pub(super) fn second_directory(&self) -> Option<&Path> {
        self.config.log_dirs.get(1).map(PathBuf::as_path)
    }

    /// Number of partitions of a topic, and whether it is in class P, by its name.
    pub(super) fn expected(&self, name: &str) -> Option<(usize, bool)> {
        if name.starts_with(AUTO_PREFIX) {
            return Some((AUTO_PARTITION_COUNT, true));
        }
        let plan = self.topics.iter().find(|plan| plan.name == name)?;
        Some((plan.partition_count as usize, plan.is_power_safe))
    }

    /// Every name that records go to.
    pub(super) fn names(&self) -> Vec<&str> {
        let planned = self.topics.iter().map(|plan| plan.name.as_str());
        planned
            .chain(self.auto_topics.iter().map(String::as_str))
            .collect()
    }
}
