//! How far several places are from each other: a profile for each link, read from a TOML file.
//!
//! ```toml
//! about = "Dublin, Frankfurt and a witness behind a slow line"
//!
//! [all]                                      # every link, unless its own section says otherwise
//! jitter = "500us"
//!
//! [link.A-B]
//! rtt = "24ms"                               # half of it each way
//!
//! [link.A-W]                                 # each way by itself: forward is from A to W
//! forward = { delay = "20ms", rate = "100Mbit/s" }
//! backward = { delay = "45ms", rate = "10Mbit/s", loss = "0.1%" }
//! ```
//!
//! A section may say `rtt`, `jitter`, `reorder`, `loss`, `duplicate`, `rate` and `queue` for both ways; `forward` and
//! `backward` the same and `delay`, for one. What is more special wins: `all`, then the link, then the way.
use crate::file::{self, FileError, Source};
use crate::profile::Profile;
use crate::settings::{Chance, LinkSettings, duration_text, rate_text};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distances {
    /// As it is asked for: "us", "60ms", a file's name.
    pub name: String,
    /// In a sentence; may be empty.
    pub about: String,
    links: BTreeMap<String, Profile>,
}

impl Distances {
    /// Every link is the same.
    pub fn uniform(profile: &Profile, links: &[&str]) -> Distances {
        let links = links.iter().map(|link| ((*link).to_owned(), profile.clone())).collect();
        Distances { name: profile.name.clone(), about: String::new(), links }
    }

    /// None if there is no such link.
    pub fn of(&self, link: &str) -> Option<&Profile> {
        self.links.get(link)
    }

    pub fn links(&self) -> impl Iterator<Item = (&str, &Profile)> {
        self.links.iter().map(|(name, profile)| (name.as_str(), profile))
    }

    /// A file that says something of each of `links`, and of no other.
    pub fn read(path: &Path, links: &[&str]) -> Result<Distances, FileError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Distances::parse(&name, path, &file::read(path)?, links)
    }

    /// The same of text; `path` is for errors.
    pub fn parse(name: &str, path: &Path, text: &str, links: &[&str]) -> Result<Distances, FileError> {
        let source = Source { path, text };
        let file: DistancesText = toml::from_str(text).map_err(|error| source.toml_error(&error))?;
        let mut sections: BTreeMap<&str, (LinkText, bool)> = BTreeMap::new();
        for (key, section) in file.link {
            let (written, at) = (key.get_ref().as_str(), key.span());
            let Some((link, reversed)) = named(written, links) else {
                let message = format!("there is no link {written} (there are {})", links.join(", "));
                return Err(source.error(Some(at), message));
            };
            if sections.insert(link, (section, reversed)).is_some() {
                return Err(source.error(Some(at), format!("the link {link} has two sections")));
            }
        }
        let mut profiles = BTreeMap::new();
        for link in links {
            let profile = match (sections.remove(link), &file.all) {
                (None, None) => {
                    let message = format!(
                        "it says nothing of the link {link}: add a section [link.{link}], or [all] for all links"
                    );
                    return Err(source.error(None, message));
                }
                (section, all) => {
                    let (section, reversed) = section.unwrap_or_default();
                    section.profile(name, all.as_ref(), reversed)
                }
            };
            profiles.insert((*link).to_owned(), profile);
        }
        Ok(Distances { name: name.to_owned(), about: file.about, links: profiles })
    }
}

/// The link that is meant by `text`, and whether it is written the other way round: "B-A" for "A-B".
pub(crate) fn named<'a>(text: &str, links: &[&'a str]) -> Option<(&'a str, bool)> {
    let turned = text.split_once('-').map(|(one, other)| format!("{other}-{one}"));
    let find = |name: &str| links.iter().copied().find(|link| *link == name);
    find(text).map(|link| (link, false)).or_else(|| Some((find(&turned?)?, true)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DistancesText {
    #[serde(default)]
    about: String,
    all: Option<LinkText>,
    #[serde(default)]
    link: BTreeMap<Spanned<String>, LinkText>,
}

/// What is said of both ways of a link.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkText {
    #[serde(default, deserialize_with = "some_duration")]
    rtt: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    jitter: Option<Duration>,
    reorder: Option<bool>,
    loss: Option<Chance>,
    duplicate: Option<Chance>,
    #[serde(default, deserialize_with = "some_rate")]
    rate: Option<Option<u64>>,
    queue: Option<u64>,
    #[serde(default)]
    forward: WayText,
    #[serde(default)]
    backward: WayText,
}

/// What is said of one way.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WayText {
    #[serde(default, deserialize_with = "some_duration")]
    delay: Option<Duration>,
    #[serde(default, deserialize_with = "some_duration")]
    jitter: Option<Duration>,
    reorder: Option<bool>,
    loss: Option<Chance>,
    duplicate: Option<Chance>,
    #[serde(default, deserialize_with = "some_rate")]
    rate: Option<Option<u64>>,
    queue: Option<u64>,
}

impl LinkText {
    fn profile(&self, name: &str, all: Option<&LinkText>, reversed: bool) -> Profile {
        let way = |of: fn(&LinkText) -> &WayText, opposite: fn(&LinkText) -> &WayText| {
            let own = if reversed { opposite(self) } else { of(self) };
            let mut settings = LinkSettings::default();
            for link in all.into_iter() {
                link.both().apply(&mut settings);
                of(link).apply(&mut settings);
            }
            self.both().apply(&mut settings);
            own.apply(&mut settings);
            settings
        };
        let forward = way(|link| &link.forward, |link| &link.backward);
        let backward = way(|link| &link.backward, |link| &link.forward);
        Profile { name: name.to_owned(), forward, backward }
    }

    fn both(&self) -> WayText {
        WayText {
            delay: self.rtt.map(|rtt| rtt / 2),
            jitter: self.jitter,
            reorder: self.reorder,
            loss: self.loss,
            duplicate: self.duplicate,
            rate: self.rate,
            queue: self.queue,
        }
    }
}

impl WayText {
    fn apply(&self, settings: &mut LinkSettings) {
        fn put<T: Copy>(said: Option<T>, setting: &mut T) {
            if let Some(value) = said {
                *setting = value;
            }
        }
        put(self.delay, &mut settings.delay);
        put(self.jitter, &mut settings.jitter);
        put(self.reorder, &mut settings.reorder);
        put(self.loss, &mut settings.loss);
        put(self.duplicate, &mut settings.duplicate);
        put(self.rate, &mut settings.rate);
        put(self.queue, &mut settings.queue);
    }
}

pub(crate) fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration_text::deserialize(deserializer).map(Some)
}

