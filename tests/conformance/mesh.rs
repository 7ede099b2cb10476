//! Messages between shards.

use std::rc::Rc;

use ringlog::io::{Mesh, Reactor};
use ringlog::types::ShardId;

use crate::cases::{Case, Context, case};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(1, a_shard_alone_sends_to_itself),
        case!(2, two_shards_keep_the_order_both_ways),
        case!(3, three_shards_keep_the_order_of_each_pair),
        case!(2, more_than_a_ring_holds_waits_in_order),
        case!(2, messages_go_round),
    ]
}

/// Receives `count` messages from each of `senders` and checks that each one's count up from 0.
async fn receive_in_order(mesh: &Mesh<u64>, senders: &[ShardId], count: u64) {
    let highest = senders.iter().map(|sender| sender.index()).max();
    let mut next = vec![0; highest.map_or(0, |highest| highest + 1)];
    for _ in 0..count * senders.len() as u64 {
        let (from, message) = mesh.receive().await;
        assert!(senders.contains(&from), "from shard {from}");
        assert_eq!(message, next[from.index()], "from shard {from}");
        next[from.index()] += 1;
    }
}

fn all(reactor: &Reactor) -> Vec<ShardId> {
    let count = u16::try_from(reactor.shard_count()).unwrap();
    (0..count).map(ShardId).collect()
}

/// Waits until nothing more waits for a ring: then what this shard has sent arrives without it.
async fn sent(reactor: &Reactor, mesh: &Mesh<u64>) {
    while mesh.outbox_count() > 0 {
        reactor.yield_now().await;
    }
}

/// Every shard sends `count` messages to every shard, itself included, a few at a time.
async fn all_to_all(reactor: Reactor, context: Context, count: u64) {
    let mesh = Rc::new(context.messages.join(&reactor).await);
    let (sender, yielder, shards) = (mesh.clone(), reactor.clone(), all(&reactor));
    let sending = reactor.spawn(async move {
        for message in 0..count {
            for to in &shards {
                sender.push(*to, message);
            }
            if message % 500 == 0 {
                yielder.yield_now().await;
            }
        }
    });
    receive_in_order(&mesh, &all(&reactor), count).await;
    sending.await;
    sent(&reactor, &mesh).await;
}

async fn a_shard_alone_sends_to_itself(reactor: Reactor, context: Context) {
    all_to_all(reactor, context, 10_000).await;
}

async fn two_shards_keep_the_order_both_ways(reactor: Reactor, context: Context) {
    all_to_all(reactor, context, 100_000).await;
}

async fn three_shards_keep_the_order_of_each_pair(reactor: Reactor, context: Context) {
    all_to_all(reactor, context, 30_000).await;
}

async fn more_than_a_ring_holds_waits_in_order(reactor: Reactor, context: Context) {
    const COUNT: u64 = 20_000;
    let mesh = context.messages.join(&reactor).await;
    let other = ShardId(1 - reactor.shard().0);
    // All at once, before anything is received here.
    for message in 0..COUNT {
        mesh.push(other, message);
    }
    receive_in_order(&mesh, &[other], COUNT).await;
    sent(&reactor, &mesh).await;
    mesh.push(other, COUNT);
    assert_eq!(mesh.receive().await, (other, COUNT));
}

async fn messages_go_round(reactor: Reactor, context: Context) {
    const ROUNDS: u64 = 2_000;
    let mesh = context.messages.join(&reactor).await;
    let other = ShardId(1 - reactor.shard().0);
    if reactor.shard() == ShardId(0) {
        mesh.push(other, 0);
    }
    loop {
        let (from, message) = mesh.receive().await;
        assert_eq!(from, other);
        if message >= ROUNDS {
            if message == ROUNDS {
                mesh.push(other, message + 1);
            }
            break;
        }
        mesh.push(other, message + 1);
    }
}
