//! The seeded side.
use std::future::Future;
use std::io::Result;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{DirEntry, DiskFacts, OpenOptions, Semaphore};
use crate::types::{Monotonic, ShardId, Timestamp};

#[derive(Clone)]
pub struct Handle;

impl Handle {
    pub(in crate::io) fn shard(&self) -> ShardId {
        unreachable!()
    }
    pub(in crate::io) fn shard_count(&self) -> usize {
        unreachable!()
    }
    pub(in crate::io) fn now(&self) -> Monotonic {
        unreachable!()
    }
    pub(in crate::io) fn wall_clock(&self) -> Timestamp {
        unreachable!()
    }
    pub(in crate::io) fn random(&self) -> u64 {
        unreachable!()
    }
    pub(in crate::io) async fn sleep(&self, _: Duration) {
        unreachable!()
    }
    pub(in crate::io) async fn yield_now(&self) {
        unreachable!()
    }
    pub(in crate::io) fn spawn(&self, _: Pin<Box<dyn Future<Output = ()>>>) {
        unreachable!()
    }
    pub(in crate::io) fn background_budget(&self) -> Semaphore {
        unreachable!()
    }
    pub(in crate::io) async fn listen(&self, _: SocketAddr) -> Result<SimListener> {
        unreachable!()
    }
    pub(in crate::io) fn adopt(&self, _: SimSocket) -> Result<SimStream> {
        unreachable!()
    }
    pub(in crate::io) async fn connect(&self, _: SocketAddr, _: Duration) -> Result<SimStream> {
        unreachable!()
    }
    pub(in crate::io) async fn resolve(&self, _: &str, _: u16) -> Result<Vec<SocketAddr>> {
        unreachable!()
    }
    pub(in crate::io) async fn open_file(&self, _: &Path, _: OpenOptions) -> Result<SimFile> {
        unreachable!()
    }
    pub(in crate::io) async fn create_dir_all(&self, _: &Path) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn remove_dir_all(&self, _: &Path) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn remove_file(&self, _: &Path) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn rename(&self, _: &Path, _: &Path) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn sync_dir(&self, _: &Path) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn list_dir(&self, _: &Path) -> Result<Vec<DirEntry>> {
        unreachable!()
    }
    pub(in crate::io) async fn read_file(&self, _: &Path, _: usize) -> Result<Vec<u8>> {
        unreachable!()
    }
    pub(in crate::io) async fn write_file(&self, _: &Path, _: Vec<u8>) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn lock_file(&self, _: &Path) -> Result<SimFileLock> {
        unreachable!()
    }
    pub(in crate::io) async fn facts(&self, _: &Path) -> Result<DiskFacts> {
        unreachable!()
    }
}

pub struct SimFileLock;
pub struct SimFile;
impl SimFile {
    pub(in crate::io) fn size(&self) -> u64 {
        unreachable!()
    }
    pub(in crate::io) async fn write_at(&self, _: Vec<u8>, _: u64) -> Result<Vec<u8>> {
        unreachable!()
    }
    pub(in crate::io) async fn read_at(&self, _: u64, _: usize) -> Result<Bytes> {
        unreachable!()
    }
    pub(in crate::io) async fn sync_data(&self) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn sync_all(&self) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) async fn set_size(&self, _: u64) -> Result<()> {
        unreachable!()
    }
}
pub struct SimListener;
impl SimListener {
    pub(in crate::io) async fn accept(&self) -> Result<SimSocket> {
        unreachable!()
    }
    pub(in crate::io) fn local_address(&self) -> SocketAddr {
        unreachable!()
    }
}
pub struct SimSocket;
pub struct SimStream;
impl SimStream {
    pub(in crate::io) fn peer_address(&self) -> SocketAddr {
        unreachable!()
    }
    pub(in crate::io) fn split(self) -> (SimReader, SimWriter, SimCloser) {
        unreachable!()
    }
}
pub struct SimReader;
impl SimReader {
    pub(in crate::io) async fn read(&mut self, _: &mut BytesMut, _: usize) -> Result<usize> {
        unreachable!()
    }
}
pub struct SimWriter;
impl SimWriter {
    pub(in crate::io) async fn send(&mut self, _: &[Bytes]) -> Result<()> {
        unreachable!()
    }
    pub(in crate::io) fn finish(&mut self) -> Result<()> {
        unreachable!()
    }
}
#[derive(Clone)]
pub struct SimCloser;
impl SimCloser {
    pub(in crate::io) fn close(&self) {
        unreachable!()
    }
}
pub struct SimMeshBuilder<M>(PhantomData<M>);
impl<M> Clone for SimMeshBuilder<M> {
    fn clone(&self) -> Self {
        SimMeshBuilder(PhantomData)
    }
}
impl<M: Send + 'static> SimMeshBuilder<M> {
    pub(in crate::io) fn new(_: usize) -> Self {
        SimMeshBuilder(PhantomData)
    }
    pub(in crate::io) async fn join(self, _: &Handle) -> SimMesh<M> {
        unreachable!()
    }
}
pub struct SimMesh<M>(PhantomData<M>);
impl<M: Send + 'static> SimMesh<M> {
    pub(in crate::io) fn push(&self, _: ShardId, _: M) {
        unreachable!()
    }
    pub(in crate::io) async fn receive(&self) -> (ShardId, M) {
        unreachable!()
    }
    pub(in crate::io) fn outbox_count(&self) -> usize {
        unreachable!()
    }
}
