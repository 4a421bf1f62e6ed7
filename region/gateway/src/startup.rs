//! The first packets of a connection, which have no type byte: SSLRequest, GSSENCRequest, CancelRequest, StartupMessage.
//! Pure: bytes in, what was asked out.
//!
//! Protocol 3.0 and 3.2 are spoken. A newer minor version, or an option `_pq_.*` (there is none that we know), is
//! answered with NegotiateProtocolVersion and the conversation goes on; another major version is refused.
use crate::decode::utf8;
use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{GssEncRequest, SecretKey, SslRequest};
use pgwire::messages::{DecodeContext, Message, ProtocolVersion};
use trivet_types::{PgError, PgResult, sqlstate};

/// PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
const PACKET_MAX: usize = 10_000;
const PACKET_MIN: usize = 8;
/// PostgreSQL's NAMEDATALEN, less the NUL.
const NAME_MAX: usize = 63;
const OPTION_PREFIX: &str = "_pq_.";

#[derive(Debug)]
pub(crate) enum Opening {
    /// More bytes are needed to tell.
    Incomplete,
    Ssl,
    GssEncryption,
    Cancel {
        process_id: i32,
        secret: Bytes,
    },
    Start(StartRequest),
    /// A FATAL error worth telling.
    Refuse(Box<PgError>),
    /// Not this protocol: nothing to say, only to log.
    Garbage(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StartRequest {
    pub protocol: ProtocolVersion,
    pub user: String,
    pub database: String,
    /// The rest, in the order sent.
    pub parameters: Vec<(String, String)>,
    /// `Some`: the client asked for more than there is, and must hear what it got: `protocol`, without these options.
    pub negotiate: Option<Vec<String>>,
}

/// Take the packet at the front. `ssl_open`, `gss_open`: false once a request of that kind was answered, after which its
/// number is just an unknown protocol version.
pub(crate) fn read_opening(input: &mut BytesMut, ssl_open: bool, gss_open: bool) -> Opening {
    if input.len() < 4 {
        return Opening::Incomplete;
    }
    let length = i32::from_be_bytes([input[0], input[1], input[2], input[3]]);
    let Some(length) = usize::try_from(length).ok().filter(|length| (PACKET_MIN..=PACKET_MAX).contains(length)) else {
        return Opening::Garbage("invalid length of startup packet");
    };
    if input.len() < length {
        return Opening::Incomplete;
    }
    let mut packet = input.split_to(length);
    if SslRequest::is_ssl_request_packet(&packet) && ssl_open {
        return Opening::Ssl;
    }
    if GssEncRequest::is_gss_enc_request_packet(&packet) && gss_open {
        return Opening::GssEncryption;
    }
    if CancelRequest::is_cancel_request_packet(&packet) {
        let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_2);
        return match CancelRequest::decode(&mut packet, &context) {
            Ok(Some(CancelRequest { pid: process_id, secret_key: SecretKey::Bytes(secret), .. })) => {
                Opening::Cancel { process_id, secret }
            }
            _ => Opening::Garbage("invalid length of cancel request packet"),
        };
    }
    packet.advance(4);
    match start(&packet) {
        Ok(request) => Opening::Start(request),
        Err(error) => Opening::Refuse(error),
    }
}

fn start(packet: &[u8]) -> PgResult<StartRequest> {
    let (version, parameters) = packet.split_at(4);
    let major = u16::from_be_bytes([version[0], version[1]]);
    let minor = u16::from_be_bytes([version[2], version[3]]);
    if major != 3 {
        return Err(PgError::fatal(
            sqlstate::FEATURE_NOT_SUPPORTED,
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2"),
        ));
    }
    let mut user = None;
    let mut database = None;
    let mut others = Vec::new();
    let mut unsupported_options = Vec::new();
    for (name, value) in pairs(parameters)? {
        match name {
            "user" => user = Some(value),
            "database" => database = Some(value),
            "replication" => no_replication(value)?,
            _ if name.starts_with(OPTION_PREFIX) => unsupported_options.push(name.to_owned()),
            _ => others.push((name.to_owned(), value.to_owned())),
        }
    }
    let Some(user) = user.filter(|user| !user.is_empty()) else {
        return Err(PgError::fatal(
            sqlstate::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    };
    let database = database.filter(|database| !database.is_empty()).unwrap_or(user);
    let protocol = if minor >= 2 { ProtocolVersion::PROTOCOL3_2 } else { ProtocolVersion::PROTOCOL3_0 };
    // There is no 3.1.
    let negotiate = (minor == 1 || minor > 2 || !unsupported_options.is_empty()).then_some(unsupported_options);
    Ok(StartRequest {
        protocol,
        user: truncated(user).to_owned(),
        database: truncated(database).to_owned(),
        parameters: others,
        negotiate,
    })
}

/// `name NUL value NUL ... NUL`, with nothing behind the last NUL.
fn pairs(mut rest: &[u8]) -> PgResult<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    loop {
        match rest {
            [0] => return Ok(pairs),
            [] | [0, ..] => {
                return Err(PgError::fatal(
                    sqlstate::PROTOCOL_VIOLATION,
                    "invalid startup packet layout: expected terminator as last byte",
                ));
            }
            _ => {}
        }
        let mut next = || {
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            let text = utf8(&rest[..end]).map_err(|error| error.severity(trivet_types::Severity::Fatal));
            rest = &rest[(end + 1).min(rest.len())..];
            text
        };
        pairs.push((next()?, next()?));
    }
}

fn no_replication(value: &str) -> PgResult<()> {
    match value.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" | "f" | "n" | "" => Ok(()),
        "true" | "on" | "yes" | "1" | "t" | "y" | "database" => {
            Err(PgError::fatal(sqlstate::FEATURE_NOT_SUPPORTED, "replication connections are not supported"))
        }
        _ => Err(PgError::fatal(
            sqlstate::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"replication\": \"{value}\""),
        )
        .hint("Valid values are: \"false\", 0, \"true\", 1, \"database\".")),
    }
}

