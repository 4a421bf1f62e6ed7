//! ALTER ROLE ... SET, ALTER DATABASE ... SET: what settings are for whoever connects.
use super::Definer;
use super::access::{denied, no_such_role};
use crate::catalog::DatabaseSettings;
use crate::parser::tree::{Name, RoleName};
use crate::settings::Settings;
use trivet_types::{Oid, PgResult};

/// A setting and its value; no value: RESET, no name either: RESET ALL.
type Change<'a> = (Option<&'a str>, Option<&'a str>);

/// 42704 for a setting that is none, and what is wrong with a value.
fn check((setting, value): Change<'_>) -> PgResult<()> {
    let Some(setting) = setting else { return Ok(()) };
    let mut settings = Settings::default();
    match value {
        Some(value) => settings.set(setting, &[value.to_owned()], false),
        None => settings.reset(setting, false),
    }
}

fn apply(settings: &mut Vec<(String, String)>, (setting, value): Change<'_>) {
    let Some(setting) = setting else { return settings.clear() };
    let name = Settings::canonical_name(setting);
    let known = settings.iter_mut().find(|(other, _)| *other == name);
    match (known, value) {
        (Some((_, known)), Some(value)) => value.clone_into(known),
        (None, Some(value)) => settings.push((name, value.to_owned())),
        (_, None) => settings.retain(|(other, _)| *other != name),
    }
}

impl Definer<'_> {
    pub(super) async fn set_for_role(&mut self, role: &RoleName, change: Change<'_>) -> PgResult<()> {
        let by = self.current_role().await?;
        let named = self.role_named(role).await?;
        let Some(mut role) = self.locked_role(&named.name).await? else { return Err(no_such_role(&named.name)) };
        if !by.superuser && !by.create_role && by.oid != role.oid {
            return Err(denied("permission denied".into()));
        }
        check(change)?;
        apply(&mut role.settings, change);
        self.store_role(&role);
        Ok(())
    }

    /// Of a role or of all, in the database or in any.
    pub(super) async fn set_in_database(
        &mut self,
        role: Option<&RoleName>,
        database: Option<&Name>,
        change: Change<'_>,
    ) -> PgResult<()> {
        if let Some(name) = database {
            self.check_database(name)?;
        }
        let by = self.current_role().await?;
        let role = match role {
            Some(role) => self.role_named(role).await?.oid,
            None => Oid(0),
        };
        let mut row = self.locked_database().await?;
        let may = by.superuser || (role.is_valid() && by.create_role) || (!role.is_valid() && by.oid == row.owner);
        if !may {
            return Err(denied(match database {
                Some(name) if !role.is_valid() => format!("must be owner of database {}", name.text),
                _ => "permission denied".into(),
            }));
        }
        check(change)?;
        let here = database.is_some();
        let known = row.settings.iter_mut().find(|entry| entry.role == role && entry.here == here);
        match known {
            Some(entry) => apply(&mut entry.values, change),
            None => {
                let mut values = Vec::new();
                apply(&mut values, change);
                row.settings.push(DatabaseSettings { role, here, values });
            }
        }
        row.settings.retain(|entry| !entry.values.is_empty());
        self.store_database(&row);
        Ok(())
    }
}
