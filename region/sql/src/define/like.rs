//! CREATE TABLE (LIKE ...).
use super::columns::Numbering;
use super::{Definer, NewIndex, derived_name};
use crate::catalog::{Check, Comment, Found, Identity, Table, Trait};
use crate::parser::tree::{LikeOptions, QualifiedName, SequenceOption};
use std::sync::Arc;
use trivet_types::{PgError, PgResult, sqlstate};

/// What is left to copy once the new table's columns are there.
pub(super) struct Like {
    source: Arc<Table>,
    options: LikeOptions,
    /// Where the source's columns are in the new table.
    positions: Vec<Option<usize>>,
}

impl Definer<'_> {
    pub(super) async fn like(
        &mut self,
        table: &mut Table,
        of: &QualifiedName,
        options: LikeOptions,
        numberings: &mut Vec<(usize, Numbering)>,
    ) -> PgResult<Like> {
        let undefined = || crate::analyze::at(of.place(), crate::analyze::undefined_table(of));
        let source = match self.find(of).await?.ok_or_else(undefined)? {
            Found::Table(source) => source,
            Found::View(view) => Arc::clone(&view.table),
            _ => {
                let message = format!("relation \"{}\" is invalid in LIKE clause", of.last());
                return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
            }
        };
        self.check_table(&source, crate::catalog::Privileges::SELECT).await?;
        let mut positions = vec![None; source.columns.len()];
        for (at, column) in source.live_columns() {
            let position = table.columns.len();
            positions[at] = Some(position);
            let mut copy = column.clone();
            copy.missing = None;
            if !options.generated {
                copy.generated = None;
            }
            if !options.defaults {
                copy.default = None;
            }
            let identity: Option<Identity> = copy.identity.take().filter(|_| options.identity);
            if let Some(identity) = identity {
                let sequence = self.catalog().table(identity.sequence).await?;
                let sequence_options = sequence.as_deref().and_then(Table::sequence).map(|sequence| {
                    vec![
                        SequenceOption::Increment(sequence.increment),
                        SequenceOption::Minimum(Some(sequence.minimum)),
                        SequenceOption::Maximum(Some(sequence.maximum)),
                        SequenceOption::Start(sequence.start),
                        SequenceOption::Cache(sequence.cache),
                        SequenceOption::Cycle(sequence.cycles),
                    ]
                });
                let options = sequence_options.unwrap_or_default();
                numberings.push((position, Numbering::Identity { always: identity.always, options }));
            }
            table.columns.push(copy);
            if let Some(domain) = source.domain_of(at) {
                self.share_type(domain).await?;
                table.set_domain(position, Some(domain));
            }
        }
        if options.constraints {
            for check in &source.checks {
                let oid = self.new_oid().await?;
                table.checks.push(Check { oid, ..check.clone() });
            }
        }
        if options.comments {
            for comment in source.comments.iter().filter(|comment| comment.column > 0) {
                let at = usize::try_from(comment.column - 1).ok().and_then(|at| positions.get(at).copied().flatten());
                let column = at.and_then(|at| i16::try_from(at + 1).ok());
                table.comments.extend(column.map(|column| Comment { column, ..comment.clone() }));
            }
        }
        Ok(Like { source, options, positions })
    }

    /// INCLUDING INDEXES, under names of their own.
    pub(super) async fn like_indexes(&mut self, table: &mut Table, like: Like) -> PgResult<()> {
        if !like.options.indexes {
            return Ok(());
        }
        for index in &like.source.indexes {
            let mut keys = index.keys.clone();
            for key in keys.iter_mut().filter(|key| key.expression.is_none()) {
                let moved = like.positions.get(key.column).copied().flatten();
                key.column = moved.ok_or_else(|| PgError::internal("an index over a column that is not there"))?;
            }
            let constraint = like.source.constraint_of(index.oid).map(|constraint| constraint.kind);
            let names: Vec<String> = keys
                .iter()
                .map(|key| match &key.expression {
                    Some(expression) => expression.name.clone(),
                    None => table.columns[key.column].name.clone(),
                })
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let default_name = match (index.primary, constraint.is_some()) {
                (true, _) => derived_name(&table.name, &[], "pkey"),
                (false, true) => derived_name(&table.name, &names, "key"),
                (false, false) => derived_name(&table.name, &names, "idx"),
            };
            let include = index.include.iter().filter_map(|at| like.positions.get(*at).copied().flatten()).collect();
            let new = NewIndex {
                name: None,
                default_name,
                unique: index.unique,
                nulls_collide: index.nulls_collide,
                keys,
                include,
                filter: index.filter.clone(),
                constraint,
                deferrable: like.source.deferrable(index.oid),
                classes: (0..index.keys.len())
                    .filter_map(|at| Some((u16::try_from(at).ok()?, like.source.class_of(index.oid, at)?)))
                    .collect(),
                hash: like.source.has_trait(index.oid, Trait::Hash),
            };
            self.add_index(table, new).await?;
        }
        Ok(())
    }
}