pub(crate) fn some_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    rate_text::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [&str; 3] = ["A-B", "A-W", "B-W"];

    fn parse(text: &str) -> Result<Distances, String> {
        Distances::parse("my", Path::new("my.toml"), text, &LINKS).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_more_special_wins() {
        let distances = parse(
            "about = \"an example\"\n\
             [all]\njitter = \"1ms\"\nrtt = \"10ms\"\n\
             [link.A-B]\nrtt = \"60ms\"\nbackward = { loss = \"1%\", rate = \"100Mbit/s\" }\n\
             [link.W-A]\nforward = { delay = \"45ms\", jitter = \"0\" }\n",
        )
        .expect("it reads");
        let milliseconds = Duration::from_millis;
        let ab = distances.of("A-B").expect("a link");
        assert_eq!((ab.forward.delay, ab.forward.jitter), (milliseconds(30), milliseconds(1)));
        assert_eq!((ab.forward.loss, ab.forward.rate), (Chance::NEVER, None));
        assert_eq!((ab.backward.loss, ab.backward.rate), (Chance::percent(1.0).expect("in range"), Some(12_500_000)));
        // Written from W to A, which is A-W's way back.
        let aw = distances.of("A-W").expect("a link");
        assert_eq!((aw.backward.delay, aw.backward.jitter), (milliseconds(45), Duration::ZERO));
        assert_eq!((aw.forward.delay, aw.forward.jitter), (milliseconds(5), milliseconds(1)));
        assert_eq!(distances.of("B-W").expect("a link").forward.delay, milliseconds(5));
        assert_eq!(distances.of("A-X"), None);
        assert_eq!((distances.name.as_str(), distances.about.as_str()), ("my", "an example"));
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        let table = [
            (
                "[all]\nrtt = \"60\"",
                "my.toml:2: \"60\" is not a duration: expected a number with s, ms, us or ns, in `rtt = \"60\"`",
            ),
            (
                "[all]\n\ndealy = \"60ms\"",
                "my.toml:3: unknown field `dealy`, expected one of `rtt`, `jitter`, `reorder`, `loss`, `duplicate`, \
                 `rate`, `queue`, `forward`, `backward`, in `dealy = \"60ms\"`",
            ),
            (
                "[link.A-X]\nrtt = \"60ms\"",
                "my.toml:1: there is no link A-X (there are A-B, A-W, B-W), in `[link.A-X]`",
            ),
            (
                "[link.A-B]\nrtt = \"60ms\"",
                "my.toml: it says nothing of the link A-W: add a section [link.A-W], or [all] for all links",
            ),
            (
                "[all]\n[link.A-B]\nrtt = \"1ms\"\n[link.B-A]\nrtt = \"2ms\"",
                "my.toml:4: the link A-B has two sections, in `[link.B-A]`",
            ),
            (
                "[all]\nloss = \"200%\"",
                "my.toml:2: \"200%\" is not a chance: expected a fraction in 0 to 1, or a percentage, in `loss = \"200%\"`",
            ),
            ("[all]\nloss = 7", "my.toml:2: chance 7 is not in 0 to 1, in `loss = 7`"),
            (
                "[all]\nforward = { rate = \"fast\" }",
                "my.toml:2: \"fast\" is not a rate: expected bytes a second above 0, such as 1000000, 12MB/s or 100Mbit/s, \
                 or unlimited, in `forward = { rate = \"fast\" }`",
            ),
        ];
        for (text, message) in table {
            assert_eq!(parse(text).expect_err(text), message);
        }
        assert!(parse("[all").expect_err("not TOML").starts_with("my.toml:1: "));
        let missing = Distances::read(Path::new("/nowhere/my.toml"), &LINKS).expect_err("no file").to_string();
        assert!(missing.starts_with("cannot read /nowhere/my.toml: No such file"), "{missing}");
    }
}
