//! What is asked of a link: one [`LinkSettings`] a direction.
//!
//! Times are written as "30ms", "1.5s", "250us" in files and on the control connection. Chances are fractions, kept in
//! parts per million so that settings compare and a seeded run is the same everywhere.
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// One direction of a link. A link named "A-B" runs forward from A to B.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Forward,
    Backward,
}

impl Way {
    pub const BOTH: [Way; 2] = [Way::Forward, Way::Backward];

    /// The other direction: where answers travel.
    pub fn reverse(self) -> Way {
        match self {
            Way::Forward => Way::Backward,
            Way::Backward => Way::Forward,
        }
    }

    pub(crate) fn slot(self) -> usize {
        match self {
            Way::Forward => 0,
            Way::Backward => 1,
        }
    }
}

/// Which direction of a link a change means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Both,
    Forward,
    Backward,
}

impl Direction {
    pub fn ways(self) -> &'static [Way] {
        match self {
            Direction::Both => &Way::BOTH,
            Direction::Forward => &[Way::Forward],
            Direction::Backward => &[Way::Backward],
        }
    }
}

impl From<Way> for Direction {
    fn from(way: Way) -> Direction {
        match way {
            Way::Forward => Direction::Forward,
            Way::Backward => Direction::Backward,
        }
    }
}

impl FromStr for Direction {
    type Err = ParseSettingError;

    fn from_str(text: &str) -> Result<Direction, ParseSettingError> {
        match text {
            "both" => Ok(Direction::Both),
            "forward" => Ok(Direction::Forward),
            "backward" => Ok(Direction::Backward),
            _ => Err(ParseSettingError::new("direction", text, "both, forward or backward")),
        }
    }
}

/// A chance per packet, in parts per million.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Chance(u32);

impl Chance {
    pub const NEVER: Chance = Chance(0);
    pub const ALWAYS: Chance = Chance(1_000_000);

    /// Of `fraction` in 0 to 1; `None` outside.
    pub fn of(fraction: f64) -> Option<Chance> {
        (0.0..=1.0).contains(&fraction).then(|| Chance((fraction * 1e6).round() as u32))
    }

    /// Of whole or broken percent; `None` outside 0 to 100.
    pub fn percent(percent: f64) -> Option<Chance> {
        Chance::of(percent / 100.0)
    }

    pub fn parts_per_million(self) -> u32 {
        self.0
    }

    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl FromStr for Chance {
    type Err = ParseSettingError;

    /// "1%" or "0.01".
    fn from_str(text: &str) -> Result<Chance, ParseSettingError> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().and_then(Chance::percent),
            None => text.parse().ok().and_then(Chance::of),
        };
        parsed.ok_or_else(|| ParseSettingError::new("chance", text, "a fraction in 0 to 1, or a percentage"))
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 1e4)
    }
}

impl Serialize for Chance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.fraction())
    }
}

impl<'de> Deserialize<'de> for Chance {
    /// 0.01 or "1%".
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Chance, D::Error> {
        struct ChanceVisitor;
        impl de::Visitor<'_> for ChanceVisitor {
            type Value = Chance;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fraction in 0 to 1, or a percentage such as \"1%\"")
            }

            fn visit_f64<E: de::Error>(self, fraction: f64) -> Result<Chance, E> {
                Chance::of(fraction).ok_or_else(|| E::custom(format!("chance {fraction} is not in 0 to 1")))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Chance, E> {
                self.visit_f64(number as f64)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Chance, E> {
                self.visit_f64(number as f64)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Chance, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(ChanceVisitor)
    }
}

/// What one direction of a link does to what passes. The default is a perfect wire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkSettings {
    /// A black hole: nothing that is sent from now on arrives. What was in flight still does.
    pub cut: bool,
    /// One way. The least that any packet takes.
    #[serde(with = "duration_text")]
    pub delay: Duration,
    /// Each packet takes up to this much longer, uniformly.
    #[serde(with = "duration_text")]
    pub jitter: Duration,
    /// A packet with less jitter may overtake. Streams never reorder, whatever this says.
    pub reorder: bool,
    /// Packets lost at random. A stream loses time instead: one retransmission.
    pub loss: Chance,
    /// Packets that arrive twice. No effect on a stream.
    pub duplicate: Chance,
    /// Bytes a second; none is unlimited. Bytes leave one after another at this rate, then the delay begins.
    #[serde(deserialize_with = "rate_text::deserialize")]
    pub rate: Option<u64>,
    /// Bytes that may wait for a limited rate; a packet that finds the queue full is dropped.
    pub queue: u64,
}

impl LinkSettings {
    /// A perfect wire of this one-way delay.
    pub fn delayed(delay: Duration) -> LinkSettings {
        LinkSettings { delay, ..LinkSettings::default() }
    }
}

impl Default for LinkSettings {
    fn default() -> LinkSettings {
        LinkSettings {
            cut: false,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: false,
            loss: Chance::NEVER,
            duplicate: Chance::NEVER,
            rate: None,
            queue: 4 << 20,
        }
    }
}

/// A setting that does not read as one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{text}\" is not a {what}: expected {expected}")]
pub struct ParseSettingError {
    what: &'static str,
    text: String,
    expected: &'static str,
}

impl ParseSettingError {
    pub(crate) fn new(what: &'static str, text: &str, expected: &'static str) -> ParseSettingError {
        ParseSettingError { what, text: text.to_owned(), expected }
    }
}

