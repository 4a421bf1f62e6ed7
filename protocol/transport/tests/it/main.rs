//! Transports of one process over real loopback sockets.
mod cluster;
mod delivery;
mod hostile;
mod links;
mod relay;
mod rotation;