/// Names are cut to 63 bytes, at a character.
fn truncated(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_MAX)]
}

/// The settings in a start-up parameter `options`, which is written like a command line: `-c name=value`, `--name=value`;
/// a backslash takes the next character as it is. Dashes in names of the second form stand for underscores.
pub fn split_options(options: &str) -> PgResult<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let setting = if word == "-c" {
            words.next()
        } else if let Some(attached) = word.strip_prefix("-c") {
            Some(attached.to_owned())
        } else {
            word.strip_prefix("--").map(|long| match long.split_once('=') {
                Some((name, value)) => format!("{}={value}", name.replace('-', "_")),
                None => long.replace('-', "_"),
            })
        };
        let Some(setting) = setting else {
            return Err(PgError::fatal(
                sqlstate::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            ));
        };
        match setting.split_once('=') {
            Some((name, value)) if !name.is_empty() => settings.push((name.to_owned(), value.to_owned())),
            _ => {
                let form = if word.starts_with("--") { "--" } else { "-c " };
                return Err(PgError::fatal(sqlstate::SYNTAX_ERROR, format!("{form}{setting} requires a value")));
            }
        }
    }
    Ok(settings)
}

fn words(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => words.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use proptest::prelude::*;

    fn packet(version: u32, rest: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_u32(8 + rest.len() as u32);
        bytes.put_u32(version);
        bytes.put_slice(rest);
        bytes
    }

    fn outcome(mut bytes: BytesMut) -> String {
        match read_opening(&mut bytes, true, true) {
            Opening::Start(start) => {
                format!(
                    "{:?} {}@{} {:?} negotiate {:?}",
                    start.protocol, start.user, start.database, start.parameters, start.negotiate
                )
            }
            Opening::Refuse(error) => error.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn packets_and_what_they_open() {
        let table: Vec<(BytesMut, &str)> = vec![
            (BytesMut::new(), "Incomplete"),
            (BytesMut::from(&b"\0\0\0\x09\0\x03"[..]), "Incomplete"),
            (BytesMut::from(&b"\0\0\0\x07\0\x03\0\0"[..]), "Garbage(\"invalid length of startup packet\")"),
            (BytesMut::from(&b"GET / HT"[..]), "Garbage(\"invalid length of startup packet\")"),
            (BytesMut::from(&b"\0\0\x27\x11"[..]), "Garbage(\"invalid length of startup packet\")"),
            (packet(80877103, b""), "Ssl"),
            (packet(80877104, b""), "GssEncryption"),
            (packet(80877102, b"\0\0\0\x07abcd"), "Cancel { process_id: 7, secret: b\"abcd\" }"),
            (packet(80877102, b"\0\0\0\x07"), "Garbage(\"invalid length of cancel request packet\")"),
            (packet(80877102, &[7; 300]), "Garbage(\"invalid length of cancel request packet\")"),
            (packet(196608, b"user\0ann\0\0"), "PROTOCOL3_0 ann@ann [] negotiate None"),
            (
                packet(196610, b"user\0ann\0database\0shop\0application_name\0psql\0\0"),
                "PROTOCOL3_2 ann@shop [(\"application_name\", \"psql\")] negotiate None",
            ),
            (packet(196609, b"user\0ann\0\0"), "PROTOCOL3_0 ann@ann [] negotiate Some([])"),
            (packet(0x0003_270f, b"user\0ann\0\0"), "PROTOCOL3_2 ann@ann [] negotiate Some([])"),
            (
                packet(196608, b"user\0ann\0_pq_.wings\0on\0\0"),
                "PROTOCOL3_0 ann@ann [] negotiate Some([\"_pq_.wings\"])",
            ),
            (
                packet(131072, b"user\0ann\0\0"),
                "FATAL: unsupported frontend protocol 2.0: server supports 3.0 to 3.2 (0A000)",
            ),
            (packet(196608, b"\0"), "FATAL: no PostgreSQL user name specified in startup packet (28000)"),
            (
                packet(196608, b"user\0ann\0"),
                "FATAL: invalid startup packet layout: expected terminator as last byte (08P01)",
            ),
            (
                packet(196608, b"user\0ann\0\0more"),
                "FATAL: invalid startup packet layout: expected terminator as last byte (08P01)",
            ),
            (packet(196608, b""), "FATAL: invalid startup packet layout: expected terminator as last byte (08P01)"),
            (packet(196608, b"user\0\xff\0\0"), "FATAL: invalid byte sequence for encoding \"UTF8\": 0xff (22021)"),
            (
                packet(196608, b"user\0ann\0replication\0database\0\0"),
                "FATAL: replication connections are not supported (0A000)",
            ),
        ];
        for (bytes, expected) in table {
            assert_eq!(outcome(bytes.clone()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_encryption_request_counts_once() {
        let opened = read_opening(&mut packet(80877103, b""), false, true);
        assert!(matches!(opened, Opening::Refuse(error) if error.message.contains("protocol 1234.5679")));
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let name = format!("{}é", "a".repeat(62));
        assert_eq!(truncated(&name), "a".repeat(62));
    }

    #[test]
    fn options_as_a_command_line() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            split_options(r"-c search_path=a\ b  -cwork_mem=4MB --statement-timeout=5s").expect("well formed"),
            [pair("search_path", "a b"), pair("work_mem", "4MB"), pair("statement_timeout", "5s")]
        );
        assert_eq!(split_options("").expect("empty is none"), []);
        assert!(split_options("-x").is_err());
        assert!(split_options("-c geqo").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        // G1
        #[test]
        fn no_packet_panics(
            version in prop::sample::select(vec![196608u32, 196610, 80877102, 80877103, 80877104, 0]),
            rest in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..60),
            cut in 0usize..70,
        ) {
            let mut bytes = packet(version, &rest);
            let keep = bytes.len().saturating_sub(cut % 5);
            bytes.truncate(keep);
            let _ = read_opening(&mut bytes, true, true);
        }
    }
}
