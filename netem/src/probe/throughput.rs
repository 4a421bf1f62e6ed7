//! How much a relay carries: as fast as it will go, for a while.
use super::{LOOK_EVERY, ProbeError, any_port, relay_to};
use crate::config::Transport;
use crate::profile::Profile;
use crate::settings::duration_text;
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use serde::Serialize;
use std::io::{self, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What to push through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    pub duration: Duration,
    /// Bytes of a UDP packet.
    pub packet_len: usize,
    /// UDP packets handed to the kernel at once, as a QUIC sender does.
    pub train: usize,
}

impl Default for Load {
    fn default() -> Load {
        Load { duration: Duration::from_secs(1), packet_len: 1_452, train: 10 }
    }
}

/// What came out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Throughput {
    pub transport: Transport,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    #[serde(with = "duration_text")]
    pub elapsed: Duration,
}

impl Throughput {
    pub fn received_bytes_per_second(&self) -> f64 {
        self.received_bytes as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends without pause for the load's duration and counts what arrives. UDP that finds no room is lost.
pub fn throughput(profile: &Profile, transport: Transport, load: &Load) -> Result<Throughput, ProbeError> {
    match transport {
        Transport::Udp => udp(profile, load),
        Transport::Tcp => tcp(profile, load),
    }
}

fn udp(profile: &Profile, load: &Load) -> Result<Throughput, ProbeError> {
    let sink = UdpSocket::bind(any_port())?;
    let sink_state = UdpSocketState::new(UdpSockRef::from(&sink))?;
    sink_state.set_recv_buffer_size(UdpSockRef::from(&sink), 4 << 20)?;
    sink.set_nonblocking(false)?;
    sink.set_read_timeout(Some(LOOK_EVERY))?;
    let (_relay, entry) = relay_to(profile, Transport::Udp, sink.local_addr()?)?;
    let done = AtomicBool::new(false);
    let received = AtomicU64::new(0);
    let begun = Instant::now();
    let sent_bytes = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut bytes = vec![0; 64 << 10];
            while !done.load(Ordering::Acquire) {
                let mut metas = [quinn_udp::RecvMeta::default()];
                let mut slices = [IoSliceMut::new(&mut bytes)];
                if sink_state.recv(UdpSockRef::from(&sink), &mut slices, &mut metas).is_ok_and(|count| count == 1) {
                    received.fetch_add(metas[0].len as u64, Ordering::Relaxed);
                }
            }
        });
        let sent = send_trains(entry, load);
        // What is in flight may still arrive.
        std::thread::sleep(profile.forward.delay + profile.forward.jitter);
        done.store(true, Ordering::Release);
        sent
    })?;
    Ok(Throughput {
        transport: Transport::Udp,
        sent_bytes,
        received_bytes: received.into_inner(),
        elapsed: begun.elapsed().saturating_sub(profile.forward.delay + profile.forward.jitter),
    })
}

fn send_trains(destination: SocketAddr, load: &Load) -> io::Result<u64> {
    let socket = UdpSocket::bind(any_port())?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    // Blocking: the pace is the kernel's.
    socket.set_nonblocking(false)?;
    let packets = load.train.clamp(1, state.max_gso_segments().min(64_000 / load.packet_len.max(1)).max(1));
    let contents = vec![0; packets * load.packet_len];
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < load.duration {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &contents,
            segment_size: (packets > 1).then_some(load.packet_len),
            src_ip: None,
        };
        state.try_send(UdpSockRef::from(&socket), &transmit)?;
        sent += contents.len() as u64;
    }
    Ok(sent)
}

fn tcp(profile: &Profile, load: &Load) -> Result<Throughput, ProbeError> {
    let listener = TcpListener::bind(any_port())?;
    let (_relay, entry) = relay_to(profile, Transport::Tcp, listener.local_addr()?)?;
    let begun = Instant::now();
    let (sent_bytes, received_bytes) = std::thread::scope(|scope| -> io::Result<(u64, u64)> {
        let sink = scope.spawn(|| -> io::Result<u64> {
            let (mut stream, _) = listener.accept()?;
            let mut buffer = vec![0; 256 << 10];
            let mut received = 0;
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(received),
                    count => received += count as u64,
                }
            }
        });
        let mut client = TcpStream::connect(entry)?;
        let chunk = vec![0; 256 << 10];
        let mut sent = 0;
        while begun.elapsed() < load.duration {
            client.write_all(&chunk)?;
            sent += chunk.len() as u64;
        }
        client.shutdown(Shutdown::Write)?;
        Ok((sent, sink.join().expect("the sink only counts")?))
    })?;
    Ok(Throughput { transport: Transport::Tcp, sent_bytes, received_bytes, elapsed: begun.elapsed() })
}
