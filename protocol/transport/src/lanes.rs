//! The four queues of one outgoing connection. A lane is bounded in bytes; a full one drops, it never waits: the
//! sender is the log's core, which repeats what matters.
//!
//! Lanes live as long as their connection. What is in them when it ends is gone, as is what its streams held.
use crate::blocks;
use crate::config::Limits;
use crate::frame::{CLASSES, HEADER_LENGTH, class_number, header};
use bytes::{BufMut, Bytes, BytesMut};
use metrics::Counter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use trivet_log::Class;

/// What became of a frame given to `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It will leave, unless the connection ends first.
    Queued,
    /// Dropped: there is no connection to that node now (or no such node).
    NotConnected,
    /// Dropped: the class's lane is full.
    Full,
    /// Dropped: larger than this node or the peer allows, or empty.
    WrongSize,
}

/// Taken at once by a writer, so that many small frames share one write.
pub(crate) const GATHER_BYTES: usize = 256 << 10;
/// Frames up to this size are copied next to their header; larger ones travel as they are.
const COPY_MAX: usize = 4 << 10;

pub(crate) struct Lanes {
    lanes: [Lane; 4],
    frame_max: usize,
}

struct Lane {
    sender: mpsc::UnboundedSender<Bytes>,
    queued: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The writer's end of one lane.
pub(crate) struct LaneReader {
    class: Class,
    receiver: mpsc::UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
}

impl Lanes {
    pub(crate) fn open(limits: &Limits, frame_max: usize) -> (Lanes, [LaneReader; 4]) {
        let (lanes, readers): (Vec<Lane>, Vec<LaneReader>) =
            CLASSES.iter().map(|class| Lane::open(*class, limits.queue(*class))).unzip();
        let lanes = lanes.try_into().unwrap_or_else(|_| unreachable!("one lane a class"));
        let readers = readers.try_into().unwrap_or_else(|_| unreachable!("one reader a class"));
        (Lanes { lanes, frame_max }, readers)
    }

    pub(crate) fn push(&self, class: Class, frame: Bytes) -> Sent {
        if frame.is_empty() || frame.len() > self.frame_max {
            return Sent::WrongSize;
        }
        self.lanes[class_number(class)].push(frame)
    }

    /// Bytes that wait, by class.
    pub(crate) fn queued(&self) -> [usize; 4] {
        std::array::from_fn(|lane| self.lanes[lane].queued.load(Ordering::Relaxed))
    }
}

impl Lane {
    fn open(class: Class, bytes_max: usize) -> (Lane, LaneReader) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        (Lane { sender, queued: queued.clone(), bytes_max }, LaneReader { class, receiver, queued })
    }

    /// An empty lane takes any frame, so that a frame above the bound is not refused for ever.
    fn push(&self, frame: Bytes) -> Sent {
        let size = frame.len() + HEADER_LENGTH;
        let before = self.queued.fetch_add(size, Ordering::Relaxed);
        if before > 0 && before + size > self.bytes_max {
            self.queued.fetch_sub(size, Ordering::Relaxed);
            return Sent::Full;
        }
        match self.sender.send(frame) {
            Ok(()) => Sent::Queued,
            Err(_) => Sent::NotConnected,
        }
    }
}

impl LaneReader {
    /// Waits for a frame, then takes what else is there: headers and frames in order, as pieces to be written.
    /// Returns the bytes that [`LaneReader::written`] has to be told of; `None` once the lanes are gone.
    async fn gather(&mut self, pieces: &mut Vec<Bytes>) -> Option<usize> {
        pieces.clear();
        let mut next = self.receiver.recv().await?;
        let mut small = BytesMut::new();
        let mut total = 0;
        loop {
            total += next.len() + HEADER_LENGTH;
            small.put_slice(&header(&next));
            if next.len() <= COPY_MAX {
                small.put_slice(&next);
            } else {
                pieces.push(small.split().freeze());
                pieces.push(next);
            }
            if total >= GATHER_BYTES {
                break;
            }
            match self.receiver.try_recv() {
                Ok(frame) => next = frame,
                Err(_) => break,
            }
        }
        if !small.is_empty() {
            pieces.push(small.freeze());
        }
        Some(total)
    }

    fn written(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Writes the lane to its stream until either ends. No delay and no batching beyond what already waits.
    pub(crate) async fn write_to(mut self, mut stream: quinn::SendStream, sent_bytes: Counter) {
        let mut pieces = Vec::new();
        while let Some(bytes) = self.gather(&mut pieces).await {
            let on_stream = if blocks::has_blocks(self.class) { blocks::pack(&mut pieces) } else { bytes };
            if stream.write_all_chunks(&mut pieces).await.is_err() {
                return; // the connection is gone or refused us: whoever watches it says so
            }
            self.written(bytes);
            sent_bytes.increment(on_stream as u64);
        }
        // The lanes were given up on purpose: let the peer have what was accepted.
        if stream.finish().is_ok() {
            let _ = stream.stopped().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameDecoder;

    fn limits() -> Limits {
        Limits { queue_urgent: 100, queue_append: 100, ..Limits::default() }
    }

    #[test]
    fn a_full_lane_drops_and_others_do_not() {
        let (lanes, _readers) = Lanes::open(&limits(), 1000);
        let frame = Bytes::from(vec![1; 42]);
        let table = [
            (Class::Urgent, Sent::Queued),
            (Class::Urgent, Sent::Queued),
            (Class::Urgent, Sent::Full),
            (Class::Append, Sent::Queued),
        ];
        for (step, (class, sent)) in table.into_iter().enumerate() {
            assert_eq!(lanes.push(class, frame.clone()), sent, "step {step}");
        }
        assert_eq!(lanes.queued(), [100, 50, 0, 0]);
    }

    #[test]
    fn sizes() {
        let (lanes, readers) = Lanes::open(&limits(), 1000);
        assert_eq!(lanes.push(Class::Urgent, Bytes::new()), Sent::WrongSize);
        assert_eq!(lanes.push(Class::Urgent, Bytes::from(vec![0; 1001])), Sent::WrongSize);
        assert_eq!(
            lanes.push(Class::Urgent, Bytes::from(vec![0; 1000])),
            Sent::Queued,
            "alone, above the lane's bound"
        );
        drop(readers);
        assert_eq!(lanes.push(Class::Append, Bytes::from(vec![0; 1])), Sent::NotConnected);
    }

    #[tokio::test]
    async fn what_is_gathered_decodes_to_the_same_frames() {
        let (lanes, [_, _, _, mut bulk]) = Lanes::open(&Limits::default(), 1 << 20);
        let sizes = [1, COPY_MAX, COPY_MAX + 1, 100_000, 3, 200_000, 7];
        let frames: Vec<Bytes> = sizes.iter().map(|size| Bytes::from(vec![*size as u8; *size])).collect();
        for frame in &frames {
            assert_eq!(lanes.push(Class::Bulk, frame.clone()), Sent::Queued);
        }
        let (mut pieces, mut decoder, mut out) = (Vec::new(), FrameDecoder::new(1 << 20), Vec::new());
        while out.len() < frames.len() {
            let bytes = bulk.gather(&mut pieces).await.expect("lanes are open");
            assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), bytes);
            bulk.written(bytes);
            for piece in &pieces {
                let mut piece = &piece[..];
                while let Some(frame) = decoder.next(&mut piece).expect("our own frames") {
                    out.push(frame);
                }
            }
        }
        assert_eq!(out, frames);
        assert_eq!(lanes.queued(), [0; 4]);
    }
}
