//! Transports of one process over real loopback sockets.
mod cluster;
mod delivery;
mod hostile;
mod links;
mod relay;
mod rotation;

/// Bytes that do not compress: what a test counts on the way is as long as what it sent.
fn noise(length: usize) -> bytes::Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}
