use std::time::Duration;

use super::*;
use crate::io::sim::{MachineId, SimOptions, Simulation};

const ADDRESS: &str = "127.0.0.1:9092";

/// Frames of these sizes, sent at once and read one after the other.
fn read_frames(sizes: &[usize]) -> Vec<Bytes> {
    let mut stream = BytesMut::new();
    for (index, &size) in sizes.iter().enumerate() {
        stream.extend_from_slice(&(size as u32).to_be_bytes());
        stream.extend(std::iter::repeat_n(index as u8, size));
    }
    let count = sizes.len();
    let sim = Simulation::new(SimOptions::with_seed(1));
    sim.run(MachineId::FIRST, move |reactor| async move {
        let listener = reactor.listen(ADDRESS.parse().unwrap()).await.unwrap();
        let connecting = reactor.clone();
        let sending = reactor.spawn(async move {
            let address = ADDRESS.parse().unwrap();
            let connected = connecting.connect(address, Duration::from_secs(1)).await;
            let (reader, mut writer, _) = connected.unwrap().split().unwrap();
            writer.send(&[stream.freeze()]).await.unwrap();
            (reader, writer)
        });
        let accepted = reactor.adopt(listener.accept().await.unwrap()).unwrap();
        let (mut reader, _writer, _) = accepted.split().unwrap();
        let mut buffer = FrameBuffer::new();
        let mut frames = Vec::new();
        for _ in 0..count {
            assert!(buffer.begins(&mut reader).await.unwrap());
            let prefix = buffer.prefix(&mut reader).await.unwrap();
            let size = u32::from_be_bytes(prefix) as usize;
            frames.push(buffer.frame(&mut reader, size, || {}).await.unwrap());
        }
        drop(sending.await);
        frames
    })
}

/// What the log keeps of a frame costs what it is charged.
#[test]
fn a_frame_of_which_the_log_keeps_something_is_alone_in_its_memory() {
    let sizes = [8000, 5000, 20, 300, 60_000, 8000, 200_000, 5000, 4097];
    for (index, frame) in read_frames(&sizes).into_iter().enumerate() {
        assert_eq!(frame.len(), sizes[index]);
        assert!(frame.iter().all(|&byte| byte == index as u8));
        if frame.len() > SHARED_FRAME_SIZE_MAX {
            let alone = frame.try_into_mut().expect("nothing else is in its memory");
            assert_eq!(alone.capacity(), sizes[index]);
        }
    }
}
