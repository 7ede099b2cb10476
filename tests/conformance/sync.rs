//! Waiting within a shard, and tasks. One implementation serves both sides; the executors differ.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ringlog::io::{Notify, Reactor, Semaphore, Task, oneshot};

use crate::cases::{Case, Context, case, settle};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(1, a_task_gives_its_result_and_runs_without_its_handle),
        case!(1, a_task_does_not_run_inside_its_spawn),
        case!(1, a_notification_wakes_all_that_were_made_before),
        case!(1, a_semaphore_serves_in_order),
        case!(1, a_waiter_that_gives_up_lets_the_next_in),
        case!(1, a_oneshot_gives_its_value_or_its_end),
    ]
}

async fn a_task_gives_its_result_and_runs_without_its_handle(reactor: Reactor, _context: Context) {
    let task = reactor.spawn(async { 42 });
    assert_eq!(task.await, 42);
    let ran = Rc::new(Cell::new(0));
    let run = |yielder: Reactor| {
        let ran = ran.clone();
        reactor.spawn(async move {
            yielder.yield_now().await;
            ran.set(ran.get() + 1);
        })
    };
    drop(run(reactor.clone()));
    run(reactor.clone()).detach();
    let third = run(reactor.clone());
    assert!(!third.is_finished());
    settle(&reactor).await;
    assert!(third.is_finished());
    assert_eq!(ran.get(), 3);
    third.await;
}

async fn a_task_does_not_run_inside_its_spawn(reactor: Reactor, _context: Context) {
    let shared = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<Task<()>> = {
        let held = shared.borrow_mut();
        let spawn = |index| {
            let shared = shared.clone();
            reactor.spawn(async move { shared.borrow_mut().push(index) })
        };
        let tasks = (0..10).map(spawn).collect();
        assert!(held.is_empty(), "a task has run inside its spawn");
        tasks
    };
    for task in tasks {
        task.await;
    }
    let mut seen = shared.take();
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

async fn a_notification_wakes_all_that_were_made_before(reactor: Reactor, _context: Context) {
    let notify = Notify::new();
    let before = notify.notified();
    notify.notify_all();
    before.await;
    let waiters: Vec<_> = (0..5).map(|_| reactor.spawn(notify.notified())).collect();
    settle(&reactor).await;
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
    // One that gives up must not disturb the others.
    let given_up = reactor.timeout(std::time::Duration::from_millis(1), notify.notified());
    assert_eq!(given_up.await, None);
    notify.notify_all();
    for waiter in waiters {
        waiter.await;
    }
}

async fn a_semaphore_serves_in_order(reactor: Reactor, _context: Context) {
    let semaphore = Semaphore::new(10);
    let first = semaphore.acquire(6).await;
    assert_eq!((first.amount(), semaphore.available()), (6, 4));
    let served = Rc::new(RefCell::new(Vec::new()));
    let wait = |amount: usize| {
        let (semaphore, served) = (semaphore.clone(), served.clone());
        reactor.spawn(async move {
            let permit = semaphore.acquire(amount).await;
            served.borrow_mut().push(amount);
            permit
        })
    };
    let mut waiters = Vec::new();
    for amount in [8, 1, 100] {
        waiters.push(wait(amount));
        settle(&reactor).await;
    }
    assert_eq!(semaphore.waiter_count(), 3);
    assert!(served.borrow().is_empty(), "1 has overtaken 8");
    assert!(semaphore.try_acquire(1).is_none(), "1 has overtaken 8");
    drop(first);
    settle(&reactor).await;
    assert_eq!(*served.borrow(), [8, 1]);
    let all = waiters.pop().expect("three of them");
    for waiter in waiters {
        drop(waiter.await);
    }
    assert_eq!(all.await.amount(), 10, "more than there is counts as all");
    assert_eq!(semaphore.available(), 10);
    assert_eq!(*served.borrow(), [8, 1, 100]);
}

async fn a_waiter_that_gives_up_lets_the_next_in(reactor: Reactor, _context: Context) {
    let semaphore = Semaphore::new(2);
    let held = semaphore.acquire(1).await;
    let large = reactor.timeout(std::time::Duration::from_millis(5), semaphore.acquire(2));
    let small = semaphore.clone();
    let small = async {
        // After the large one is in the queue.
        reactor.yield_now().await;
        small.acquire(1).await
    };
    let (large, small) = futures_lite::future::zip(large, small).await;
    assert!(large.is_none());
    assert_eq!(semaphore.available(), 0);
    drop((held, small));
    assert_eq!(semaphore.available(), 2);
    assert_eq!(semaphore.waiter_count(), 0);
}

async fn a_oneshot_gives_its_value_or_its_end(reactor: Reactor, _context: Context) {
    let (sender, receiver) = oneshot();
    let waiting = reactor.spawn(receiver);
    settle(&reactor).await;
    assert!(!waiting.is_finished());
    sender.send(7);
    assert_eq!(waiting.await, Some(7));

    let (sender, receiver) = oneshot();
    sender.send(8);
    assert_eq!(receiver.await, Some(8));

    let (sender, receiver) = oneshot::<u8>();
    let waiting = reactor.spawn(receiver);
    settle(&reactor).await;
    drop(sender);
    assert_eq!(waiting.await, None);
}
