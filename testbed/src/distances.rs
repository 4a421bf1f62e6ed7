//! How far A, B and W are from each other: by name, by one round trip, or from a file of the user's.
use crate::place::Link;
use std::path::Path;
use trivet_netem::{Distances, Profile};

/// Real places, by the name of their file in `testbed/networks`.
const KNOWN: [(&str, &str); 5] = [
    ("us", include_str!("../networks/us.toml")),
    ("eu", include_str!("../networks/eu.toml")),
    ("us-eu", include_str!("../networks/us-eu.toml")),
    ("us-asia", include_str!("../networks/us-asia.toml")),
    ("uneven", include_str!("../networks/uneven.toml")),
];

/// What is known by name: places first, then links that are all the same.
pub fn known() -> Vec<Distances> {
    let places = KNOWN.iter().map(|(name, text)| built_in(name, text));
    let uniform = Profile::known().map(|(name, like)| {
        let profile = name.parse().expect("a known profile has a name");
        let mut distances = uniform(&profile);
        distances.about = like.into();
        distances
    });
    places.chain(uniform).collect()
}

pub fn default() -> Distances {
    uniform(&"60ms".parse().expect("a round trip is a profile"))
}

/// A name, a round trip such as 60ms, or the path of a file that ends in `.toml`.
pub fn parse(text: &str) -> Result<Distances, String> {
    if let Some((name, text)) = KNOWN.iter().find(|(name, _)| *name == text) {
        return Ok(built_in(name, text));
    }
    if text.ends_with(".toml") || text.contains('/') {
        return Distances::read(Path::new(text), &link_names().each_ref().map(String::as_str)).map_err(|error| {
            format!("{error}. How such a file is written: docs/netem.md; testbed/networks has some to copy")
        });
    }
    text.parse().map(|profile| uniform(&profile)).map_err(|_| {
        let names: Vec<String> = known().into_iter().map(|distances| distances.name).collect();
        format!(
            "'{text}' is neither a round trip such as 60ms, nor a file that ends in .toml, nor one of {}",
            names.join(", ")
        )
    })
}

pub fn link_names() -> [String; 3] {
    Link::ALL.map(Link::name)
}

fn uniform(profile: &Profile) -> Distances {
    Distances::uniform(profile, &link_names().each_ref().map(String::as_str))
}

fn built_in(name: &str, text: &str) -> Distances {
    let path = format!("testbed/networks/{name}.toml");
    Distances::parse(name, path.as_ref(), text, &link_names().each_ref().map(String::as_str))
        .expect("a test reads every one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use trivet_netem::Faults;

    #[test]
    fn every_known_name_reads_and_says_what_it_is() {
        for distances in known() {
            assert!(!distances.about.is_empty(), "{}", distances.name);
            assert_eq!(parse(&distances.name).expect("known").name, distances.name);
            assert_eq!(distances.links().count(), 3);
        }
        let uneven = parse("uneven").expect("known");
        let ab = uneven.of("A-B").expect("a link");
        assert_eq!((ab.forward.delay, ab.backward.delay), (Duration::from_millis(20), Duration::from_millis(35)));
    }

    #[test]
    fn a_refusal_says_what_there_is() {
        let refused = parse("mars").expect_err("no such name");
        assert!(refused.contains("'mars' is neither") && refused.contains("us-eu") && refused.contains("antipodes"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("my.toml");
        std::fs::write(&path, "[link.A-B]\nrtt = \"long\"\n").expect("written");
        let refused = parse(&path.display().to_string()).expect_err("it is wrong");
        assert!(refused.contains("my.toml:2: \"long\" is not a duration"), "{refused}");
    }

    #[test]
    fn every_script_of_the_tree_reads() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults");
        let links = link_names();
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("the scripts are there") {
            let path = entry.expect("an entry").path();
            let faults = Faults::read(&path, &links.each_ref().map(String::as_str)).expect("it reads");
            assert!(!faults.title.is_empty());
            count += 1;
        }
        assert!(count >= 5);
    }
}
