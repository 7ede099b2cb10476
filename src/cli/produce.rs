//! `ringlog produce`: records from standard input, in kcat's manner.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use futures_lite::future::or;

use super::escapes::unescape;
use super::session::{self, ServerArgs, Session};
use crate::batch::{Codec, Header};
use crate::client::{
    Acks, BatchReport, ClientError, Producer, ProducerOptions, ProducerRecord, TopicProducer,
};
use crate::types::PartitionIndex;

/// Bytes read from standard input at once, and how many such pieces may wait.
const CHUNK_SIZE: usize = 256 << 10;
const CHUNK_COUNT_MAX: usize = 8;

/// How often an idle standard input is looked at.
const INPUT_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The arguments of `ringlog produce`.
#[derive(Args, Clone, Debug)]
pub(super) struct ProduceArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[arg(short, long)]
    topic: String,
    /// Into this partition; by the key, or evenly, when not given
    #[arg(short, long)]
    partition: Option<PartitionIndex>,
    /// What separates the key from the value in a record
    #[arg(short = 'K', long)]
    key_delimiter: Option<String>,
    /// One key for all records
    #[arg(short, long, conflicts_with = "key_delimiter")]
    key: Option<String>,
    /// A header of every record; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// What separates records
    #[arg(short = 'D', long, default_value = r"\n")]
    delimiter: String,
    /// Send an empty value (or key) as null: a tombstone
    #[arg(short = 'Z', long)]
    null: bool,
    /// Compression of batches
    #[arg(short = 'z', long, default_value = "none")]
    compression: CodecName,
    /// Who must have a record before it counts as delivered
    #[arg(long, default_value = "all")]
    acks: AcksName,
    /// How long a batch waits for more records, in ms
    #[arg(long, default_value_t = 5)]
    linger: u64,
    /// Bytes of a full batch
    #[arg(long, default_value_t = 128 << 10)]
    batch_size: usize,
    /// Send each record at most this long, in ms
    #[arg(long, default_value_t = 120_000)]
    delivery_timeout: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CodecName {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AcksName {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

pub(super) fn run(args: &ProduceArgs) -> Result<()> {
    let layout = Layout::new(args)?;
    let (server, args) = (&args.server, args.clone());
    session::run(server, true, move |session| {
        let (args, layout) = (args.clone(), layout.clone());
        async move { produce(&session, &args, layout).await }
    })
}

async fn produce(session: &Session, args: &ProduceArgs, layout: Layout) -> Result<()> {
    let losses = Rc::new(RefCell::new(Losses::default()));
    let options = options(args, &losses);
    let record_size_max = options.request_size_max;
    let producer = Producer::new(&session.client, options)?;
    let topic = producer.topic(&args.topic).await?;
    let sent = send_input(session, &topic, layout, record_size_max, &losses).await;
    // A second signal does not wait for this.
    producer.flush().await;
    sent?;
    let losses = losses.borrow();
    match &losses.first {
        None => Ok(()),
        Some(error) => bail!("{} records were not delivered: {error}", losses.count),
    }
}

fn options(args: &ProduceArgs, losses: &Rc<RefCell<Losses>>) -> ProducerOptions {
    let losses = Rc::clone(losses);
    let codec = match args.compression {
        CodecName::None => Codec::None,
        CodecName::Gzip => Codec::Gzip,
        CodecName::Snappy => Codec::Snappy,
        CodecName::Lz4 => Codec::Lz4,
        CodecName::Zstd => Codec::Zstd,
    };
    let acks = match args.acks {
        AcksName::None => Acks::None,
        AcksName::Leader => Acks::Leader,
        AcksName::All => Acks::All,
    };
    ProducerOptions {
        acks,
        is_idempotent: acks == Acks::All,
        compression: codec.into(),
        linger: Duration::from_millis(args.linger),
        batch_size: args.batch_size,
        delivery_timeout: Duration::from_millis(args.delivery_timeout),
        on_batch: Some(Rc::new(move |batch| losses.borrow_mut().count(batch))),
        ..ProducerOptions::default()
    }
}

/// Records that were given up.
#[derive(Default)]
struct Losses {
    count: u64,
    first: Option<ClientError>,
}

impl Losses {
    fn count(&mut self, batch: &BatchReport<'_>) {
        if let Err(error) = batch.result {
            self.count += u64::from(batch.record_count.unsigned_abs());
            self.first.get_or_insert_with(|| error.clone());
        }
    }
}

/// Sends standard input until its end, a signal, or the first loss.
async fn send_input(
    session: &Session,
    topic: &TopicProducer,
    layout: Layout,
    record_size_max: usize,
    losses: &RefCell<Losses>,
) -> Result<()> {
    let input = read_input();
    let mut records = Splitter::new(layout.delimiter.clone());
    loop {
        let chunk = match input.try_recv() {
            Ok(chunk) => chunk.context("standard input")?,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                session.reactor.sleep(INPUT_POLL_INTERVAL).await;
                Vec::new()
            }
        };
        if session.stop.is_set() || losses.borrow().first.is_some() {
            return Ok(());
        }
        records.push(&chunk);
        while let Some(record) = records.next() {
            send(session, topic, &layout, record).await?;
        }
        if records.rest().len() > record_size_max {
            bail!("a record exceeds {record_size_max} bytes");
        }
    }
    // What follows the last delimiter is a record too.
    let rest = records.rest();
    if !rest.is_empty() {
        send(session, topic, &layout, rest).await?;
    }
    Ok(())
}

async fn send(
    session: &Session,
    topic: &TopicProducer,
    layout: &Layout,
    record: &[u8],
) -> Result<()> {
    let headers: Vec<Header<'_>> = layout.headers();
    let record = layout.record(record, &headers);
    let send = async { Some(topic.send(&record).await) };
    let stopped = async {
        session.reactor.stopped(&session.stop).await;
        None
    };
    // Waiting for room must not outlive a signal.
    if let Some(sent) = or(send, stopped).await {
        sent?;
    }
    Ok(())
}

/// A thread that reads standard input, since a read of it blocks. It ends with the process, or when
/// nobody wants more.
fn read_input() -> Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = sync_channel(CHUNK_COUNT_MAX);
    std::thread::spawn(move || feed(std::io::stdin().lock(), &sender));
    receiver
}

