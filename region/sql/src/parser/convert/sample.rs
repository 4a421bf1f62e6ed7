//! `TABLESAMPLE BERNOULLI (p)` and `SYSTEM (p)`: the table's rows, each with a chance of p in a hundred. There are no blocks to choose
//! by, so both are the same.
use super::super::tree::*;
use super::Converter;
use sqlparser::ast;
use trivet_types::{PgError, PgResult, SqlState};

impl Converter<'_> {
    pub(super) fn sampled(&mut self, table: TableExpr, sample: ast::TableSample) -> PgResult<TableExpr> {
        use ast::TableSampleMethod::{Bernoulli, System};
        let plain =
            matches!(sample.name, Some(Bernoulli | System)) && sample.bucket.is_none() && sample.offset.is_none();
        let quantity = sample.quantity.filter(|quantity| quantity.parenthesized && quantity.unit.is_none());
        let (true, Some(quantity)) = (plain, quantity) else {
            return Err(PgError::unsupported("this form of TABLESAMPLE"));
        };
        if sample.seed.is_some() {
            return Err(PgError::unsupported("TABLESAMPLE ... REPEATABLE"));
        }
        let TableExpr::Table { name, alias, only } = table else {
            return Err(PgError::unsupported("TABLESAMPLE of something other than a table"));
        };
        let percentage = self.expr(quantity.value)?;
        if !is_percentage(&percentage) {
            return Err(PgError::new(SqlState(*b"2202H"), "sample percentage must be between 0 and 100"));
        }
        let place = percentage.place;
        let expr = |kind: ExprKind| Expr { kind, place };
        let random = expr(super::expr::built_in("random", vec![]));
        let hundred = expr(ExprKind::Literal(Literal::Number("100".into())));
        let drawn = ExprKind::Binary { operator: "*".into(), left: Box::new(random), right: Box::new(hundred) };
        let filter =
            ExprKind::Binary { operator: "<".into(), left: Box::new(expr(drawn)), right: Box::new(percentage) };
        let shown = alias.name.clone().or_else(|| name.parts.last().cloned());
        let from = TableExpr::Table { name, alias: Alias::default(), only };
        let select =
            Select { filter: Some(expr(filter)), ..Select::of(vec![Target::Star { of: None, place }], vec![from]) };
        let query = Query::of(QueryBody::Select(Box::new(select)));
        Ok(TableExpr::Query { query: Box::new(query), alias: Alias { name: shown, ..alias }, lateral: false })
    }
}

/// What is not written as a number is not known to be wrong.
fn is_percentage(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Literal(Literal::Number(digits)) => {
            digits.parse::<f64>().is_ok_and(|number| (0.0..=100.0).contains(&number))
        }
        ExprKind::Unary { operator, .. } => operator != "-",
        _ => true,
    }
}
