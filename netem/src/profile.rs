//! Links by name: what lies between two places. Round trips are typical of public cloud regions so far apart.
use crate::settings::{LinkSettings, ParseSettingError, parse_duration};
use std::str::FromStr;
use std::time::Duration;

/// Both directions of a link, with a name to ask for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    pub name: String,
    pub forward: LinkSettings,
    pub backward: LinkSettings,
}

/// Name, round trip and jitter of each way in microseconds, what it is like.
const PROFILES: [(&str, u64, u64, &str); 7] = [
    ("none", 0, 0, "no delay at all"),
    ("same-zone", 300, 50, "two racks of one building"),
    ("same-region", 1_500, 200, "two zones of one region"),
    ("neighbours", 12_000, 500, "two cities some hundred kilometres apart"),
    ("cross-country", 62_000, 1_000, "east and west coast of North America"),
    ("transatlantic", 75_000, 1_500, "Virginia and Ireland"),
    ("antipodes", 250_000, 4_000, "London and Sydney"),
];

impl Profile {
    /// The same both ways, half of the round trip each.
    pub fn round_trip(name: &str, round_trip: Duration, jitter: Duration) -> Profile {
        let settings = LinkSettings { jitter, ..LinkSettings::delayed(round_trip / 2) };
        Profile { name: name.to_owned(), forward: settings.clone(), backward: settings }
    }

    /// Names and descriptions, for help texts.
    pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
        PROFILES.iter().map(|&(name, _, _, like)| (name, like))
    }
}

impl FromStr for Profile {
    type Err = ParseSettingError;

    /// A known name, or a duration: a plain round trip of that length without jitter.
    fn from_str(text: &str) -> Result<Profile, ParseSettingError> {
        if let Some(&(name, round_trip, jitter, _)) = PROFILES.iter().find(|profile| profile.0 == text) {
            return Ok(Profile::round_trip(name, Duration::from_micros(round_trip), Duration::from_micros(jitter)));
        }
        let round_trip = parse_duration(text).map_err(|_| {
            ParseSettingError::new(
                "profile",
                text,
                "none, same-zone, same-region, neighbours, cross-country, transatlantic, antipodes, \
                 or a round trip such as 60ms",
            )
        })?;
        Ok(Profile::round_trip(text, round_trip, Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_round_trips() {
        let table = [
            ("60ms", Some((30_000, 0))),
            ("cross-country", Some((31_000, 1_000))),
            ("transatlantic", Some((37_500, 1_500))),
            ("none", Some((0, 0))),
            ("mars", None),
        ];
        for (name, expected) in table {
            let profile = name.parse::<Profile>().ok();
            let found = profile.map(|profile| {
                assert_eq!(profile.forward, profile.backward);
                (profile.forward.delay.as_micros(), profile.forward.jitter.as_micros())
            });
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn the_refusal_names_every_profile() {
        let refusal = "mars".parse::<Profile>().expect_err("mars is no profile").to_string();
        for (name, _) in Profile::known() {
            assert!(refusal.contains(name), "{refusal}");
        }
    }
}
