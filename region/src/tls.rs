//! The certificate that a region shows to its SQL clients, and its replacement while clients are connected.
use crate::config::SqlSection;
use anyhow::{Context, Result, anyhow, bail};
use std::path::{Path, PathBuf};
use trivet_gateway::GatewayTls;
use trivet_node::rotation::{FileWatch, Reload};
use trivet_node::tell_certificate;
use trivet_transport::inspect::{Day, Facts, inspect_pem};
use trivet_transport::{check_dates, check_key_mode};

/// Looked after for as long as this is there.
pub struct ClientTls {
    pub gateway: GatewayTls,
    pub reload: Reload,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What the files hold.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
    facts: Facts,
}

/// `None`: the configuration has no certificate.
pub fn start(sql: &SqlSection) -> Result<Option<ClientTls>> {
    let (Some(certificate), Some(key)) = (&sql.certificate, &sql.key) else { return Ok(None) };
    let files = Files { certificate: certificate.clone(), key: key.clone() };
    let watch = FileWatch::new([files.certificate.clone(), files.key.clone()]);
    // One that has expired is shown: clients that look at dates say so, and the others go on.
    let pair = files.read()?;
    let gateway = GatewayTls::from_pem(&pair.certificate, &pair.key).map_err(|error| files.unusable(anyhow!(error)))?;
    let (shown, until) = (gateway.clone(), tell(&pair.facts));
    let take_up = move || files.take_up(&shown).map_err(|error| format!("{error:#}"));
    let reload = watch.spawn("the certificate of [sql]", until, take_up).context("cannot start a thread")?;
    Ok(Some(ClientTls { gateway, reload }))
}

fn tell(facts: &Facts) -> Day {
    tell_certificate("server", facts.until);
    facts.until
}

impl Files {
    fn take_up(&self, shown: &GatewayTls) -> Result<Day> {
        let pair = self.read()?;
        check_dates(&pair.facts, &self.certificate.display().to_string())?;
        shown.replace(&pair.certificate, &pair.key).map_err(|error| self.unusable(anyhow!(error)))?;
        Ok(tell(&pair.facts))
    }

    fn unusable(&self, error: anyhow::Error) -> anyhow::Error {
        let Files { certificate, key } = self;
        error.context(format!(
            "sql.certificate = {}, sql.key = {}: both must be of one `trivet cert issue server`",
            certificate.display(),
            key.display()
        ))
    }

    fn read(&self) -> Result<Pair> {
        let certificate = read(&self.certificate, "sql.certificate")?;
        let key = read(&self.key, "sql.key")?;
        check_key_mode(&self.key)?;
        let facts = match inspect_pem(&certificate) {
            Ok(mut all) => all.remove(0),
            Err(error) => bail!("{}: {error}", self.certificate.display()),
        };
        Ok(Pair { certificate, key, facts })
    }
}

fn read(path: &Path, key: &str) -> Result<Vec<u8>> {
    std::fs::read(path)
        .with_context(|| format!("{key}: cannot read {} (`trivet cert issue server` makes such files)", path.display()))
}
