//! The tables of the transactional workloads: made before, read out at the end, dropped after.
use crate::history::{Deed, History, Outcome, What};
use crate::place::Place;
use crate::sql::{Endpoint, Failure, connect, within};
use std::collections::BTreeMap;
use std::time::Duration;
use trivet_history::{Action, MicroOperation, Seen};

pub(super) const CELLS: i32 = 12;
pub const RING: i32 = 8;

#[derive(Clone, Debug)]
pub struct DeedTables {
    pub(super) lists: String,
    pub(super) cells: String,
    pub(super) ring: String,
    pub(super) claims: String,
    pub(super) parents: String,
    pub(super) children: String,
    pub(super) wide: String,
    pub(super) draws: String,
    pub(super) bulk: String,
}

/// What a region holds at the end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeedContents {
    pub ring: Vec<(i32, i32)>,
    /// Id and name.
    pub claims: Vec<(i64, i64)>,
    pub parents: Vec<i64>,
    /// Id and parent.
    pub children: Vec<(i64, i64)>,
    pub wide: Vec<i64>,
    /// Batches, and how many rows each has.
    pub bulk: Vec<(i64, i64)>,
}

impl DeedTables {
    pub(in crate::load) fn named(name: &str) -> DeedTables {
        let table = |what: &str| format!("{name}_{what}");
        DeedTables {
            lists: table("lists"),
            cells: table("cells"),
            ring: table("ring"),
            claims: table("claims"),
            parents: table("parents"),
            children: table("children"),
            wide: table("wide"),
            draws: table("draws"),
            bulk: table("bulk"),
        }
    }

    pub(in crate::load) fn definitions(&self) -> Vec<String> {
        let DeedTables { lists, cells, ring, claims, parents, children, wide, draws, bulk } = self;
        let list = |count: i32, value: fn(i32) -> i32| {
            (0..count).map(|id| format!("({id}, {})", value(id))).collect::<Vec<_>>().join(", ")
        };
        vec![
            format!("CREATE TABLE {lists} (id bigint PRIMARY KEY, items text NOT NULL)"),
            format!("CREATE TABLE {cells} (id integer PRIMARY KEY, value bigint NOT NULL)"),
            format!("CREATE TABLE {ring} (id integer PRIMARY KEY, next integer NOT NULL)"),
            format!("CREATE TABLE {claims} (id bigint PRIMARY KEY, name bigint NOT NULL UNIQUE)"),
            format!("CREATE TABLE {parents} (id bigint PRIMARY KEY)"),
            format!("CREATE TABLE {children} (id bigint PRIMARY KEY, parent bigint NOT NULL REFERENCES {parents})"),
            format!("CREATE TABLE {wide} (id bigint PRIMARY KEY, mark bigint NOT NULL)"),
            format!("CREATE SEQUENCE {draws}"),
            format!("CREATE TABLE {bulk} (batch bigint, id bigint, filler text NOT NULL, PRIMARY KEY (batch, id))"),
            format!("INSERT INTO {cells} (id, value) VALUES {}", list(CELLS, |_| 0)),
            format!("INSERT INTO {ring} (id, next) VALUES {}", list(RING, |id| (id + 1) % RING)),
        ]
    }

    pub(in crate::load) fn drops(&self) -> Vec<String> {
        let DeedTables { lists, cells, ring, claims, parents, children, wide, draws, bulk } = self;
        let tables = [lists, cells, ring, claims, children, parents, wide, bulk];
        let tables = tables.into_iter().map(|table| format!("DROP TABLE IF EXISTS {table}"));
        tables.chain([format!("DROP SEQUENCE IF EXISTS {draws}")]).collect()
    }

    /// Reads everything through one region. All lists and all registers are read in one transaction each, which the
    /// history then has too.
    pub async fn contents(
        &self,
        region: Place,
        address: Endpoint,
        bound: Duration,
        history: &History,
        process: u64,
    ) -> Result<DeedContents, Failure> {
        let session = connect(address, bound).await?;
        let rows = async |text: String| within(bound, session.client.query_typed(&text, &[])).await;
        let begun = history.now();
        let found = rows(format!("SELECT id, items FROM {}", self.lists)).await?;
        let lists: BTreeMap<i64, String> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
        // Also those that are not there: what was appended to them is lost.
        let mut keys: Vec<i64> = history.deeds().iter().flat_map(|deed| appended_keys(&deed.what)).collect();
        keys.sort_unstable();
        keys.dedup();
        let reads = keys.into_iter().map(|key| read(key, Seen::List(items(lists.get(&key).map(String::as_str)))));
        let ended = history.now();
        let deed = |what, begun, ended| Deed { process, region, what, begun, ended, outcome: Outcome::Done };
        history.record_deed(deed(What::Lists(reads.collect()), begun, ended));
        let begun = history.now();
        let found = rows(format!("SELECT id, value FROM {}", self.cells)).await?;
        let reads = found.iter().map(|row| read(row.get::<_, i32>(0).into(), Seen::Value(row.get(1))));
        let reads = reads.collect();
        let ended = history.now();
        history.record_deed(deed(What::Cells(reads), begun, ended));
        let pairs = async |columns: &str, table: &str| -> Result<Vec<(i64, i64)>, Failure> {
            let found = rows(format!("SELECT {columns} FROM {table} ORDER BY 1")).await?;
            Ok(found.iter().map(|row| (row.get(0), row.get(1))).collect())
        };
        let ids = async |table: &str| -> Result<Vec<i64>, Failure> {
            let found = rows(format!("SELECT id FROM {table} ORDER BY 1")).await?;
            Ok(found.iter().map(|row| row.get(0)).collect())
        };
        let ring = rows(format!("SELECT id, next FROM {} ORDER BY 1", self.ring)).await?;
        Ok(DeedContents {
            ring: ring.iter().map(|row| (row.get(0), row.get(1))).collect(),
            claims: pairs("id, name", &self.claims).await?,
            parents: ids(&self.parents).await?,
            children: pairs("id, parent", &self.children).await?,
            wide: ids(&self.wide).await?,
            bulk: pairs("batch, count(*)", &format!("{} GROUP BY batch", self.bulk)).await?,
        })
    }
}

fn appended_keys(what: &What) -> Vec<i64> {
    let What::Lists(operations) = what else { return Vec::new() };
    let appends = operations.iter().filter(|operation| matches!(operation.action, Action::Append(_)));
    let number = |operation: &MicroOperation| match operation.key {
        trivet_history::Key::Number(number) => Some(number),
        trivet_history::Key::Name(_) => None,
    };
    appends.filter_map(number).collect()
}

pub(super) fn read(key: i64, seen: Seen) -> MicroOperation {
    MicroOperation { key: key.into(), action: Action::Read(seen) }
}

/// Items are numbers with blanks between them.
pub(super) fn items(text: Option<&str>) -> Vec<i64> {
    // What is no number is nothing that anybody wrote: the checker shall say so.
    text.unwrap_or_default().split_whitespace().map(|item| item.parse().unwrap_or(i64::MIN)).collect()
}
