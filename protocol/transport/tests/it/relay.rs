//! A bad link on loopback: a UDP relay between one dialler and one listener, with delay, loss and cuts.
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub struct Relay {
    pub address: SocketAddr,
    link: Arc<Link>,
    _runtime: tokio::runtime::Runtime,
}

struct Link {
    one_way: Duration,
    /// Lost out of a million.
    loss: u64,
    cut: AtomicBool,
    random: AtomicU64,
}

impl Link {
    /// xorshift: the same sequence every time.
    fn loses(&self) -> bool {
        let mut x = self.random.load(Ordering::Relaxed);
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.store(x, Ordering::Relaxed);
        self.cut.load(Ordering::Relaxed) || x % 1_000_000 < self.loss
    }
}

impl Relay {
    pub fn start(target: SocketAddr, one_way: Duration, loss_per_million: u64) -> Relay {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let link = Arc::new(Link {
            one_way,
            loss: loss_per_million,
            cut: AtomicBool::new(false),
            random: AtomicU64::new(0x9e37_79b9_7f4a_7c15),
        });
        let address = runtime.block_on(async {
            let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
            let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await.expect("a free port"));
            far.connect(target).await.expect("loopback");
            for socket in [&near, &far] {
                let socket = socket2::SockRef::from(&**socket);
                let _ = socket.set_recv_buffer_size(8 << 20);
            }
            let address = near.local_addr().expect("bound");
            let dialler: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
            tokio::spawn(carry(link.clone(), near.clone(), far.clone(), dialler.clone(), true));
            tokio::spawn(carry(link.clone(), far, near, dialler, false));
            address
        });
        Relay { address, link, _runtime: runtime }
    }

    pub fn cut(&self, cut: bool) {
        self.link.cut.store(cut, Ordering::Relaxed);
    }
}

async fn carry(
    link: Arc<Link>,
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    dialler: Arc<Mutex<Option<SocketAddr>>>,
    outward: bool,
) {
    let (sender, mut delayed) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let addressee = dialler.clone();
    tokio::spawn(async move {
        while let Some((at, datagram)) = delayed.recv().await {
            tokio::time::sleep_until(at).await;
            let target = (!outward).then(|| *addressee.lock()).flatten();
            let _ = match target {
                Some(address) => to.send_to(&datagram, address).await,
                None => to.send(&datagram).await,
            };
        }
    });
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((size, source)) = from.recv_from(&mut buffer).await else { continue };
        if outward {
            *dialler.lock() = Some(source);
        }
        if !link.loses() {
            let _ = sender.send((Instant::now() + link.one_way, buffer[..size].to_vec()));
        }
    }
}