/// Reads "30ms", "1.5s", "250us", "10ns" or "0".
pub fn parse_duration(text: &str) -> Result<Duration, ParseSettingError> {
    let text = text.trim();
    let refused = || ParseSettingError::new("duration", text, "a number with s, ms, us or ns");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
    let nanos_per_unit = match &text[digits..] {
        "s" => 1e9,
        "ms" => 1e6,
        "us" | "µs" => 1e3,
        "ns" => 1.0,
        _ => return Err(refused()),
    };
    let count: f64 = text[..digits].parse().map_err(|_| refused())?;
    let nanos = count * nanos_per_unit;
    // A year bounds every sum of the model far below u64::MAX nanoseconds.
    if !(0.0..=31_536_000e9).contains(&nanos) {
        return Err(refused());
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// Writes the shortest form that [`parse_duration`] reads back exactly.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, nanos_per_unit) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if nanos.is_multiple_of(nanos_per_unit) {
            return format!("{}{unit}", nanos / nanos_per_unit);
        }
    }
    format!("{nanos}ns")
}

/// What a second's bytes are called, the longest names first, and how many bytes one is (bits: an eighth).
const RATE_UNITS: [(&str, f64); 9] = [
    ("Gbit/s", 1e9 / 8.0),
    ("Mbit/s", 1e6 / 8.0),
    ("kbit/s", 1e3 / 8.0),
    ("bit/s", 1.0 / 8.0),
    ("GB/s", 1e9),
    ("MB/s", 1e6),
    ("kB/s", 1e3),
    ("B/s", 1.0),
    ("", 1.0),
];

/// Reads "100Mbit/s", "12.5MB/s", "1000000" (bytes a second) or "unlimited"; at least a byte a second.
pub fn parse_rate(text: &str) -> Result<Option<u64>, ParseSettingError> {
    let text = text.trim();
    if matches!(text, "unlimited" | "none") {
        return Ok(None);
    }
    let refused = || {
        ParseSettingError::new(
            "rate",
            text,
            "bytes a second above 0, such as 1000000, 12MB/s or 100Mbit/s, or unlimited",
        )
    };
    let (digits, bytes) = RATE_UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?.trim_end(), bytes)))
        .expect("the last unit is empty");
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(refused());
    }
    let rate = digits.parse::<f64>().map_err(|_| refused())? * bytes;
    // A terabyte a second is more than any machine moves.
    if (1.0..=1e12).contains(&rate) { Ok(Some(rate.round() as u64)) } else { Err(refused()) }
}

/// Rates as bytes a second, or as text.
pub(crate) mod rate_text {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "bytes a second, or text such as \"100Mbit/s\" or \"unlimited\"")]
        enum Rate {
            Bytes(u64),
            Text(String),
        }
        match Option::<Rate>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Rate::Bytes(bytes)) => Ok(Some(bytes)),
            Some(Rate::Text(text)) => parse_rate(&text).map_err(de::Error::custom),
        }
    }
}

/// Durations as text, for serde's `with`.
pub(crate) mod duration_text {
    use super::*;

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        let table = [
            ("0", Some(0), "0s"),
            ("30ms", Some(30_000_000), "30ms"),
            ("1.5s", Some(1_500_000_000), "1500ms"),
            ("250us", Some(250_000), "250us"),
            ("7ns", Some(7), "7ns"),
            ("0.5ms", Some(500_000), "500us"),
            ("30", None, ""),
            ("ms", None, ""),
            ("-1ms", None, ""),
            ("1h", None, ""),
            ("1e9s", None, ""),
            ("99999999999s", None, ""),
        ];
        for (text, nanos, written) in table {
            let parsed = parse_duration(text).ok();
            assert_eq!(parsed.map(|duration| duration.as_nanos()), nanos, "{text}");
            if let Some(duration) = parsed {
                assert_eq!(format_duration(duration), written, "{text}");
                assert_eq!(parse_duration(written), Ok(duration), "{text} reads back");
            }
        }
    }

    #[test]
    fn rates_read() {
        let table = [
            ("1000000", Some(Some(1_000_000))),
            ("12.5MB/s", Some(Some(12_500_000))),
            ("100Mbit/s", Some(Some(12_500_000))),
            ("8 bit/s", Some(Some(1))),
            ("unlimited", Some(None)),
            ("none", Some(None)),
            ("0", None),
            ("-1", None),
            ("1e9", None),
            ("fast", None),
            ("100mbit", None),
            ("", None),
        ];
        for (text, rate) in table {
            assert_eq!(parse_rate(text).ok(), rate, "{text}");
        }
    }

    #[test]
    fn chances_read() {
        let table =
            [("1%", Some(10_000)), ("0.25", Some(250_000)), ("100%", Some(1_000_000)), ("101%", None), ("-1", None)];
        for (text, ppm) in table {
            assert_eq!(text.parse::<Chance>().ok().map(Chance::parts_per_million), ppm, "{text}");
        }
    }

    #[test]
    fn settings_round_trip_as_json() {
        let settings = LinkSettings {
            cut: true,
            delay: Duration::from_micros(30_250),
            jitter: Duration::from_millis(2),
            reorder: true,
            loss: Chance::percent(0.5).expect("in range"),
            duplicate: Chance::percent(1.0).expect("in range"),
            rate: Some(125_000_000),
            queue: 1 << 20,
        };
        let text = serde_json::to_string(&settings).expect("settings serialise");
        assert_eq!(serde_json::from_str::<LinkSettings>(&text).expect("settings read back"), settings);
        assert_eq!(serde_json::from_str::<LinkSettings>("{}").expect("all fields default"), LinkSettings::default());
    }
}
