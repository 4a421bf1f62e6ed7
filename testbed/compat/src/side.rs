//! One of the two that are compared.
use crate::answer::Piece;
use crate::wire::{Connection, Target};
use anyhow::{Result, bail};
use async_trait::async_trait;

#[async_trait]
pub trait Side: Send {
    /// For people.
    fn name(&self) -> String;

    /// Where to connect, to a database `postgres` in which nobody has made anything.
    async fn fresh(&mut self) -> Result<Target>;
}

/// A server that runs already. It must be empty when it is first asked for; from then on what is found there is from the
/// scripts, and is dropped between them.
pub struct Running {
    target: Target,
    found_empty: bool,
}

const RELATIONS: &str = "select n.nspname, c.relname, c.relkind from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'v', 'm', 'S', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') \
    order by c.relkind desc, c.oid desc";
/// What other than relations can be made: each row is a statement that drops one.
const OTHERS: [&str; 4] = [
    "select 'drop function public.' || quote_ident(proname) || ' cascade' from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = 'public'",
    "select 'drop type public.' || quote_ident(typname) || ' cascade' from pg_type t join pg_namespace n on n.oid = t.typnamespace where n.nspname = 'public' and t.typtype in ('e', 'd') and t.typrelid = 0",
    "select 'drop schema ' || quote_ident(nspname) || ' cascade' from pg_namespace where nspname not like 'pg\\_%' and nspname not in ('public', 'information_schema')",
    "select 'drop role ' || quote_ident(rolname) from pg_roles where oid >= 16384",
];

impl Running {
    pub fn new(target: Target) -> Running {
        Running { target, found_empty: false }
    }
}

/// The first columns of the rows.
async fn rows(connection: &mut Connection, sql: &str) -> Result<Vec<Vec<String>>> {
    let answer = connection.ask(sql).await?;
    let rows = answer.pieces.into_iter().filter_map(|piece| match piece {
        Piece::Row(fields) => Some(fields.into_iter().map(Option::unwrap_or_default).collect()),
        _ => None,
    });
    Ok(rows.collect())
}

#[async_trait]
impl Side for Running {
    fn name(&self) -> String {
        "here".into()
    }

    async fn fresh(&mut self) -> Result<Target> {
        let mut connection = Connection::open(&self.target).await?;
        let found = rows(&mut connection, RELATIONS).await?;
        if !found.is_empty() && !self.found_empty {
            bail!(
                "the database is not empty: {} is there. Comparing makes and drops tables; take a testbed of its own",
                found[0][1]
            );
        }
        self.found_empty = true;
        for fields in &found {
            let [schema, name, kind] = &fields[..] else { bail!("pg_class answers oddly") };
            let what = match kind.as_str() {
                "v" => "view",
                "m" => "materialized view",
                "S" => "sequence",
                _ => "table",
            };
            let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
            // Whether it went is asked below: one may have gone with another.
            let drop = format!("drop {what} if exists {}.{}", quoted(schema), quoted(name));
            if connection.ask(&format!("{drop} cascade")).await?.error().is_some() {
                connection.ask(&drop).await?;
            }
        }
        for others in OTHERS {
            for drop in rows(&mut connection, others).await? {
                connection.ask(&drop[0]).await?;
            }
        }
        match rows(&mut connection, RELATIONS).await?.first() {
            Some(left) => bail!("{} cannot be dropped", left[1]),
            None => Ok(self.target.clone()),
        }
    }
}
