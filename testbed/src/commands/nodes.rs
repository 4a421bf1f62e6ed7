//! `kill`, `pause`, `resume`, `restart`, `handover`, and `sql`.
use crate::layout::addresses::inside;
use crate::place::Place;
use crate::sql::Endpoint;
use crate::terminal::{Progress, say};
use crate::testbed::Testbed;
use anyhow::{Context, Result, bail};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

pub async fn kill(data: Option<&Path>, place: Place) -> Result<()> {
    let testbed = Testbed::find(data)?;
    testbed.kill(place).await?;
    say(format!("{place} is gone; `trivet restart {place}` brings it back"));
    Ok(())
}

pub fn pause(data: Option<&Path>, place: Place) -> Result<()> {
    Testbed::find(data)?.pause(place)?;
    say(format!("{place} is paused; `trivet resume {place}` lets it go on"));
    Ok(())
}

pub fn resume(data: Option<&Path>, place: Place) -> Result<()> {
    Testbed::find(data)?.resume(place)?;
    say(format!("{place} goes on"));
    Ok(())
}

pub async fn restart(data: Option<&Path>, place: Place) -> Result<()> {
    let testbed = Testbed::find(data)?;
    let progress = Progress::start();
    progress.step(format!("restarting {place}"));
    testbed.restart(place).await?;
    testbed.wait_answers(place, ANSWERS_WITHIN).await?;
    progress.done();
    say(format!("{place} runs"));
    Ok(())
}

pub async fn hand_over(data: Option<&Path>) -> Result<()> {
    let (from, to) = Testbed::find(data)?.hand_over(ANSWERS_WITHIN).await?;
    say(format!("region {to} leads; it was {from}"));
    Ok(())
}

/// Becomes the command, in the network of the place.
pub fn exec(data: Option<&Path>, place: Place, command: &[String]) -> Result<()> {
    let testbed = Testbed::find(data)?;
    let state = testbed.state()?;
    if !state.net.has_places() {
        bail!(
            "this testbed's places share the host's network (--net {}): a command needs no help to run there, and nothing \
             between it and a region is delayed. `trivet up --net auto` (as root) gives each place a network of its own",
            state.net
        );
    }
    testbed.inside(place)?.enter()?;
    let [program, arguments @ ..] = command else { bail!("there is no command to run") };
    let mut become_it = Command::new(program);
    become_it.args(arguments).env("TRIVET_PLACE", place.name());
    for (region, address) in &state.addresses.sql {
        // From its own region a client needs no link.
        let from_there = if *region == place { Ipv4Addr::LOCALHOST } else { inside(*region) };
        become_it.env(format!("TRIVET_SQL_{region}"), format!("{from_there}:{}", address.port()));
    }
    let error = become_it.exec();
    Err(error).with_context(|| format!("cannot start {program}"))
}

/// Becomes psql.
pub fn sql(data: Option<&Path>, place: Place, arguments: &[String]) -> Result<()> {
    let testbed = Testbed::find(data)?;
    let endpoints = testbed.endpoints()?;
    let endpoint =
        endpoints.get(&place).with_context(|| format!("{place} is the witness and speaks no SQL: A or B"))?;
    let target = endpoint.connection_string(testbed.directory());
    // Not in the arguments, which every user of this machine can read.
    let without_password = Endpoint { password: None, ..*endpoint }.connection_string(testbed.directory());
    let mut psql = Command::new("psql");
    psql.arg(without_password).args(arguments);
    if let Some(password) = endpoint.password {
        psql.env("PGPASSWORD", password.text())
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", testbed.directory().authority());
    }
    let error = psql.exec();
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            bail!("psql is not installed. Any PostgreSQL client can connect to {target}")
        }
        _ => Err(error).context("cannot start psql"),
    }
}
