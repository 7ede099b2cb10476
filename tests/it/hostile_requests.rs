//! Every API in every version with every field at its extremes, and cut at every byte. A sample of
//! the requests in every run; all of them and more, to the number that is asked for:
//!
//!     HOSTILE_REQUESTS=100000 cargo test --release --test it -- hostile_requests --nocapture

use std::time::Duration;

use bytes::Bytes;
use ringlog::protocol::hostile::request_frame;
use ringlog::protocol::{API_TABLE, ApiKey, ApiRow, check_response};

use crate::broker::directory;
use crate::extremes::{Body, Random, Spoilt, Subject, body};
use crate::process::BrokerProcess;
use crate::topics::{create, works};
use crate::wire::{Outcome, Wire};

/// How many requests are sent where nothing else is said.
const REQUEST_COUNT: usize = 3_000;

/// Sent before the memory is looked at for the first time: caches and pools fill up once.
const WARM_UP_COUNT: usize = 1_000;

/// Memory that the broker may have gained, bytes.
const GROWTH_MAX: usize = 32 << 20;

/// How long a request is waited for that need not be answered: a Fetch that waits for records, a
/// Produce without acks. Nothing is wrong if it was too short.
const PATIENCE: Duration = Duration::from_millis(20);

/// One request.
#[derive(Clone, Copy, Debug)]
struct Case {
    row: &'static ApiRow,
    version: i16,
    spoilt: Spoilt,
    /// Bytes of the body that are sent.
    cut: Option<usize>,
}

impl Case {
    fn body(&self, subject: &Subject) -> Vec<u8> {
        // The topic must stay for the others.
        let nowhere = Subject {
            topic: "nowhere".to_owned(),
            topic_id: [9; 16],
        };
        let is_deletion = self.row.key == ApiKey::DeleteTopics;
        let subject = if is_deletion { &nowhere } else { subject };
        let mut body = body(self.row, self.version, subject, self.spoilt).bytes;
        body.truncate(self.cut.unwrap_or(usize::MAX));
        body
    }
}

/// Every field of every API and version at each of its extremes; sound bodies cut at every byte.
fn all_cases(subject: &Subject) -> Vec<Case> {
    let mut cases = Vec::new();
    for row in &API_TABLE {
        for version in row.decoded.iter() {
            let case = |spoilt, cut| Case {
                row,
                version,
                spoilt,
                cut,
            };
            let Body {
                bytes,
                choice_counts,
            } = body(row, version, subject, Spoilt::Nothing);
            cases.push(case(Spoilt::Nothing, None));
            cases.extend((0..bytes.len()).map(|cut| case(Spoilt::Nothing, Some(cut))));
            for (site, &count) in choice_counts.iter().enumerate() {
                let choices = (0..count).map(|choice| Spoilt::One { site, choice });
                cases.extend(choices.map(|spoilt| case(spoilt, None)));
            }
        }
    }
    cases
}

/// A request with several fields at their extremes.
fn random_case(random: &mut Random) -> Case {
    let row = &API_TABLE[random.below(API_TABLE.len() as u64) as usize];
    let versions: Vec<i16> = row.decoded.iter().collect();
    Case {
        row,
        version: versions[random.below(versions.len() as u64) as usize],
        spoilt: Spoilt::Some {
            seed: random.next(),
        },
        cut: None,
    }
}

/// `count` requests: of `all`, as many as half of them, evenly; the rest are random.
fn chosen(all: &[Case], count: usize, seed: u64) -> Vec<Case> {
    let mut random = Random(seed);
    let systematic = all.len().min(count / 2);
    let mut cases: Vec<Case> = (0..systematic)
        .map(|index| all[index * all.len() / systematic])
        .collect();
    cases.extend((systematic..count).map(|_| random_case(&mut random)));
    cases
}

/// What became of the requests.
#[derive(Default, Debug)]
struct Tally {
    answered: usize,
    closed: usize,
    unanswered: usize,
}

/// One attacker: keeps its connection as long as the broker does.
struct Attacker<'b> {
    broker: &'b BrokerProcess,
    wire: Option<Wire>,
    tally: Tally,
}

impl Attacker<'_> {
    fn send(&mut self, case: &Case, subject: &Subject) {
        let frame = request_frame(case.row.key, case.version, 1, &case.body(subject));
        let mut wire = self.wire.take().unwrap_or_else(|| self.broker.connect());
        wire.write(&frame);
        if matches!(case.row.key, ApiKey::Fetch | ApiKey::Produce) && !wire.answers_within(PATIENCE)
        {
            // The connection goes while the request waits.
            self.tally.unanswered += 1;
            return;
        }
        match wire.read() {
            Outcome::Closed => self.tally.closed += 1,
            Outcome::Frame(answer) => {
                well_formed(case, &answer);
                self.tally.answered += 1;
                self.wire = Some(wire);
            }
        }
    }
}

fn well_formed(case: &Case, answer: &Bytes) {
    assert_eq!(answer[..4], [0, 0, 0, 1], "{case:?}: the correlation id");
    let header = 4 + usize::from(case.row.response_header_version(case.version) == 1);
    let checked = check_response(case.row.key, case.version, answer.slice(header..));
    if let Err(error) = checked {
        panic!("{case:?}: the answer is malformed: {error}");
    }
}

/// Sends the requests and says what became of them.
fn attack(broker: &BrokerProcess, cases: &[Case], subject: &Subject) -> Tally {
    let mut attacker = Attacker {
        broker,
        wire: None,
        tally: Tally::default(),
    };
    for case in cases {
        attacker.send(case, subject);
    }
    attacker.tally
}

#[test]
fn every_field_at_its_extremes_harms_nobody() {
    let asked = std::env::var("HOSTILE_REQUESTS").ok();
    let count = asked.map_or(REQUEST_COUNT, |count| {
        count.parse().expect("HOSTILE_REQUESTS is a number")
    });
    let directory = directory();
    // The bystander is idle for as long as the attack takes.
    let settings = [
        "auto.create.topics.enable=false",
        "connections.max.idle.ms=-1",
    ];
    let mut broker = BrokerProcess::start(directory.path(), &settings);
    let mut bystander = broker.connect();
    let topic = create(&mut bystander, "subject", 1, &[]);
    let subject = Subject {
        topic: topic.name.clone(),
        topic_id: *topic.id.as_bytes(),
    };
    let all = all_cases(&subject);
    attack(&broker, &chosen(&all, WARM_UP_COUNT, 1), &subject);
    works(&mut bystander, "before");
    let before = broker.resident_size();

    let tally = attack(&broker, &chosen(&all, count, 2), &subject);

    assert!(broker.is_running(), "the broker has died");
    works(&mut bystander, "bystander");
    works(&mut broker.connect(), "newcomer");
    let after = broker.resident_size();
    let with_one_fault = all.len().min(count / 2);
    eprintln!("{count} requests, {with_one_fault} of them with one fault: {tally:?}");
    eprintln!("{before} bytes of memory before, {after} after");
    assert!(tally.answered > 0 && tally.closed > 0, "{tally:?}");
    let grown = after.saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more than before");
}
