//! Values that rows get where none is given.
use super::subplan::sequence_value;
use super::{Context, ForeignWork};
use crate::analyze::{Analyzer, ParameterTypes, Relations};
use crate::catalog::Table;
use crate::plan::{Compiled, EvalContext, Subplan, plan_default};
use crate::sequence::SessionSequences;
use std::sync::Arc;
use trivet_txn::{Database, Transaction};
use trivet_types::{Datum, Environment, PgResult};

/// A default, compiled; sequences are asked first, their values are the slots of the row that it is evaluated over.
#[derive(Debug)]
pub struct DefaultValue {
    value: Compiled,
    sequences: Vec<Subplan>,
}

impl DefaultValue {
    pub fn of(table: &Arc<Table>, column: usize, environment: &dyn Environment) -> PgResult<DefaultValue> {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, environment, ParameterTypes::default());
        let (value, sequences) = plan_default(&analyzer.default_of(table, column)?)?;
        Ok(DefaultValue { value, sequences })
    }

    pub(crate) async fn evaluate(&self, context: &mut Context<'_>) -> PgResult<Datum> {
        let mut row = Vec::with_capacity(self.sequences.len());
        for sequence in &self.sequences {
            let value = sequence_value(sequence, context, &row).await?;
            row.push(value);
        }
        let eval = EvalContext { environment: context.environment, parameters: &[], outer: &[] };
        self.value.eval(eval, &row)
    }

    /// Outside of any plan.
    pub async fn next(
        &self,
        sequences: &SessionSequences,
        database: &dyn Database,
        transaction: &mut dyn Transaction,
        environment: &dyn Environment,
    ) -> PgResult<Datum> {
        let (mut outer, mut affected, mut foreign) = (Vec::new(), 0, ForeignWork::default());
        let mut context = Context {
            transaction,
            database,
            environment,
            catalog: None,
            parameters: &[],
            outer: &mut outer,
            affected: &mut affected,
            sequences,
            foreign: &mut foreign,
            commons: &mut super::common::Commons::default(),
            touched: &mut None,
            locks: &crate::advisory::LockRules::default(),
            since_breath: 0,
            memory: super::memory::unbounded(),
            watch: None,
        };
        self.evaluate(&mut context).await
    }
}
