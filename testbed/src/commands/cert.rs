//! `cert`: the authority of a cluster and the certificates that it signs, as files.
use crate::cli::{Cert, CertCommon, CertIssue};
use crate::terminal::{Tone, say, tint};
use anyhow::{Context, Result, bail};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trivet_log::{ClusterId, NodeId};
use trivet_transport::certificates::{
    Authority, Certificate, Validity, make_ca_valid, make_node_certificate_valid, make_server_certificate_valid,
};
use trivet_transport::inspect::{Day, Facts, Standing, inspect_pem};
use trivet_transport::node_name;

pub const CA_CERTIFICATE: &str = "ca.pem";
pub const CA_KEY: &str = "ca.key";
const ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// False: `show` found one that is not valid, or soon is not.
pub fn cert(what: Cert) -> Result<bool> {
    match what {
        Cert::Init { folder, cluster_id, days } => {
            let cluster = ClusterId(cluster_id.unwrap_or_else(rand::random));
            init(&folder, cluster, Validity::Days(days))?;
            say(format!("cluster id  {:032x}", cluster.0));
            say(format!("{}  is for every node", folder.join(CA_CERTIFICATE).display()));
            say(format!("{}  signs: keep it away from the nodes", folder.join(CA_KEY).display()));
        }
        Cert::Issue { what: CertIssue::Node { id, common } } => {
            let (authority, validity) = (open(&common.ca)?, Validity::Days(common.days));
            let certificate = make_node_certificate_valid(&authority, NodeId(id), validity)?;
            put(&certificate, &common, ["node.pem", "node.key"])?;
            say(format!("for {}", node_name(NodeId(id), authority.cluster)));
        }
        Cert::Issue { what: CertIssue::Server { names, common } } => {
            let validity = Validity::Days(common.days);
            let certificate = make_server_certificate_valid(&open(&common.ca)?, &names, validity)?;
            put(&certificate, &common, ["server.pem", "server.key"])?;
            say(format!("for {}", names.join(", ")));
        }
        Cert::Show { files } => return show(&files),
    }
    Ok(true)
}

/// Draws an authority. Leaves one that is there alone.
pub fn init(folder: &Path, cluster: ClusterId, validity: Validity) -> Result<Authority> {
    make_folder(folder)?;
    let authority = make_ca_valid(cluster, validity)?;
    let (certificate, key) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
    refuse_overwriting(&[&certificate, &key], "an authority is replaced by one in another folder")?;
    authority.write_new(&certificate, &key).with_context(|| format!("cannot write to {}", folder.display()))?;
    Ok(authority)
}

/// The authority that `init` drew. Which cluster it is of stands in its certificate.
fn open(folder: &Path) -> Result<Authority> {
    let (certificate, key) = (folder.join(CA_CERTIFICATE), folder.join(CA_KEY));
    let text = std::fs::read(&certificate)
        .with_context(|| format!("cannot read {} (`trivet cert init` makes it)", certificate.display()))?;
    let facts = inspect_pem(&text).map_err(|error| anyhow::anyhow!("{}: {error}", certificate.display()))?;
    let cluster = facts.first().and_then(cluster_of).with_context(|| {
        format!("{} was not made by `trivet cert init`: it names no cluster", certificate.display())
    })?;
    Authority::read(cluster, &certificate, &key).with_context(|| format!("cannot read {}, which signs", key.display()))
}

/// From `O=Trivet, CN=authority of <32 digits>.trivet`.
fn cluster_of(facts: &Facts) -> Option<ClusterId> {
    let (_, after) = facts.subject.split_once("authority of ")?;
    let (digits, _) = after.split_once(".trivet")?;
    u128::from_str_radix(digits, 16).ok().map(ClusterId)
}

fn put(certificate: &Certificate, common: &CertCommon, names: [&str; 2]) -> Result<()> {
    make_folder(&common.out)?;
    let [pem, key] = names.map(|name| common.out.join(name));
    let written = match common.replace {
        true => certificate.replace(&pem, &key),
        false => {
            refuse_overwriting(&[&pem, &key], "--replace puts the new ones in their place")?;
            certificate.write_new(&pem, &key)
        }
    };
    written.with_context(|| format!("cannot write to {}", common.out.display()))?;
    say(format!("{}\n{}", pem.display(), key.display()));
    Ok(())
}

