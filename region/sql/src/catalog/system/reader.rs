//! Definitions as somebody with a search path reads them: names that exist now, qualified where his path does not find them.
use super::definition::{names_for_oids, prettied, without_parentheses};
use crate::analyze::{Analyzer, Names, ParameterTypes, Relations, analyzed_view, expr_text, query_text, view_text};
use crate::catalog::{CatalogSnapshot, Table};
use std::sync::Arc;
use std::sync::OnceLock;
use trivet_types::functions::string::quote_identifier;
use trivet_types::user::{DomainType, RowType};
use trivet_types::{Datum, Environment, FormatSettings, Oid, PgError, PgResult, SystemCall, UserTypes};

pub struct Reader<'a> {
    pub catalog: &'a CatalogSnapshot,
    pub path: Vec<String>,
    /// The types of all relations' rows, if anybody asked.
    rows: OnceLock<Vec<RowType>>,
    format: FormatSettings,
}

impl<'a> Reader<'a> {
    pub fn new(catalog: &'a CatalogSnapshot, path: Vec<String>) -> Reader<'a> {
        Reader { catalog, path, rows: OnceLock::new(), format: FormatSettings::default() }
    }

    fn rows(&self) -> &[RowType] {
        self.rows.get_or_init(|| self.catalog.tables.iter().map(|table| table.row()).collect())
    }

    /// A relation's name.
    pub fn shown(&self, relation: Oid) -> Option<String> {
        let (schema, name) = self.catalog.relation_name(relation)?;
        let name = quote_identifier(name);
        Some(match self.catalog.is_visible(relation, &self.path) {
            Some(true) => name.to_string(),
            _ => format!("{}.{name}", quote_identifier(self.catalog.schema_name(schema)?)),
        })
    }

    /// The query of a view, ended as PostgreSQL ends it.
    pub fn view(&self, oid: Oid, pretty: bool) -> Option<String> {
        let table = self.catalog.table(oid)?;
        let text = self.deparsed(table, pretty).unwrap_or_else(|| {
            let text = view_text(table.view().expect("a view was asked for"), &|relation| self.shown(relation));
            format!(" {}", text.trim().trim_end_matches(';').trim_end())
        });
        Some(self.spelled(&format!("{text};")))
    }

    fn deparsed(&self, table: &Arc<Table>, pretty: bool) -> Option<String> {
        let view = self.catalog.resolved_view(table.oid)?;
        let (query, commons) = analyzed_view(&view, self).ok()?;
        let columns: Vec<String> = table.live_columns().map(|(_, column)| column.name.clone()).collect();
        query_text(&query, &commons, &columns, self, self, pretty)
    }

    /// A stored expression over a relation's row.
    pub fn expression(&self, relation: Oid, text: &str, pretty: bool) -> String {
        let shown = self.analyzed(relation, text, pretty);
        let shown = shown.unwrap_or_else(|| {
            let text = names_for_oids(text, &|oid| self.shown(oid));
            if pretty { without_parentheses(&prettied(&text)).to_owned() } else { text }
        });
        self.spelled(&shown)
    }

    /// A domain's condition.
    pub fn condition(&self, domain: &DomainType, text: &str, pretty: bool) -> String {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, self, ParameterTypes::default());
        let typed = analyzer.stored_condition(domain, text).ok();
        let shown = typed.and_then(|typed| expr_text(&typed, Oid(0), &DomainNames, self, pretty));
        let shown = shown.map(|shown| shown.replace(VALUE, "VALUE"));
        self.spelled(&shown.unwrap_or_else(|| text.to_owned()))
    }

    fn analyzed(&self, relation: Oid, text: &str, pretty: bool) -> Option<String> {
        let table = self.catalog.table(relation)?;
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, self, ParameterTypes::default());
        let typed = analyzer.stored_over(table, text).ok()?;
        expr_text(&typed, relation, self, self, pretty)
    }
}

/// A domain's value has a name that is no column's, nor is quoted.
const VALUE: &str = "trivet_value_of_domain";
struct DomainNames;

impl Names for DomainNames {
    fn relation(&self, _relation: Oid) -> Option<String> {
        None
    }
    fn column(&self, _relation: Oid, _column: usize) -> Option<String> {
        Some(VALUE.to_owned())
    }
}

impl Names for Reader<'_> {
    fn relation(&self, relation: Oid) -> Option<String> {
        self.shown(relation)
    }
    fn column(&self, relation: Oid, column: usize) -> Option<String> {
        match self.catalog.table(relation) {
            Some(table) => table.columns.get(column).filter(|column| !column.dropped).map(|column| column.name.clone()),
            None => super::virtual_table_by_oid(relation)?.columns.get(column).map(|column| column.name.to_owned()),
        }
    }
}

/// For reading stored texts, which ask for little.
impl Environment for Reader<'_> {
    fn format(&self) -> &FormatSettings {
        &self.format
    }
    fn transaction_time(&self) -> i64 {
        0
    }
    fn statement_time(&self) -> i64 {
        0
    }
    fn clock_time(&self) -> i64 {
        0
    }
    fn random(&self) -> u64 {
        0
    }
    fn system(&self, call: SystemCall, arguments: &[Datum]) -> PgResult<Datum> {
        let oid =
            |at: usize| arguments.get(at).and_then(Datum::as_i64).and_then(|oid| u32::try_from(oid).ok()).map(Oid);
        match call {
            SystemCall::RegclassOut => {
                let relation = oid(0).unwrap_or_default();
                Ok(self.shown(relation).unwrap_or_else(|| relation.to_string()).into())
            }
            SystemCall::RegclassIn => {
                let text = arguments.first().and_then(Datum::as_str).unwrap_or_default();
                let found = crate::analyze::regclass_name(text)
                    .and_then(|(schema, name)| self.catalog.relation(schema.as_deref(), &name, &self.path));
                found.map(Datum::from).ok_or_else(|| PgError::internal("a stored text names what is not there"))
            }
            call => Err(PgError::internal(format!("a stored text was read and asked for {call:?}"))),
        }
    }
    fn relation_name(&self, relation: Oid) -> Option<String> {
        self.shown(relation)
    }
    fn user_types(&self) -> &UserTypes {
        &self.catalog.user_types
    }
    fn type_named(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        let types = &self.catalog.user_types;
        let found = match schema {
            Some(schema) => types.named(schema, name),
            None => self.path.iter().find_map(|schema| types.named(schema, name)),
        };
        let row = || {
            let row = |schema: &str| self.rows().iter().find(|row| row.name == name && row.schema_name == schema);
            match schema {
                Some(schema) => row(schema),
                None => self.path.iter().find_map(|schema| row(schema)),
            }
        };
        found.or_else(|| row().map(|row| row.oid))
    }
    fn row_type(&self, oid: Oid) -> Option<&RowType> {
        self.rows().iter().find(|row| row.oid == oid).or_else(|| self.user_types().composite(oid))
    }
    fn spelled(&self, text: &str) -> String {
        let types = self.user_types();
        trivet_types::user::spelled(text, types, &|oid| {
            let row = || self.row_type(oid).map(|row| (row.schema_name.as_str(), row.name.as_str()));
            let (schema, name) = types.name_of(oid).or_else(row)?;
            let visible = self.path.iter().find(|schema| self.type_named(Some(schema), name).is_some());
            let name = quote_identifier(name);
            Some(match visible.is_some_and(|visible| visible == schema) {
                true => name.to_string(),
                false => format!("{}.{name}", quote_identifier(schema)),
            })
        })
    }
}
