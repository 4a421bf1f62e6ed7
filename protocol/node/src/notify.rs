//! A word to the supervisor that started this process, by systemd's protocol (sd_notify): a datagram to the socket that
//! `NOTIFY_SOCKET` names. Without one, nothing.
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// It listens. (Whether it serves depends on the other nodes too: that is what `/health` says.)
pub fn ready() {
    tell("READY=1");
}

/// It was asked to stop, and brings what runs to its end.
pub fn stopping() {
    tell("STOPPING=1");
}

fn tell(word: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    let bytes = std::os::unix::ffi::OsStrExt::as_bytes(name.as_os_str());
    let address = match bytes.strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(word.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!("cannot tell the supervisor {word}: {error}");
    }
}