fn refuse_overwriting(paths: &[&PathBuf], hint: &str) -> Result<()> {
    match paths.iter().find(|path| path.exists()) {
        Some(path) => bail!("{} is there already, and is not overwritten: {hint}", path.display()),
        None => Ok(()),
    }
}

/// For its owner alone, if it is made here.
pub fn make_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn show(files: &[PathBuf]) -> Result<bool> {
    let mut good = true;
    for file in files {
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let all = inspect_pem(&text).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
        for facts in &all {
            let (fine, line) = standing(facts, Day::now());
            good &= fine;
            say(format!("{}", file.display()));
            say(format!("  of       {}{}", facts.subject, if facts.authority { " (an authority)" } else { "" }));
            if !facts.names.is_empty() {
                say(format!("  for      {}", facts.names.join(", ")));
            }
            say(format!("  signed   by {}", facts.issuer));
            say(format!("  valid    {} to {}", facts.from, facts.until));
            say(format!("  now      {}", tint(if fine { Tone::Good } else { Tone::Bad }, &line)));
        }
    }
    Ok(good)
}

fn standing(facts: &Facts, now: Day) -> (bool, String) {
    match facts.standing(now) {
        Standing::Early => (false, "not valid yet: compare the clocks".into()),
        Standing::Expired => (false, "expired: issue another".into()),
        Standing::Valid { left } => {
            let days = left.as_secs() / (24 * 3600);
            (left >= ENDS_SOON, format!("valid for {days} more days"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn issue(ca: &Path, out: &Path, replace: bool) -> Result<bool> {
        let common = CertCommon { ca: ca.to_owned(), out: out.to_owned(), days: 30, replace };
        cert(Cert::Issue { what: CertIssue::Node { id: 2, common } })
    }

    #[test]
    fn made_signed_shown_and_never_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let (ca, out) = (folder.path().join("ca"), folder.path().join("B"));
        let init = || cert(Cert::Init { folder: ca.clone(), cluster_id: Some(0xabc), days: 30 });
        assert!(init().expect("made"));
        let error = init().expect_err("there already").to_string();
        assert!(error.contains("is there already, and is not overwritten"), "{error}");
        assert!(issue(&ca, &out, false).expect("signed"));
        for (key, folder) in [("ca.key", &ca), ("node.key", &out)] {
            let mode = std::fs::metadata(folder.join(key)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        let read = || std::fs::read(out.join("node.pem")).expect("there");
        let first = read();
        let error = issue(&ca, &out, false).expect_err("there already").to_string();
        assert!(error.contains("--replace"), "{error}");
        assert_eq!(read(), first);
        assert!(issue(&ca, &out, true).expect("replaced"));
        assert_ne!(read(), first);
        let facts = inspect_pem(&read()).expect("it reads").remove(0);
        assert_eq!(facts.names, ["node-2.00000000000000000000000000000abc.trivet"]);
        assert!(show(&[out.join("node.pem"), ca.join("ca.pem")]).expect("shown"));
    }

    #[test]
    fn what_ends_soon_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        init(folder.path(), ClusterId(1), Validity::Days(10)).expect("made");
        let file = folder.path().join(CA_CERTIFICATE);
        assert!(!show(std::slice::from_ref(&file)).expect("shown"));
        let facts = inspect_pem(&std::fs::read(&file).expect("there")).expect("it reads").remove(0);
        let day = 24 * 3600;
        assert_eq!(standing(&facts, Day(facts.until.0 - 9 * day)), (false, "valid for 9 more days".into()));
        assert_eq!(standing(&facts, Day(facts.until.0 + 1)), (false, "expired: issue another".into()));
        assert_eq!(standing(&facts, Day(facts.from.0 - 1)), (false, "not valid yet: compare the clocks".into()));
    }

    #[test]
    fn an_authority_of_somebody_else_is_not_taken_for_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = issue(folder.path(), folder.path(), false).expect_err("nothing there");
        assert!(format!("{error:#}").contains("`trivet cert init` makes it"), "{error:#}");
        let authority = init(folder.path(), ClusterId(1), Validity::Days(10)).expect("made");
        let server = make_server_certificate_valid(&authority, &["x.org".into()], Validity::Days(1));
        std::fs::write(folder.path().join(CA_CERTIFICATE), server.expect("signed").certificate_pem).expect("written");
        let error = issue(folder.path(), folder.path(), false).expect_err("no authority").to_string();
        assert!(error.contains("names no cluster"), "{error}");
    }
}
