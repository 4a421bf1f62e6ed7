//! Clusters of nodes in one process: real threads, files, clocks and QUIC over loopback, with a toy machine on top.
mod cluster;
mod disks;
mod elections;
mod rotation;
mod starts;
mod status;
mod toy;
