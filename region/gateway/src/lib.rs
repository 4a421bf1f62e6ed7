//! PostgreSQL's wire protocol: connections, authentication, the simple and extended query conversation, COPY, cancel.
//!
//! The gateway knows the protocol and no SQL; the engine behind [`Engine`] and [`Session`] knows SQL and no protocol.
//! One task a connection, one socket a task:
//!
//! ```text
//!   socket ---> link ---> frame ---> conversation ---> connection ---> Session (the engine)
//!   (TCP,       read      cut by     decoded by        the loop:           |
//!    TLS,       ahead,    type and   `decode`; what    calls, answers,     | rows, tags, notices
//!    Unix)      EOF seen  length     may come when     flushes             v
//!      ^---------------- link <--------------------------- output <--- port (`Client`)
//! ```
//!
//! Invariants, which code and tests cite:
//! - **G1** No byte from a client can panic, or allocate more than it sent. `frame` bounds lengths by type before a byte is
//!   kept, and `decode` checks a whole body before pgwire's decoder, which trusts its input, may see it.
//! - **G2** What the client has not been sent can be taken back: everything goes through one `Output`, and only a full
//!   buffer, Flush, COPY's start or the end of the message sends (T16).
//! - **G3** One send for one Sync.
//! - **G4** While the engine works the socket is read, into a bounded buffer: a client that has gone, a shutdown or a
//!   statement's time limit raises the token, nothing is lost and nothing is started twice.
//! - **G5** Nothing that arrived in clear text is believed after TLS began.
//! - **G6** A panic ends its own connection with XX000 and is logged as an error; it never reaches another one.
//!
//! Left out: GSSAPI, replication connections, the function call message, COPY BOTH, encodings other than UTF8.
//! `docs/wire-protocol.md` is the list.
mod authentication;
mod cancel;
mod connection;
mod conversation;
mod decode;
mod encode;
mod frame;
mod hba;
mod link;
mod login;
mod meters;
mod opening;
mod output;
mod port;
mod server;
mod session;
mod startup;
mod tls;
mod watch;

pub use authentication::{
    Admission, Authenticator, Candidate, Credential, Roles, ScramVerifier, Seat, Trust, VerifierError,
};
pub use cancel::{CancelReason, CancelToken};
pub use hba::{AddressMatch, DatabaseMatch, HbaKind, HbaMethod, HbaRule, HbaRules, Network, RuleError, UserMatch};
pub use login::{FixedLogins, Gatekeeper, LoginRole, LoginSource, LoginSources};
pub use meters::Totals;
pub use server::{
    BoundAddress, Drained, GatewayConfig, GatewayHandle, ListenAddress, ListenError, ShutdownMode, serve,
};
pub use session::*;
pub use startup::split_options;
pub use tls::{GatewayTls, TlsError};
