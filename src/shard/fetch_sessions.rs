//! Fetch sessions: each lives on the shard whose connection used it last. A connection that comes
//! with a session of another shard, as a client does that was idle for long and connected again,
//! gets it moved.

use std::rc::Rc;

use super::core::{Core, ReplyTo, Shard};
use super::message::{Reply, Request};
use crate::fetch_session::{FINAL_EPOCH, FetchContext, INITIAL_EPOCH, PartitionAnswer};
use crate::protocol::messages::FetchRequest;
use crate::protocol::messages::fetch_request::FetchTopic;
use crate::types::ErrorCode;

impl Shard {
    /// Begins a Fetch request, see [`SessionCache::begin`]. A request without a session costs
    /// nothing.
    ///
    /// [`SessionCache::begin`]: crate::fetch_session::SessionCache::begin
    pub async fn begin_fetch(
        &self,
        api_version: i16,
        request: &mut FetchRequest,
    ) -> Result<FetchContext, ErrorCode> {
        let core = &self.core;
        let is_elsewhere = core.fetch_sessions.borrow().lacks(request);
        if is_elsewhere {
            self.bring_session(request).await;
        }
        let now = core.reactor.now();
        let mut sessions = core.fetch_sessions.borrow_mut();
        sessions.begin(now, api_version, request)
    }

    /// Makes a session of a full request that was answered; its id, or 0.
    pub fn open_fetch_session(
        &self,
        api_version: i16,
        topics: &[FetchTopic],
        answers: impl Iterator<Item = PartitionAnswer>,
    ) -> i32 {
        let core = &self.core;
        let (now, random) = (core.reactor.now(), core.reactor.random());
        let mut sessions = core.fetch_sessions.borrow_mut();
        sessions.open(now, random, api_version, topics, answers)
    }

    /// Asks the other shards for a session; whoever has it gives it away. One that the request
    /// closes is gone then.
    async fn bring_session(&self, request: &FetchRequest) {
        let id = request.session_id;
        let is_closed = matches!(request.session_epoch, INITIAL_EPOCH | FINAL_EPOCH);
        let here = self.core.reactor.shard();
        let others = self.core.shard_ids().filter(|&shard| shard != here);
        let asked: Vec<_> = others
            .map(|shard| self.core.ask(shard, Request::GiveFetchSession { id }))
            .collect();
        for reply in asked {
            if let Some(Reply::FetchSession(Some(session))) = reply.await
                && !is_closed
            {
                let now = self.core.reactor.now();
                let mut sessions = self.core.fetch_sessions.borrow_mut();
                sessions.take_in(now, id, *session);
            }
        }
    }
}

pub(super) fn give(core: &Rc<Core>, to: ReplyTo, id: i32) {
    let session = core.fetch_sessions.borrow_mut().give_away(id);
    core.answer(to, Reply::FetchSession(session.map(Box::new)));
}