fn feed(mut input: impl Read, sender: &SyncSender<std::io::Result<Vec<u8>>>) {
    loop {
        let mut chunk = vec![0; CHUNK_SIZE];
        let piece = match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(size) => {
                chunk.truncate(size);
                Ok(chunk)
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_over = piece.is_err();
        if sender.send(piece).is_err() || is_over {
            return;
        }
    }
}

/// How a record is made from a piece of input.
#[derive(Clone, Debug)]
struct Layout {
    partition: Option<PartitionIndex>,
    delimiter: Vec<u8>,
    key_delimiter: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    empty_is_null: bool,
}

impl Layout {
    fn new(args: &ProduceArgs) -> Result<Layout> {
        let delimiter = unescape(&args.delimiter)?;
        let key_delimiter = args.key_delimiter.as_deref().map(unescape).transpose()?;
        if delimiter.is_empty() || key_delimiter.as_ref().is_some_and(Vec::is_empty) {
            bail!("a delimiter must not be empty");
        }
        let headers = args.headers.iter().map(|header| {
            let (name, value) = header
                .split_once('=')
                .with_context(|| format!("`{header}` is not NAME=VALUE"))?;
            Ok((name.into(), value.into()))
        });
        Ok(Layout {
            partition: args.partition,
            delimiter,
            key_delimiter,
            key: args.key.as_ref().map(|key| key.clone().into_bytes()),
            headers: headers.collect::<Result<_>>()?,
            empty_is_null: args.null,
        })
    }

    fn headers(&self) -> Vec<Header<'_>> {
        let headers = self.headers.iter();
        headers
            .map(|(key, value)| Header {
                key,
                value: Some(value),
            })
            .collect()
    }

    /// Without the key delimiter in it, all of `piece` is the value.
    fn record<'a>(&'a self, piece: &'a [u8], headers: &'a [Header<'a>]) -> ProducerRecord<'a> {
        let (key, value) = match &self.key_delimiter {
            Some(delimiter) => match find(piece, delimiter) {
                Some(at) => (Some(&piece[..at]), &piece[at + delimiter.len()..]),
                None => (None, piece),
            },
            None => (self.key.as_deref(), piece),
        };
        let present = |bytes: &&[u8]| !(self.empty_is_null && bytes.is_empty());
        ProducerRecord {
            partition: self.partition,
            key: key.filter(present),
            value: Some(value).filter(present),
            headers,
            timestamp: None,
        }
    }
}

/// Cuts a stream of bytes at a delimiter.
struct Splitter {
    delimiter: Vec<u8>,
    buffer: Vec<u8>,
    /// Where the next piece begins.
    start: usize,
    /// No delimiter begins before here.
    searched: usize,
}

impl Splitter {
    fn new(delimiter: Vec<u8>) -> Splitter {
        Splitter {
            delimiter,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece that a delimiter ends.
    fn next(&mut self) -> Option<&[u8]> {
        match find(&self.buffer[self.searched..], &self.delimiter) {
            Some(ahead) => {
                let piece = self.start..self.searched + ahead;
                self.start = piece.end + self.delimiter.len();
                self.searched = self.start;
                Some(&self.buffer[piece])
            }
            None => {
                // The end may be the beginning of a delimiter.
                let tail = self.buffer.len().saturating_sub(self.delimiter.len() - 1);
                self.searched = tail.max(self.start);
                None
            }
        }
    }

    /// What no delimiter has ended yet.
    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// Where `wanted`, which is not empty, first stands in `bytes`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (&first, others) = wanted.split_first()?;
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|&byte| byte == first)?;
        if bytes[at + 1..].starts_with(others) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests;
